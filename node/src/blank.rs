//! A blank process: it waits for a name, and then is that ARMOR for the rest of its life.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use chameleon_core::names::ArmorName;
use chameleon_core::shell::Identity;
use rustix::net::RecvFlags;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::armor_process::{self, Raise, StartError};
use crate::home::Home;
use crate::limits;
use crate::os::descriptor;
use crate::os::linux::launch::{self, Forked};
use crate::process::{Answer, Order};
use crate::slot::control;

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

/// Waits for the assignment, and makes copies of this process meanwhile. Until then it dies with its daemon.
fn become_named() -> io::Result<Option<(Home, Identity)>> {
    let mut socket = descriptor::take_handed()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    loop {
        match control::receive(socket.as_fd(), RecvFlags::empty())? {
            Some((Order::Stay, _)) => control::send(socket.as_fd(), &Answer::Up, &[])?,
            Some((Order::Copy, descriptors)) => socket = copy(socket, descriptors)?,
            Some((Order::Be(assignment), _)) => {
                set_parent_process_death_signal(None)?;
                let home = Home::open(&assignment.home()).map_err(io::Error::other)?;
                let mut identity = assignment.identity();
                if identity.name == ArmorName::Ftm {
                    identity.elected = home.managers().map_err(io::Error::other)?.is_some();
                }
                return Ok(Some((home, identity)));
            }
            None => return Ok(None),
        }
    }
}

/// Makes a copy of this process; the socket at which each of the two is told more.
fn copy(socket: OwnedFd, descriptors: Vec<OwnedFd>) -> io::Result<OwnedFd> {
    let theirs = descriptors.into_iter().next().ok_or(io::ErrorKind::InvalidData)?;
    match launch::fork_sibling()? {
        Forked::Parent { child, .. } => {
            control::send(socket.as_fd(), &Answer::Copied(child), &[])?;
            Ok(socket)
        }
        Forked::Child => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            rustix::process::setsid()?;
            Ok(theirs)
        }
    }
}

fn run(home: Home, identity: Identity, raise: Raise) -> Result<Infallible, StartError> {
    crate::log::is_at(home.armor(identity.host, identity.name).join("log"));
    if identity.name == ArmorName::Ftm {
        limits::raise();
    }
    armor_process::run(home, identity, raise, None)
}
