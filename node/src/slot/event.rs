//! What a slot is told, and what it reports.

use std::path::PathBuf;

use chameleon_core::job::{InjectionKind, OsBytes};
use chameleon_core::names::{Digest, ExecutionId};
use chameleon_core::world::BlockedWhy;
use std::os::fd::OwnedFd;

pub use super::control::Exit;
use super::control::Treatment;
pub use super::pack::{Prefix, Region};

/// One program to run.
#[derive(Debug)]
pub struct Start {
    pub execution: ExecutionId,
    /// The program and its arguments.
    pub argv: Vec<OsBytes>,
    /// The standard input; `None`: empty.
    pub stdin: Option<OwnedFd>,
    /// A fault to put in on purpose. `Lie` is not the slot's: it changes nothing here.
    pub fault: Option<InjectionKind>,
}

impl Start {
    pub(super) fn treatment(&self) -> Treatment {
        match self.fault {
            Some(InjectionKind::Kill) => Treatment::Kill,
            Some(InjectionKind::Stop) => Treatment::Stop,
            Some(InjectionKind::Slow) => Treatment::Slow,
            Some(InjectionKind::Flip | InjectionKind::Lie) | None => Treatment::None,
        }
    }
}

/// What happens in a slot, in the order in which it happens.
#[derive(Debug)]
pub enum SlotEvent {
    /// Before anything else: programs run in a copy of the run directory and are not kept from the host otherwise.
    Unconfined { why: String },
    /// The view stands. What was started before is started now.
    Ready,
    /// The program has run for 2 ms: its process id on this host. Shorter programs are reported as ended only.
    Started { execution: ExecutionId, pid: u32 },
    /// So much of stdout has arrived: at every multiple of 256 KiB, and whenever the program is quiet for 20 ms.
    Output { execution: ExecutionId, prefix: Prefix },
    /// A path that the program was not allowed to change, or that it changed and that cannot be kept; or a network
    /// address that it tried to reach. At most eight that were not allowed are named.
    Blocked { execution: ExecutionId, path: PathBuf, why: BlockedWhy },
    /// Nothing was started: the exit code that `env` gives (126 or 127), or 125 if Chameleon failed; and why.
    Refused { execution: ExecutionId, code: u8, why: String },
    /// The program has ended, and nothing of it is left running.
    Ended(Box<Ended>),
    /// The shim has answered `Slot::ping`.
    Pong(u64),
    /// The slot is gone with all that ran in it; nothing more will be reported.
    Lost { why: String },
}

/// The whole result of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub execution: ExecutionId,
    pub exit: Exit,
    /// In the slot's `out.pack`.
    pub stdout: Region,
    /// In the slot's `err.pack`.
    pub stderr: Region,
    /// `None`: nothing that is held was changed.
    pub changes: Option<Changes>,
    /// Of all its processes, in microseconds.
    pub cpu: u64,
    /// The largest of any of its processes, in bytes; never less than what the shim itself takes.
    pub max_rss: u64,
}

/// What an execution has changed in the run directory and the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// What is voted on.
    pub vote: Digest,
    /// The manifest as a content in the blob store; differs from lane to lane, since times and owners are in it.
    pub manifest: Digest,
    /// How many paths.
    pub count: u64,
    /// The sum of the lengths of the files that were written.
    pub bytes: u64,
}
