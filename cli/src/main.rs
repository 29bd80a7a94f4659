//! The one binary: what a person types, and what the daemon and the ARMORs start.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == "slot") {
        return chameleon_node::slot::shim::main();
    }
    ExitCode::SUCCESS
}
