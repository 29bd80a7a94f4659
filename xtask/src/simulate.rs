//! `cargo xtask sim`: campaigns in the invented world. `cargo xtask stories`: the scenarios.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use chameleon_core::armors::raise;
use chameleon_sim::liveness;
use chameleon_sim::stories;
use chameleon_sim::trace::Detail;

/// Lines of the trace that come with a failure, unless more are asked for.
const LINES: usize = 40;

/// Replays one seed, or runs many.
pub fn sim(words: &[&str]) -> ExitCode {
    match words {
        [seed] => replay(seed, Detail::Everything(LINES)),
        [seed, "--lines", lines] => replay(seed, Detail::Everything(lines.parse().unwrap_or(LINES))),
        [seed, "--story"] => replay(seed, Detail::Story),
        ["--seeds", count] => many(count, "0"),
        ["--seeds", count, "--from", from] => many(count, from),
        _ => {
            eprintln!("usage: cargo xtask sim SEED [--story | --lines N] | sim --seeds N [--from SEED]");
            ExitCode::from(2)
        }
    }
}

fn replay(seed: &str, detail: Detail) -> ExitCode {
    let Ok(seed) = seed.parse() else {
        eprintln!("expected a seed, a number, found {seed:?}");
        return ExitCode::from(2);
    };
    let run = liveness::campaign(seed, raise, detail);
    println!("{run}");
    exit(run.violation.is_none())
}

fn many(count: &str, from: &str) -> ExitCode {
    let (Ok(count), Ok(from)) = (count.parse::<u64>(), from.parse::<u64>()) else {
        eprintln!("expected numbers, found {count:?} and {from:?}");
        return ExitCode::from(2);
    };
    std::panic::set_hook(Box::new(|_| {}));
    let (begun, mut broken, mut outcomes) = (Instant::now(), Vec::new(), BTreeMap::<&str, u64>::new());
    for seed in from..from + count {
        let run = liveness::campaign(seed, raise, Detail::Digest);
        run.outcomes.iter().for_each(|word| *outcomes.entry(word).or_default() += 1);
        if let Some(violation) = &run.violation {
            println!("seed {seed}: {violation}");
            broken.push(seed);
        }
    }
    let took = begun.elapsed();
    println!("{count} seeds in {took:.1?}; jobs ended: {outcomes:?}; broken: {}", broken.len());
    if let Some(seed) = broken.first() {
        println!("replay the first with: cargo xtask sim {seed}");
    }
    exit(broken.is_empty())
}

/// Tells the stories of `scenarios/`, and looks whether they are as recorded.
pub fn stories(words: &[&str]) -> ExitCode {
    let bless = words.contains(&"--bless");
    let names: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
    let mut failed = 0;
    for path in stories::paths(&root().join("scenarios")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if names.is_empty() || names.contains(&name.as_str()) {
            let told = stories::check(&path, raise, bless);
            println!("{name}: {}", told.as_ref().map_or_else(ToString::to_string, |()| "as told".to_owned()));
            failed += usize::from(told.is_err());
        }
    }
    exit(failed == 0)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

fn exit(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
