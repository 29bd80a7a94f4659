//! `cargo xtask chaos [--rounds N] [--seed S] [KIND…]`: kill -9, SIGSTOP and spins of every kind of process, one at a
//! time, at random moments; what came of it is written to `docs/measurements.md`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::measurements;

const ROUNDS: &str = "200";

/// Plays the rounds. Fails if one of them did not end as promised.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (mut rounds, mut seed, mut kinds) = (ROUNDS.to_owned(), None, Vec::new());
    let mut words = arguments.iter().cloned();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("read {word}: it needs a number"));
        match word.as_str() {
            "--rounds" => rounds = value()?,
            "--seed" => seed = Some(value()?),
            _ => kinds.push(word),
        }
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["run", "--quiet", "--release", "--package", "chameleon-system-tests", "--"]);
    command.arg(rounds).args(&kinds).envs(seed.map(|seed| ("CHAMELEON_SEED", seed)));
    let output = command.stderr(Stdio::inherit()).output().map_err(|why| format!("run cargo: {why}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if kinds.is_empty() && !text.is_empty() {
        measurements::put(root, "chaos", &format!("## One process hurt at a time\n\n{text}"))
            .map_err(|why| format!("write docs/measurements.md: {why}"))?;
    }
    if output.status.success() { Ok(()) } else { Err("end every job as promised: see above".to_owned()) }
}
