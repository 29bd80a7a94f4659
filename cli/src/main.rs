//! The one binary: what a person types, and what the daemon and the ARMORs start.

use std::process::ExitCode;

use chameleon_core::armors::raise;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("slot") => chameleon_node::slot::shim::main(),
        Some("armor") => chameleon_node::armor_main(raise),
        Some("daemon") => chameleon_node::daemon_main(&arguments.collect::<Vec<_>>(), raise),
        _ => ExitCode::SUCCESS,
    }
}
