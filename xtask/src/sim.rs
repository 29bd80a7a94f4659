//! `cargo xtask sim`: campaigns in the invented world, many seeds or one again.

use std::collections::BTreeMap;
use std::time::Instant;

use chameleon_core::armors::raise;
use chameleon_sim::liveness::{self, Power};
use chameleon_sim::trace::Detail;

use crate::failure::Failure;

/// Lines of the trace that come with a failure, unless more are asked for.
const LINES: usize = 40;
const EXPECTED: &str =
    "SEED [--story | --lines N], or --seeds N [--from SEED]; with --power-loss the power may fail, too";

/// Replays one seed, or runs many.
///
/// # Errors
/// An invariant was broken, or the words are not understood.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let power = if words.iter().any(|word| word == "--power-loss") { Power::MayFail } else { Power::Lasts };
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--power-loss").collect();
    match words.as_slice() {
        ["--seeds", count] => many(number(count)?, 0, power),
        ["--seeds", count, "--from", from] => many(number(count)?, number(from)?, power),
        [seed] => replay(number(seed)?, power, Detail::Everything(LINES)),
        [seed, "--story"] => replay(number(seed)?, power, Detail::Story),
        [seed, "--lines", lines] => {
            replay(number(seed)?, power, Detail::Everything(usize::try_from(number(lines)?).unwrap_or(LINES)))
        }
        other => Err(Failure::Usage { what: other.join(" "), expected: EXPECTED }),
    }
}

fn number(word: &str) -> Result<u64, Failure> {
    word.parse().map_err(|_| Failure::Usage { what: word.to_owned(), expected: EXPECTED })
}

fn replay(seed: u64, power: Power, detail: Detail) -> Result<(), Failure> {
    let run = liveness::campaign(seed, power, raise, detail);
    println!("{run}");
    match run.violation {
        None => Ok(()),
        Some(violation) => Err(Failure::NotAsItMustBe(violation.to_string())),
    }
}

fn many(count: u64, from: u64, power: Power) -> Result<(), Failure> {
    let (begun, mut broken, mut outcomes) = (Instant::now(), Vec::new(), BTreeMap::<&str, u64>::new());
    let (mut handled, mut faults) = (0, 0);
    for seed in from..from + count {
        let run = liveness::campaign(seed, power, raise, Detail::Digest);
        run.outcomes.iter().for_each(|word| *outcomes.entry(word).or_default() += 1);
        handled += run.handled;
        faults += run.faults;
        if let Some(violation) = &run.violation {
            println!("seed {seed}: {violation}");
            broken.push(seed);
        }
    }
    let ended: Vec<String> = outcomes.iter().map(|(word, count)| format!("{count} {word}")).collect();
    println!("{count} seeds in {:.1?}: {faults} faults, {handled} inputs", begun.elapsed());
    println!("jobs ended: {}", ended.join(", "));
    match broken.first() {
        None => Ok(()),
        Some(seed) => Err(Failure::NotAsItMustBe(format!(
            "{} seeds broke an invariant; see the first with: cargo xtask sim {seed}",
            broken.len()
        ))),
    }
}
