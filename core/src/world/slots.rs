//! What an Execution asks of the slots of its lane, and what they report.

use minicbor::{Decode, Encode};

use crate::job::{Files, InjectionKind, Origin, OsBytes, Stdin};
use crate::names::{ExecutionId, JobId, LaneId, SlotId, StageId};
use crate::world::{Changes, End, Piece, Region};

/// How one slot is made. The same for all slots of a lane, but for the work directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPlan {
    pub job: JobId,
    pub origin: Origin,
    /// It shows what was fetched for this stage in place of the run directory and the inputs.
    pub mirrored: bool,
    pub stage: StageId,
    pub lane: LaneId,
    pub directory: OsBytes,
    /// The command's first word: the file it means stays visible to the program.
    pub program: OsBytes,
    pub files: Files,
    pub inputs: Vec<OsBytes>,
    pub outputs: Vec<OsBytes>,
    pub net: bool,
    pub environment: Vec<OsBytes>,
    pub umask: u32,
    pub masks: Vec<crate::job::Mask>,
}

/// What an Execution asks of its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotCommand {
    /// Makes a slot; answered by `Ready` or `Unavailable`, which say which opening of it they speak of.
    Open { slot: SlotId, opening: u64, plan: SlotPlan },
    /// Starts a program; answered by `Ended` or `Lost`, `Output` and `Blocked` before that.
    Start {
        slot: SlotId,
        execution: ExecutionId,
        command: Vec<OsBytes>,
        stdin: Stdin,
        /// Decided output that is its standard input instead, in this order, each checked against its digest.
        handed: Vec<Piece>,
        fault: Option<InjectionKind>,
    },
    /// Kills what runs in the slot; `Ended` follows.
    Kill { slot: SlotId },
    /// Reads output up to this many bytes of the execution; beyond it the program is held back.
    Allow { slot: SlotId, upto: u64 },
    /// More of the spooled standard input may be read: up to `upto` bytes, all of it if `end`.
    Feed { slot: SlotId, upto: u64, end: bool },
    /// Digest of the first `offset` bytes of the running or last execution's output; answered by `Prefix`.
    Prefix { slot: SlotId, execution: ExecutionId, offset: u64 },
    /// Asks how the slot and its program fare; answered by `Sampled`.
    Sample { slot: SlotId },
    /// Ends the slot and whatever runs in it. No answer.
    Close { slot: SlotId },
}

/// Why a path was not changed, or is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum BlockedWhy {
    /// It lies outside the run directory.
    #[n(0)]
    ReadOnly,
    /// It lies in the run directory of a stage that holds no files.
    #[n(1)]
    NoFiles,
    /// It is a network address, and the network is off.
    #[n(2)]
    Network,
    /// It lies next to an `--output` that names another path.
    #[n(3)]
    Outside,
    /// It is a pipe, a socket or a device, which are not kept.
    #[n(4)]
    Unsupported,
}

/// What happened in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotEvent {
    Ready {
        slot: SlotId,
        opening: u64,
    },
    /// Told before `Ready`: programs run in a copy of the run directory and are not kept from the host otherwise.
    Unconfined {
        slot: SlotId,
        opening: u64,
        why: String,
    },
    /// No slot can be made here; the sentence says why and what would help.
    Unavailable {
        slot: SlotId,
        opening: u64,
        why: String,
    },
    /// Output so far: reported at every 256 KiB, and when the program is quiet.
    Output {
        slot: SlotId,
        execution: ExecutionId,
        so_far: Region,
    },
    /// The first bytes of the output, as many as were asked for.
    Prefix {
        slot: SlotId,
        execution: ExecutionId,
        so_far: Region,
    },
    /// A path that the program was not allowed to change, or that it changed and that cannot be kept; or a network
    /// address that it tried to reach.
    Blocked {
        slot: SlotId,
        execution: ExecutionId,
        path: OsBytes,
        why: BlockedWhy,
    },
    Ended {
        slot: SlotId,
        execution: ExecutionId,
        ended: Ended,
    },
    /// The program was started, but what it wrote could not be held (a full disk, say).
    Unheld {
        slot: SlotId,
        execution: ExecutionId,
        why: String,
    },
    /// The slot itself died, with whatever ran in it (`execution`, if any).
    Lost {
        slot: SlotId,
        opening: u64,
        execution: Option<ExecutionId>,
        why: String,
    },
    Sampled {
        slot: SlotId,
        sample: SlotSample,
    },
}

/// How a slot and the program in it fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotSample {
    /// Number of the sample; an answer by the slot's init raises `answered` to it.
    pub asked: u64,
    /// The last sample that the slot's init answered.
    pub answered: u64,
    /// CPU time of what runs there, microseconds.
    pub cpu_us: u64,
    /// Every process of the program is stopped, and not by us.
    pub stopped: bool,
}

/// A finished execution.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ended {
    #[n(0)]
    pub end: End,
    #[n(1)]
    pub stdout: Region,
    #[n(2)]
    pub stderr: Region,
    /// `None` where files are not held.
    #[n(3)]
    pub changes: Option<Changes>,
    /// CPU time of the program and its descendants, microseconds.
    #[n(4)]
    pub cpu_us: u64,
    /// From start to end, microseconds.
    #[n(5)]
    pub wall_us: u64,
}
