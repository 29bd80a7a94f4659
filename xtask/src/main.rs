//! What keeps the house true: `cargo xtask COMMAND`, one command a file and one line in the table.

mod bench;
mod chaos;
mod check;
mod failure;
mod figures;
mod measurements;
mod mixed;
mod models;
mod mutants;
mod prepare;
mod protocol;
mod scale;
mod sim;
mod stories;
mod tidy;
mod tree;

use std::process::ExitCode;

use failure::Failure;

/// Something `cargo xtask` can do.
struct Command {
    name: &'static str,
    /// What may follow the name, as in a usage line.
    words: &'static str,
    about: &'static str,
    /// Gets the words behind the name.
    run: fn(&[String]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command { name: "bench", words: "[GROUP…]", about: "what we promise, measured", run: bench::run },
    Command {
        name: "chaos", words: "[--rounds N] [KIND…]", about: "real processes, hurt at random", run: chaos::run
    },
    Command { name: "check", words: "[--prepare]", about: "all there is to check", run: check::run },
    Command {
        name: "figures",
        words: "[--trials N] [--simulated]",
        about: "a pipeline unprotected, voted at its end, voted per stage",
        run: figures::run,
    },
    Command { name: "mixed", words: "", about: "hosts of two architectures, one of them emulated", run: mixed::run },
    Command {
        name: "models",
        words: "[NAME…] [--states N]",
        about: "every order of events, to a bound",
        run: models::run,
    },
    Command {
        name: "mutants",
        words: "[NAME…] [--sample N]",
        about: "deliberate faults, let loose",
        run: mutants::run,
    },
    Command { name: "prepare", words: "", about: "what tests need from the system, installed", run: prepare::run },
    Command { name: "protocol", words: "[--write]", about: "docs/protocol.md from the messages", run: protocol::run },
    Command { name: "scale", words: "[HOSTS…]", about: "what grows with hosts and tasks", run: scale::run },
    Command { name: "sim", words: "SEED | --seeds N", about: "campaigns in the invented world", run: sim::run },
    Command { name: "stories", words: "[NAME…] [--bless]", about: "the scenarios, told", run: stories::run },
    Command { name: "tidy", words: "", about: "the rules of the house that no compiler knows", run: tidy::run },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let known = words.split_first().and_then(|(name, rest)| {
        let command = COMMANDS.iter().find(|command| command.name == name)?;
        Some((command.run)(rest))
    });
    match known {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(failure)) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
        None => {
            eprint!("{}", usage());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let line = |command: &Command| {
        let call = format!("{} {}", command.name, command.words);
        format!("  cargo xtask {call:<24} {}\n", command.about)
    };
    COMMANDS.iter().map(line).collect()
}
