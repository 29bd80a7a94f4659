//! What an ARMOR can ask of the machine it is on, and what the machine reports back.
//!
//! Values only: `node` carries them out on a real machine, `sim` in an invented one. Bytes never come
//! in here; what a program wrote is known by where it lies and by its digest.

mod bytes;
mod reign;
mod slots;

use minicbor::{Decode, Encode};

pub use self::bytes::{ChangeSet, Holder, IndexEntry, Input, Offer, Piece, Whereabouts};
pub use self::reign::{Reign, ReignSight};
pub use self::slots::{BlockedWhy, Ended, SlotCommand, SlotEvent, SlotPlan, SlotSample};
use crate::book::Book;
use crate::job::OsBytes;
use crate::names::{ArmorName, Digest, ExecutionId, HostId, Incarnation, JobId, LaneId, Millis, SlotId, StageId, Term};
use crate::principal::{Principal, Role};
use crate::profile::Profile;

/// Where an execution's output lies: a region of the pack of the slot that ran it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Region {
    #[n(0)]
    pub slot: SlotId,
    /// First byte in the pack.
    #[n(1)]
    pub offset: u64,
    /// Length in bytes.
    #[n(2)]
    pub length: u64,
    #[n(3)]
    pub digest: Digest,
}

/// What an execution changed in the files that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Changes {
    /// The change set itself, a blob of the job.
    #[n(0)]
    pub manifest: Digest,
    /// What is voted on: the change set without times, owners and masked contents.
    #[n(1)]
    pub voted: Digest,
    /// Number of paths changed.
    #[n(2)]
    pub count: u64,
    /// Bytes of new content.
    #[n(3)]
    pub bytes: u64,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum End {
    #[n(0)]
    Exit(#[n(0)] u8),
    #[n(1)]
    Signal(#[n(0)] u8),
    /// There is no such program.
    #[n(2)]
    NotFound,
    /// There is one, but it cannot be executed.
    #[n(3)]
    NotExecutable,
}

impl End {
    /// The exit code a shell would show.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            End::Exit(code) => code,
            End::Signal(number) => 128u8.saturating_add(number),
            End::NotFound => 127,
            End::NotExecutable => 126,
        }
    }
}

/// What the daemon, and for notices the FTM, asks of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessCommand {
    /// Makes blank processes until this many wait; each is announced by `Blank`.
    Stock { blanks: u16 },
    /// Gives a blank process its name; answered by the ARMOR's own `Ready`, or by `Exited`.
    Assign { pid: u32, name: ArmorName, incarnation: Incarnation, mirror: Option<SecondHome> },
    /// Watches a process that an earlier daemon made; answered by `Adopted`, or by `Exited` if it is gone.
    Adopt { name: ArmorName, incarnation: Incarnation, process: ProcessMark },
    /// Ends a process, stopped or not; `Exited` follows. Incarnation 0 means whichever daemon holds the
    /// lock of this host; the same in `Sample`.
    Kill { name: ArmorName, incarnation: Incarnation },
    /// Asks the system how a process fares; answered by `Sampled`.
    Sample { name: ArmorName, incarnation: Incarnation },
    /// Deletes what a retired ARMOR kept on this host. With `job`, all that the job kept.
    Clean { name: Option<ArmorName>, job: Option<JobId> },
    /// Tells the user's command; answered by `Notified`.
    Notify { notice: u64, command: Vec<OsBytes>, text: String },
    /// The whole system of this home ends now.
    Stop,
    /// Starts a host by this command, which is told the text; answered by `Summoned`. FTM only.
    Summon { host: HostId, command: Vec<OsBytes>, text: String },
    /// Starts a daemon on this host, unless one holds its lock.
    Revive,
    /// Knocks at the door of another host's daemon, to see what its system does; answered by `Knocked`.
    Knock { host: HostId },
    /// Says how fast bytes came from other hosts of late; answered by `Transfers`. Heartbeat only.
    Transfers,
    /// Certifies this public key for this member of the cluster; answered by `Signed`. FTM only.
    Sign { to: ArmorName, member: Principal, role: Role, key: Vec<u8> },
    /// Writes a backup of the store as this home's backup of this number; answered by `BackedUp`. FTM only.
    BackUp { to: ArmorName, number: u64, keys: bool },
    /// Keeps the address book for all processes of this home. No answer.
    KeepBook(Box<Book>),
    /// Has this host looked over; answered by `Profiled`. Init only.
    Profile,
    /// Looks up in the store who reigns; answered by `ReignSeen`. Candidates only, and so is the next.
    LookUpReign,
    /// Asks the store for the term behind the one that is accused, if that is the one there and, where that is said, has
    /// changed so much and no more; answered by `ReignSeen`.
    AskReign { accused: Term, request: u64, changes: Option<u64> },
}

/// A process, beyond doubt: a pid alone may be somebody else's by now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct ProcessMark {
    #[n(0)]
    pub pid: u32,
    /// Ticks since boot at its start (field 22 of /proc/PID/stat).
    #[n(1)]
    pub start_time: u64,
    #[n(2)]
    pub boot_id: String,
}

/// The second home of what an ARMOR saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SecondHome {
    /// Where the Mirror of its job lives.
    #[n(0)]
    pub host: HostId,
    /// It had lives on another host, and that is a later Mirror: if both have nothing, nobody knows what was saved.
    #[n(1)]
    pub moved: bool,
}

/// What happened to processes of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// A blank process waits for a name.
    Blank {
        process: ProcessMark,
    },
    /// A process that an earlier daemon made is watched again.
    Adopted {
        name: ArmorName,
        incarnation: Incarnation,
    },
    Exited {
        name: ArmorName,
        incarnation: Incarnation,
    },
    /// A blank process died before it had a name.
    BlankLost {
        pid: u32,
    },
    Sampled {
        name: ArmorName,
        incarnation: Incarnation,
        sample: ProcessSample,
    },
    Notified {
        notice: u64,
        /// What went wrong, if it did.
        failure: Option<String>,
    },
    /// The command that was to start a host has ended.
    Summoned {
        host: HostId,
        /// What went wrong, if it did.
        failure: Option<String>,
    },
    /// What was to be certified for `to`: the chain of certificates, DER, or why there is none.
    Signed {
        to: ArmorName,
        member: Principal,
        outcome: Result<Vec<Vec<u8>>, String>,
    },
    /// The backup that was to be written for `to` is on disk, or why not.
    BackedUp {
        to: ArmorName,
        number: u64,
        failure: Option<String>,
    },
    /// The command that this system was made for is gone: an ephemeral system ends with it.
    OwnerGone,
    /// What the host's own policy says; `None` if there is none. Told to a daemon before all else, and
    /// when it has changed.
    PolicyRead(Result<Option<Vec<u8>>, String>),
    Knocked {
        host: HostId,
        knock: Knock,
    },
    /// An answer came to a beat, after so long.
    RoundTrip {
        host: HostId,
        us: u64,
    },
    /// Bytes a second of the last long transfer from each host.
    Transfers(Vec<(HostId, u64)>),
    /// What this host is, but for its clock.
    Profiled(Box<Profile>),
    ReignSeen(ReignSight),
}

/// What a machine does when somebody knocks at the door of its daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Knock {
    /// Its system opens, whether or not anybody in there looks.
    #[n(0)]
    Opens,
    /// Its system answers that nobody lives there.
    #[n(1)]
    Nobody,
    /// Nothing at all.
    #[n(2)]
    Nothing,
}

/// What the system says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSample {
    /// Stopped by a signal or a debugger (state T or t).
    pub stopped: bool,
    /// CPU time so far, microseconds.
    pub cpu_us: u64,
    /// CPU time that the process wanted and did not get, microseconds (run-queue wait).
    pub starved_us: u64,
}

/// What an ARMOR asks of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileCommand {
    /// Applies change sets to the real directories by a redo log, all or none, fetching what other hosts keep;
    /// answered by `Committed`.
    Commit { job: JobId, stage: StageId, pass: Digest, changes: Vec<ChangeSet> },
    /// Digests a file or the spooled input; answered by `Digested`.
    Digest { job: JobId, stage: StageId, input: Input },
    /// Makes an input of this host ready to be fetched by others; answered by `Offered`.
    Offer { job: JobId, stage: StageId, input: Input, whereabouts: Whereabouts },
    /// Fetches an input from the job's origin, checks it, and lays it where the slots of the stage show it at its own
    /// path; answered by `Fetched`.
    Fetch { job: JobId, stage: StageId, input: Input, offer: Offer, whereabouts: Whereabouts },
    /// Digest of the first `offset` bytes of a finished execution's output; answered by `Prefix`.
    Prefix { job: JobId, lane: LaneId, execution: ExecutionId, region: Region, offset: u64 },
    /// Appends to the index of a job, behind its first `at` bytes, where decided output lies; answered by `IndexKept`.
    KeepIndex { job: JobId, pass: Digest, at: u64, entries: Vec<IndexEntry> },
}

/// What the file system answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEvent {
    Committed {
        stage: StageId,
        outcome: CommitOutcome,
    },
    Digested {
        stage: StageId,
        input: Input,
        outcome: Result<Digest, String>,
    },
    Offered {
        stage: StageId,
        input: Input,
        outcome: Result<Offer, String>,
    },
    Fetched {
        stage: StageId,
        input: Input,
        outcome: Result<Digest, String>,
    },
    Prefix {
        execution: ExecutionId,
        so_far: Region,
    },
    /// What was asked for last is on disk: so long is the index now.
    IndexKept {
        outcome: Result<u64, String>,
    },
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CommitOutcome {
    /// All is in place and on disk; the number of paths changed.
    #[n(0)]
    Done(#[n(0)] u64),
    /// Somebody else changed these paths meanwhile; nothing was applied.
    #[n(1)]
    Conflict(#[n(0)] Vec<OsBytes>),
    /// It could not be applied; nothing was.
    #[n(2)]
    Failed(#[n(0)] String),
}

impl ProcessSample {
    /// Whether it used the CPU for a quarter of the time at least.
    #[must_use]
    pub fn spun(&self, earlier: &ProcessSample, silent: Millis) -> bool {
        self.cpu_us.saturating_sub(earlier.cpu_us) * 4 >= silent.0 * 1000
    }

    /// Whether it used so much of the CPU, in however long a time.
    #[must_use]
    pub fn used(&self, earlier: &ProcessSample, cpu: Millis) -> bool {
        self.cpu_us.saturating_sub(earlier.cpu_us) >= cpu.0 * 1000
    }

    /// Whether a process that is silent had the chance to speak: it is stopped, or it used the CPU.
    #[must_use]
    pub fn could_have_answered(&self, earlier: &ProcessSample, silent: Millis) -> bool {
        let waited_us = self.starved_us.saturating_sub(earlier.starved_us);
        self.stopped || self.spun(earlier, silent) || waited_us * 4 < silent.0 * 1000
    }
}
