//! This end's hold on a slot's first process: starting it, and being sure that it is gone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::process::{Signal, WaitId, WaitIdOptions};

use super::SlotError;
use super::control::{self, FromShim, ToShim};
use super::plan::{Plan, as_path};
use crate::os::facilities::Facilities;
use crate::os::spawn;
use crate::process::shims;

/// How long a shim may take to fork its namespace.
const FORK_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The first process of the slot. Dropping it kills it, and waits until all that ran in the slot is gone.
#[derive(Debug)]
pub(super) struct ShimProcess {
    pub(super) pid: u32,
    hold: Hold,
}

/// What it is held by.
#[derive(Debug)]
enum Hold {
    /// The first process of a PID namespace, whose end is that of all the others.
    Namespace { pidfd: OwnedFd },
    /// A child of this process. What it runs is a group that it notes in the slot's directory.
    Group { child: Child, work: PathBuf },
}

/// Starts the shim, sends it the plan, and waits until there is the first process of the slot.
pub(super) fn start(
    executable: &Path,
    plan: &Plan,
    outputs: [BorrowedFd<'_>; 2],
) -> Result<(OwnedFd, ShimProcess), SlotError> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| SlotError::Control(error.into()))?;
    let unstartable = |error: std::io::Error| SlotError::Shim(format!("{}: {error}", executable.display()));
    let mut command = spawn::command(executable).map_err(unstartable)?;
    command.arg("slot").stdin(Stdio::from(theirs)).stdout(Stdio::null());
    if plan.facilities == Facilities::Linux {
        spawn::dies_with_parent(&mut command);
    }
    let child = command.spawn().map_err(unstartable)?;
    // It would keep the other end open, and this one would not hear of the child's.
    drop(command);
    let sent = control::send(ours.as_fd(), &ToShim::Setup(plan.clone()), &outputs);
    let shim = held(child, sent.map_err(SlotError::Control).and_then(|()| hear_fork(&ours)), as_path(&plan.work))?;
    control::send(ours.as_fd(), &ToShim::Begin, &[]).map_err(SlotError::Control)?;
    Ok((ours, shim))
}

/// What the shim said of the first process, and a hold on that.
fn held(
    mut child: Child,
    forked: Result<(u32, Option<OwnedFd>), SlotError>,
    work: &Path,
) -> Result<ShimProcess, SlotError> {
    if let Ok((pid, None)) = forked {
        return Ok(ShimProcess { pid, hold: Hold::Group { child, work: work.to_owned() } });
    }
    if forked.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    match forked? {
        (pid, Some(pidfd)) => Ok(ShimProcess { pid, hold: Hold::Namespace { pidfd } }),
        (_, None) => Err(SlotError::Shim("it ended early".into())),
    }
}

fn hear_fork(control: &OwnedFd) -> Result<(u32, Option<OwnedFd>), SlotError> {
    let mut polled = [PollFd::new(control, PollFlags::IN)];
    let ready =
        rustix::event::poll(&mut polled, Some(&FORK_PATIENCE)).map_err(|error| SlotError::Control(error.into()))?;
    if ready == 0 {
        return Err(SlotError::Shim("it did not answer".into()));
    }
    match control::receive(control.as_fd(), RecvFlags::DONTWAIT).map_err(SlotError::Control)? {
        Some((FromShim::Forked(pid), descriptors)) => Ok((pid.unsigned_abs(), descriptors.into_iter().next())),
        Some((FromShim::NoNamespaces(why), _)) => Err(SlotError::NoNamespaces(why)),
        Some((FromShim::Unfit(why), _)) => Err(SlotError::Shim(format!("it failed to {why}"))),
        Some(_) | None => Err(SlotError::Shim("it ended early".into())),
    }
}

impl ShimProcess {
    pub(super) fn kill(&mut self) {
        match &mut self.hold {
            Hold::Namespace { pidfd } => {
                let _ = rustix::process::pidfd_send_signal(&*pidfd, Signal::KILL);
            }
            Hold::Group { child, work } => {
                let _ = child.kill();
                shims::end_group(work);
            }
        }
    }

    /// Kills it and waits until it is gone, and with it all that ran in the slot. Harmless if that has been done.
    pub(super) fn end(&mut self) {
        self.kill();
        match &mut self.hold {
            Hold::Namespace { pidfd } => {
                let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            }
            Hold::Group { child, work } => {
                let _ = child.wait();
                // It may have started a program as it was killed.
                shims::end_group(work);
            }
        }
    }
}

impl Drop for ShimProcess {
    fn drop(&mut self) {
        self.end();
    }
}
