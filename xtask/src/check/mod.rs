//! `cargo xtask check`: all there is to check, and a line at the end that says how much of it holds.
//!
//! Every step runs, also behind one that fails, so that one run tells everything.

mod posix;
mod runner;
mod tally;

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::{Failure, only};
use crate::tree::{Tree, root};
use crate::{models, sim, stories, tidy};
use tally::Tally;

/// Invented worlds to run through: a taste; `cargo xtask sim --seeds 10000` is the meal.
const SEEDS: &str = "100";

/// A part of the check.
struct Step {
    name: &'static str,
    run: fn(&mut Tally) -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "tidy", run: tidy },
    Step { name: "lints", run: lints },
    Step { name: "simulator", run: campaign },
    Step { name: "scenarios", run: tell },
    Step { name: "models", run: explore },
    Step { name: "tests", run: runner::tests },
    Step { name: "tests on hosts with POSIX facilities alone", run: posix::tests },
    Step { name: "examples in documentation", run: runner::doc_tests },
];

/// Runs every step; `--prepare` first installs what tests need from the system.
///
/// # Errors
/// Something is not as it must be, or a step could not be started at all.
pub fn run(words: &[String]) -> Result<(), Failure> {
    only(words, &["--prepare"], "--prepare or nothing")?;
    if !words.is_empty() {
        crate::prepare::prepare();
    }
    let mut tally = Tally::default();
    for step in STEPS {
        println!("── {}", step.name);
        (step.run)(&mut tally)?;
    }
    print!("{tally}");
    match tally.failed() {
        0 => Ok(()),
        failed => Err(Failure::NotAsItMustBe(format!("{failed} of the checks failed"))),
    }
}

fn format(tally: &mut Tally) -> Result<(), Failure> {
    tool(tally, "cargo fmt", &["fmt", "--all", "--check"])
}

fn lints(tally: &mut Tally) -> Result<(), Failure> {
    tool(tally, "cargo clippy", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

fn tidy(tally: &mut Tally) -> Result<(), Failure> {
    let broken = tidy::report(&Tree::read()?);
    tally.pass(tidy::RULES.len() - broken.len());
    broken.iter().for_each(|rule| tally.fail(&format!("tidy: {rule}")));
    Ok(())
}

fn campaign(tally: &mut Tally) -> Result<(), Failure> {
    command(tally, "sim", sim::run, &["--seeds", SEEDS])
}

fn tell(tally: &mut Tally) -> Result<(), Failure> {
    command(tally, "stories", stories::run, &[])
}

fn explore(tally: &mut Tally) -> Result<(), Failure> {
    command(tally, "models", models::run, &[])
}

/// A step that is another command of `cargo xtask`.
fn command(
    tally: &mut Tally,
    name: &str,
    run: fn(&[String]) -> Result<(), Failure>,
    words: &[&str],
) -> Result<(), Failure> {
    match run(&words.iter().map(ToString::to_string).collect::<Vec<_>>()) {
        Ok(()) => tally.pass(1),
        Err(Failure::NotAsItMustBe(what)) => tally.fail(&format!("cargo xtask {name}: {what}")),
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// A step that is one call of a tool that not every installation of Rust has.
fn tool(tally: &mut Tally, name: &str, arguments: &[&str]) -> Result<(), Failure> {
    let present = cargo(&[arguments[0], "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !present.is_ok_and(|status| status.success()) {
        tally.skip(&format!("{name}: it is not installed"));
        return Ok(());
    }
    let status = listen(cargo(arguments), |line| println!("{line}"))?;
    match status.success() {
        true => tally.pass(1),
        false => tally.fail(name),
    }
    Ok(())
}

/// A call of cargo on this source, which never waits for a person.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a command to its end, and hands on each line that it prints, as it comes.
///
/// # Errors
/// It cannot be started.
fn listen(mut command: Command, mut heard: impl FnMut(&str)) -> Result<ExitStatus, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let unstartable = |why| Failure::Unstartable { program: program.clone(), why };
    let (reader, writer) = std::io::pipe().map_err(unstartable)?;
    command.stdout(writer.try_clone().map_err(unstartable)?).stderr(writer);
    let mut child = command.spawn().map_err(unstartable)?;
    // The command holds the writing end; as long as it does, there is no end to read.
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        heard(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    child.wait().map_err(unstartable)
}
