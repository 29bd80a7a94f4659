//! `cargo xtask models [NAME…] [--states N]`: the real ARMORs, led through every order of events up to a bound.

use std::time::Instant;

use chameleon_core::armors::raise;
use chameleon_models::{MODELS, Model};

use crate::failure::Failure;

/// States that each model visits unless more are asked for: a taste of some seconds.
const VISITS: usize = 150_000;
const EXPECTED: &str = "names of models, and --states N";

/// Explores every model, or those that are named.
///
/// # Errors
/// A sentence does not hold, or the words are not understood.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (mut visits, mut names) = (VISITS, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let usage = || Failure::Usage { what: word.clone(), expected: EXPECTED };
        match word.as_str() {
            "--states" => visits = words.next().and_then(|count| count.parse().ok()).ok_or_else(usage)?,
            name if MODELS.iter().any(|model| model.name == name) => names.push(name),
            _ => return Err(usage()),
        }
    }
    let mut broken = Vec::new();
    for Model { name, about, explore } in MODELS.iter().filter(|model| names.is_empty() || names.contains(&model.name))
    {
        let begun = Instant::now();
        let report = explore(raise, visits);
        println!("{name}: {about}\n  {report}, {:.1} s", begun.elapsed().as_secs_f64());
        broken.extend(report.broken.iter().map(|(sentence, _)| format!("{name}: {sentence}")));
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Failure::NotAsItMustBe(broken.join("; "))),
    }
}
