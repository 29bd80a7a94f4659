//! What a user's command can be told.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::book::{Book, Entry};
use crate::job::{Job, OsBytes};
use crate::message::{ArmorState, Conduct, Occurrence, Outcome, Resolution};
use crate::names::{ArmorName, Digest, ExecutionId, HostId, Incarnation, JobId, LaneId, StageId, TaskId, Term};
use crate::principal::Principal;
use crate::profile::Profile;
use crate::world::{Holder, Region};

/// To a user's command.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum UserMessage {
    /// FTM → user: the job is on disk.
    #[n(0)]
    Accepted {
        #[n(0)]
        request: u64,
        #[n(1)]
        job: JobId,
    },
    /// FTM → user: a sentence that says why not.
    #[n(1)]
    Refused {
        #[n(0)]
        why: String,
    },
    /// FTM → user: the jobs that were asked for by `Query::Jobs` or `Query::Job`.
    #[n(2)]
    Jobs(#[n(0)] Vec<JobRow>),
    /// FTM → user: the ARMORs that were asked for by `Query::Armors`.
    #[n(3)]
    Armors(#[n(0)] Vec<ArmorRow>),
    /// FTM → user: the events that were asked for by `Query::Events`, in order.
    #[n(4)]
    Events(#[n(0)] Vec<EventRow>),
    /// FTM → user: the job that was asked for by `Query::Submitted`.
    #[n(5)]
    Submitted(#[n(0)] Box<Job>),
    /// FTM → user: the job is gone, as `FtmMessage::Forget` asked for, with all its output.
    #[n(6)]
    Forgotten {
        #[n(0)]
        job: JobId,
    },
    /// FTM → user: how many notices of the job its notify command has not taken yet. No answer.
    #[n(10)]
    Notices {
        #[n(0)]
        job: JobId,
        #[n(1)]
        waiting: u64,
    },
    /// FTM → user: this ARMOR of a job that is followed has its next lives on another host; a link to it may lead to an
    /// earlier one for ever. No answer.
    #[n(60)]
    Moved {
        #[n(0)]
        name: ArmorName,
    },
    /// FTM → user: what the person said of the job's outcome is on record. No answer.
    #[n(120)]
    Resolved {
        #[n(0)]
        job: JobId,
        #[n(1)]
        resolution: Resolution,
    },
    /// FTM → user: the reign of this term ends, or is over. No answer.
    #[n(130)]
    SteppedDown {
        #[n(0)]
        term: Term,
    },
    /// FTM → user: the backup of this number is on disk. No answer.
    #[n(150)]
    BackedUp {
        #[n(0)]
        number: u64,
    },
    /// FTM → user: who has the FTM, as `Query::Reign` asked. No answer.
    #[n(131)]
    Reign(#[n(0)] ReignRow),
    /// FTM → user: the hosts that were asked for by `Query::Hosts`. No answer.
    #[n(80)]
    Hosts(#[n(0)] Vec<HostRow>),
    /// FTM → user: the links that were asked for by `Query::Links`. No answer.
    #[n(141)]
    Links(#[n(0)] Vec<LinkRow>),
    /// FTM → user: the host that was asked for by `Query::Host`, with what its Init ARMOR found; nothing
    /// of that as long as it looks. No answer.
    #[n(81)]
    Host {
        #[n(0)]
        row: HostRow,
        #[n(1)]
        profile: Option<Box<Profile>>,
        /// What is on record of it.
        #[n(140)]
        conduct: Box<Conduct>,
        /// By what it is started when it is lost.
        #[n(141)]
        revive: Vec<OsBytes>,
    },

    /// SM → user: more decided output, in order. Answered by `SurrogateMessage::Consumed`.
    #[n(7)]
    Released(#[n(0)] Vec<Release>),
    /// SM → user: how the lanes fare; nothing depends on it.
    #[n(8)]
    Progress {
        #[n(0)]
        stage: StageId,
        /// Tasks of the stage, decided and in all.
        #[n(1)]
        decided: u64,
        #[n(2)]
        tasks: u64,
        #[n(3)]
        lanes: Vec<LaneRow>,
    },
    /// FTM or SM → user: the job has ended and its end is on disk; no output follows.
    #[n(9)]
    Ended {
        #[n(0)]
        job: JobId,
        #[n(1)]
        outcome: Outcome,
        /// Bytes of decided output in all.
        #[n(2)]
        length: u64,
    },

    /// FTM → user: the token of this digest is on disk and may be given to somebody.
    #[n(40)]
    TokenKept {
        #[n(0)]
        digest: Digest,
    },
    /// FTM → user: you are in, on `FtmMessage::Enrol` or `Renew`.
    #[n(41)]
    Admitted(#[n(0)] Box<Admission>),
    /// FTM → user: this one is let in no more; every host that can be reached has been told.
    #[n(42)]
    Revoked {
        #[n(0)]
        member: Principal,
    },
    /// FTM → user: nothing more is placed on this host, or it is used again; what was there goes on elsewhere, or
    /// stays until its job ends, for a reason.
    #[n(45)]
    Drained {
        #[n(0)]
        host: HostId,
        #[n(1)]
        drained: bool,
        #[n(2)]
        moved: Vec<(ArmorName, HostId)>,
        #[n(3)]
        stays: Vec<(ArmorName, String)>,
    },
    /// FTM → user: when this host is lost, it is started by this command; empty: by none.
    #[n(142)]
    RevivedBy {
        #[n(0)]
        host: HostId,
        #[n(1)]
        command: Vec<OsBytes>,
    },
    /// FTM → user: this host is trusted, whether or not it was before.
    #[n(140)]
    Pardoned {
        #[n(0)]
        host: HostId,
        #[n(1)]
        was_quarantined: bool,
    },
    /// FTM → user: this ARMOR ends on the one host and begins on the other.
    #[n(46)]
    Moving {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        from: HostId,
        #[n(2)]
        to: HostId,
    },
    /// FTM → user: the SM of a job that was submitted or is awaited is reached there. Said again when
    /// it is elsewhere. No answer.
    #[n(43)]
    Located {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        host: HostId,
        #[n(2)]
        address: String,
    },
    /// FTM → user: where the hosts are reached; said to a person, who has no daemon to keep it. No answer.
    #[n(44)]
    Book(#[n(0)] Box<Book>),
}

/// What somebody who is let in is given.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Admission {
    #[n(0)]
    pub member: Principal,
    /// Certificates, DER: its own, and that of the cluster's authority.
    #[n(1)]
    pub chain: Vec<ByteVec>,
    #[n(2)]
    pub book: Book,
}

/// A piece of decided output that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Release {
    /// Position of its first byte in the whole job's output.
    #[n(0)]
    pub position: u64,
    #[n(1)]
    pub host: HostId,
    #[n(2)]
    pub lane: LaneId,
    #[n(3)]
    pub execution: ExecutionId,
    /// First byte within the execution's output, and how many bytes.
    #[n(4)]
    pub offset: u64,
    #[n(5)]
    pub length: u64,
    /// Of the execution's output from its first byte to the last one released here.
    #[n(6)]
    pub digest: Digest,
    /// Where the execution's output begins in the lane's pack.
    #[n(7)]
    pub slot: crate::names::SlotId,
    #[n(8)]
    pub begins: u64,
    /// The decided execution's standard error, once it is finished.
    #[n(9)]
    pub stderr: Option<Region>,
    /// Where else the execution's output lies, one entry a host.
    #[n(10)]
    pub others: Vec<Holder>,
}

/// A lane, for the progress line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct LaneRow {
    #[n(0)]
    pub lane: LaneId,
    #[n(1)]
    pub finished: u64,
    #[n(2)]
    pub running: Option<(TaskId, u64)>,
    #[n(3)]
    pub paused: bool,
    #[n(4)]
    pub cpu_us: u64,
}

/// A line of `ps`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JobRow {
    #[n(0)]
    pub job: JobId,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub strategy: String,
    #[n(3)]
    pub submitted_unix_ms: u64,
    #[n(4)]
    pub ended_unix_ms: Option<u64>,
    /// `None`: it runs.
    #[n(5)]
    pub outcome: Option<Outcome>,
    /// What it waits for before it can start or go on, as in "for 2 of 3 lanes: h2 is away".
    #[n(7)]
    pub waits_for: Option<String>,
    /// What a person said of an outcome that was unknown.
    #[n(6)]
    pub resolution: Option<Resolution>,
}

/// A line of `armors`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ArmorRow {
    #[n(0)]
    pub name: ArmorName,
    #[n(1)]
    pub host: HostId,
    #[n(2)]
    pub pid: u32,
    #[n(3)]
    pub incarnation: Incarnation,
    #[n(4)]
    pub state: ArmorState,
}

/// A line of `events`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EventRow {
    /// Events are numbered from 0 without gaps, over all jobs.
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub job: Option<JobId>,
    #[n(2)]
    pub occurrence: Occurrence,
}

/// Who has the FTM, and who may have it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReignRow {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub term: Term,
    /// When this reign began.
    #[n(2)]
    pub since_unix_ms: u64,
    /// Those that this reign has heard of; none: no other host may have it.
    #[n(3)]
    pub candidates: Vec<CandidateRow>,
}

/// A candidate for the FTM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CandidateRow {
    #[n(0)]
    pub host: HostId,
    /// Whether its daemon can be spoken to.
    #[n(1)]
    pub reached: bool,
}

/// A line of `hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HostRow {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub state: HostState,
    /// When this life of its daemon was first heard of.
    #[n(2)]
    pub since_unix_ms: u64,
    #[n(3)]
    pub jobs: u32,
    /// ARMORs that serve jobs, and how many of them are lanes.
    #[n(4)]
    pub armors: u32,
    #[n(5)]
    pub lanes: u32,
    /// As its Init ARMOR found it; empty and 0 before that.
    #[n(6)]
    pub cores: u16,
    #[n(7)]
    pub platform: String,
    #[n(8)]
    pub numeric_class: String,
    /// Its line in the address book, if it is of a cluster.
    #[n(40)]
    pub entry: Option<Entry>,
}

/// A line of `hosts --links`; what was not measured is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct LinkRow {
    #[n(0)]
    pub from: HostId,
    #[n(1)]
    pub to: HostId,
    /// There and back.
    #[n(2)]
    pub round_trip_us: Option<u64>,
    /// Share of datagrams that are lost on the way.
    #[n(3)]
    pub loss_per_mille: Option<u16>,
    #[n(4)]
    pub bytes_per_s: Option<u64>,
}

/// Whether a host can be reckoned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum HostState {
    /// Its daemon can be spoken to.
    #[n(0)]
    Up,
    /// It has joined, and its daemon cannot be spoken to now.
    #[n(1)]
    Away,
    /// Nobody hears it, and what was needed of it is on other hosts.
    #[n(2)]
    Lost,
    /// Its daemon can be spoken to, and a person wants nothing more there.
    #[n(3)]
    Drained,
    /// It failed again and again: no new lanes go there until it has shown that it can be relied on.
    #[n(140)]
    Quarantined,
}

impl HostState {
    /// The word a person reads.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            HostState::Up => "up",
            HostState::Away => "away",
            HostState::Lost => "lost",
            HostState::Drained => "drained",
            HostState::Quarantined => "quarantined",
        }
    }
}
