//! `cargo xtask chaos [--rounds N] [--seed S] [KIND…]`: kill -9, SIGSTOP and spins of every kind of process, one at a
//! time, at random moments; what came of it is written to `docs/measurements.md`.

use crate::failure::Failure;
use crate::measurements::{self, Measured};

const ROUNDS: &str = "200";
const EXPECTED: &str = "--rounds N, --seed S, or kinds of processes";

/// Plays the rounds.
///
/// # Errors
/// One of them did not end as promised, or they could not be played at all.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (mut rounds, mut seed, mut kinds) = (ROUNDS.to_owned(), None, Vec::new());
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(Failure::Usage { what: word.clone(), expected: EXPECTED });
        match word.as_str() {
            "--rounds" => rounds = value()?,
            "--seed" => seed = Some(("CHAMELEON_SEED", value()?)),
            _ => kinds.push(word),
        }
    }
    let arguments: Vec<String> = std::iter::once(rounds).chain(kinds.iter().cloned()).collect();
    let Measured { text, success } = measurements::take("chameleon-system-tests", &arguments, seed)?;
    if kinds.is_empty() && !text.is_empty() {
        measurements::put("chaos", &format!("## One process hurt at a time\n\n{text}"))?;
    }
    if success { Ok(()) } else { Err(Failure::NotAsItMustBe("a job did not end as promised: see above".to_owned())) }
}
