//! The one binary: what a person types, and what the daemon and the ARMORs start.

mod candidates;
mod commands;
mod conversation;
mod difference;
mod doctor;
mod epilogue;
mod failure;
mod hidden;
mod line;
mod notices;
mod packs;
mod printer;
mod program;
mod progress;
mod reign;
mod request;
mod screen;
#[cfg(test)]
mod scripted;
mod session;
mod signals;
mod status_file;
mod stdin;
mod store;
mod story;
mod system;
mod watch;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use chameleon_core::armors;
use clap::Parser;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match words.first().and_then(|word| word.to_str()) {
        Some("slot") => chameleon_node::slot::shim::main(),
        Some("armor") => chameleon_node::armor_main(armors::raise),
        // A person gives it flags; the system starts it with the absolute path of a home.
        Some("daemon") if words.get(1).is_some_and(|home| Path::new(home).is_absolute()) => {
            chameleon_node::daemon_main(&words[1..], armors::raise)
        }
        Some("probe") => chameleon_node::profile::abilities::probe_main(),
        _ => ExitCode::from(type_in()),
    }
}

/// What a person typed; the exit code.
fn type_in() -> u8 {
    chameleon_node::log::is_read_by_a_person();
    let typed = commands::CommandLine::try_parse().map_err(|refusal| {
        // Help that nobody can read is no failure.
        let _ = refusal.print();
        if refusal.use_stderr() { failure::FAILED } else { 0 }
    });
    match typed.map(commands::CommandLine::execute) {
        Err(code) | Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            failure.show();
            failure.exit_code()
        }
    }
}
