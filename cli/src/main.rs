//! The one binary: what a person types, and what the daemon and the ARMORs start.

mod commands;
mod difference;
mod epilogue;
mod failure;
mod line;
mod packs;
mod printer;
mod program;
mod progress;
mod request;
mod screen;
#[cfg(test)]
mod scripted;
mod session;
mod signals;
mod status_file;
mod stdin;
mod story;
mod system;
mod watch;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == "slot") {
        return chameleon_node::slot::shim::main();
    }
    let code = match commands::CommandLine::try_parse() {
        Ok(typed) => typed.execute().unwrap_or_else(|failure| {
            failure.show();
            failure.exit_code()
        }),
        Err(refusal) => {
            let code = if refusal.use_stderr() { failure::FAILED } else { 0 };
            // Help that nobody can read is no failure.
            let _ = refusal.print();
            code
        }
    };
    ExitCode::from(code)
}
