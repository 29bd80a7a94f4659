//! The one binary: what a person types, and what the daemon and the ARMORs start.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|word| word.to_str()) {
        Some("slot") => return chameleon_node::slot::shim::main(),
        Some("armor") => return chameleon_node::armor_main(chameleon_core::armors::raise),
        Some("daemon") => return chameleon_node::daemon_main(&arguments[1..], chameleon_core::armors::raise),
        _ => {}
    }
    ExitCode::SUCCESS
}
