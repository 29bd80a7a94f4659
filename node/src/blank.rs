//! A blank process: it waits for a name, and then is that ARMOR for the rest of its life.

use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::io;
use std::process::ExitCode;

use chameleon_core::names::ArmorName;
use chameleon_core::shell::Identity;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::armor_process::{self, Raise, StartError};
use crate::home::Home;
use crate::limits;
use crate::os::descriptor;
use crate::process::Assignment;

/// What `chameleon armor` does; started by a daemon only.
pub fn armor_main(raise: Raise) -> ExitCode {
    match become_named() {
        Ok(Some((home, identity))) => {
            let name = identity.name;
            let Err(error) = run(home, identity, raise);
            crate::log!("{name} dies: {error}");
            ExitCode::FAILURE
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            crate::log!("a blank process dies: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for the assignment. Until then this process dies with its daemon.
fn become_named() -> io::Result<Option<(Home, Identity)>> {
    let socket = descriptor::take_handed()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let Some(assignment) = Assignment::receive(&socket)? else { return Ok(None) };
    set_parent_process_death_signal(None)?;
    let home = Home::open(&assignment.home()).map_err(io::Error::other)?;
    let mut identity = assignment.identity();
    if identity.name == ArmorName::Ftm {
        identity.elected = home.managers().map_err(io::Error::other)?.is_some();
    }
    Ok(Some((home, identity)))
}

fn run(home: Home, identity: Identity, raise: Raise) -> Result<Infallible, StartError> {
    write_own_log(&home, &identity)?;
    if identity.name == ArmorName::Ftm {
        limits::raise();
    }
    armor_process::run(home, identity, raise, None)
}

/// From now on standard output and error are the ARMOR's log and no longer the daemon's.
fn write_own_log(home: &Home, identity: &Identity) -> io::Result<()> {
    let directory = home.armor(identity.host, identity.name);
    fs::create_dir_all(&directory)?;
    let log = OpenOptions::new().append(true).create(true).open(directory.join("log"))?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(&log)?;
    Ok(())
}
