//! This end's hold on a slot's first process: starting it, and being sure that it is gone.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::process::{Signal, WaitId, WaitIdOptions};

use super::SlotError;
use super::control::{self, FromShim, ToShim};
use super::plan::Plan;
use crate::os::spawn;

/// How long a shim may take to fork its namespace.
const FORK_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The first process of the slot. Dropping it kills it, and waits until all that ran in the slot is gone.
#[derive(Debug)]
pub(super) struct ShimProcess {
    pub(super) pid: u32,
    pidfd: OwnedFd,
}

/// Starts the shim, sends it the plan, and waits until it has forked the first process of the slot.
pub(super) fn start(executable: &Path, plan: Plan, outputs: [OwnedFd; 2]) -> Result<(OwnedFd, ShimProcess), SlotError> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| SlotError::Control(error.into()))?;
    let mut command = Command::new(executable);
    command.arg("slot").stdin(Stdio::from(theirs)).stdout(Stdio::null());
    let mut parent = spawn::dies_with_parent(&mut command)
        .spawn()
        .map_err(|error| SlotError::Shim(format!("{}: {error}", executable.display())))?;
    let descriptors = outputs.each_ref().map(AsFd::as_fd);
    let sent = control::send(ours.as_fd(), &ToShim::Setup(plan), &descriptors);
    let forked = sent.map_err(SlotError::Control).and_then(|()| hear_fork(&ours));
    if forked.is_err() {
        let _ = parent.kill();
    }
    let _ = parent.wait();
    let forked = forked?;
    control::send(ours.as_fd(), &ToShim::Begin, &[]).map_err(SlotError::Control)?;
    Ok((ours, forked))
}

fn hear_fork(control: &OwnedFd) -> Result<ShimProcess, SlotError> {
    let mut polled = [PollFd::new(control, PollFlags::IN)];
    let ready =
        rustix::event::poll(&mut polled, Some(&FORK_PATIENCE)).map_err(|error| SlotError::Control(error.into()))?;
    if ready == 0 {
        return Err(SlotError::Shim("it did not answer".into()));
    }
    match control::receive(control.as_fd(), RecvFlags::DONTWAIT).map_err(SlotError::Control)? {
        Some((FromShim::Forked(pid), mut descriptors)) if !descriptors.is_empty() => {
            Ok(ShimProcess { pid: pid.unsigned_abs(), pidfd: descriptors.remove(0) })
        }
        Some((FromShim::Unfit(why), _)) => Err(SlotError::Shim(format!("it failed to {why}"))),
        Some(_) | None => Err(SlotError::Shim("it ended early".into())),
    }
}

impl ShimProcess {
    pub(super) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Kills it and waits until it is gone, and with it all that ran in the slot. Harmless if that has been done.
    pub(super) fn end(&self) {
        self.kill();
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

impl Drop for ShimProcess {
    fn drop(&mut self) {
        self.end();
    }
}
