//! `cargo xtask sim`: campaigns in the invented world. `cargo xtask stories`: the scenarios.

use std::collections::BTreeMap;
use std::time::Instant;

use chameleon_core::armors::raise;
use chameleon_sim::liveness;
use chameleon_sim::stories;
use chameleon_sim::trace::Detail;

use crate::failure::Failure;
use crate::tree::root;

/// Lines of the trace that come with a failure, unless more are asked for.
const LINES: usize = 40;

/// Replays one seed, or runs many.
///
/// # Errors
/// An invariant was broken.
pub fn sim(words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [seed] => replay(seed, Detail::Everything(LINES)),
        [seed, "--lines", lines] => replay(seed, Detail::Everything(lines.parse().unwrap_or(LINES))),
        [seed, "--story"] => replay(seed, Detail::Story),
        ["--seeds", count] => many(count, "0"),
        ["--seeds", count, "--from", from] => many(count, from),
        _ => Err(Failure::Usage {
            what: words.join(" "),
            expected: "SEED [--story | --lines N], or --seeds N [--from SEED]",
        }),
    }
}

fn replay(seed: &str, detail: Detail) -> Result<(), Failure> {
    let seed = number(seed)?;
    let run = liveness::campaign(seed, raise, detail);
    println!("{run}");
    run.violation.map_or(Ok(()), |_| Err(Failure::NotAsItMustBe(format!("seed {seed} breaks an invariant"))))
}

fn number(word: &str) -> Result<u64, Failure> {
    word.parse().map_err(|_| Failure::Usage { what: word.to_owned(), expected: "a number" })
}

fn many(count: &str, from: &str) -> Result<(), Failure> {
    let (count, from) = (number(count)?, number(from)?);
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
    match broken.first() {
        None => Ok(()),
        Some(seed) => Err(Failure::NotAsItMustBe(format!("replay the first with: cargo xtask sim {seed}"))),
    }
}

/// Tells the stories of `scenarios/`, and looks whether they are as recorded.
///
/// # Errors
/// One is not.
pub fn stories(words: &[String]) -> Result<(), Failure> {
    let bless = words.iter().any(|word| word == "--bless");
    let names: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let mut failed = 0;
    for path in stories::paths(&root().join("scenarios")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if names.is_empty() || names.contains(&name.as_str()) {
            let told = stories::check(&path, raise, bless);
            println!("{name}: {}", told.as_ref().map_or_else(ToString::to_string, |()| "as told".to_owned()));
            failed += usize::from(told.is_err());
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::NotAsItMustBe(format!("{failed} stories are told otherwise than recorded"))),
    }
}
