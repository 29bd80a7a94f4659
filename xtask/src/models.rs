//! `cargo xtask models [NAME…] [--states N] [--write]`: the real ARMORs, led through every order of events up to a bound;
//! `--write` puts what came of it in `docs/measurements.md`.

use std::time::Instant;

use chameleon_core::armors::raise;
use chameleon_models::{MODELS, Model, Report};

use crate::failure::Failure;
use crate::measurements;

/// States that each model visits unless more are asked for, one that is come to twice counting twice: a taste.
const VISITS: usize = 150_000;
const EXPECTED: &str = "names of models, --states N, or --write";

/// Explores every model, or those that are named.
///
/// # Errors
/// A sentence does not hold, or the words are not understood.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (mut visits, mut write, mut names) = (VISITS, false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let usage = || Failure::Usage { what: word.clone(), expected: EXPECTED };
        match word.as_str() {
            "--states" => visits = words.next().and_then(|count| count.parse().ok()).ok_or_else(usage)?,
            "--write" => write = true,
            name if MODELS.iter().any(|model| model.name == name) => names.push(name),
            _ => return Err(usage()),
        }
    }
    let (mut broken, mut rows) = (Vec::new(), Vec::new());
    for Model { name, about, explore } in MODELS.iter().filter(|model| names.is_empty() || names.contains(&model.name))
    {
        let begun = Instant::now();
        let report = explore(raise, visits);
        let seconds = begun.elapsed().as_secs();
        println!("{name}: {about}\n  {report}, {seconds} s");
        let Report { states, visits, depth, .. } = report;
        rows.push(format!("| {name} | {about} | {states} | {visits} | {depth} | {seconds} |"));
        broken.extend(report.broken.iter().map(|(sentence, _)| format!("{name}: {sentence}")));
    }
    if write {
        let head =
            "## Models\n\n| model | what it is about | states | visits | depth | seconds |\n|---|---|---|---|---|---|";
        measurements::put("models", &format!("{head}\n{}", rows.join("\n")))?;
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Failure::NotAsItMustBe(broken.join("; "))),
    }
}
