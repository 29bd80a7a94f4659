//! What the FTM can be told.

use minicbor::{Decode, Encode};

use crate::job::{Job, OsBytes};
use crate::message::{Hearing, Measured, Occurrence, Outcome, Unmirrored};
use crate::names::{ArmorName, Digest, HostId, Incarnation, JobId, Millis, Term};
use crate::principal::{Principal, Role};
use crate::profile::Profile;

/// To the FTM.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FtmMessage {
    /// User → FTM: run this job. Answered by `UserMessage::Accepted` (once it is on disk) or
    /// `Refused`. The same `request` again is the same job again.
    #[n(0)]
    Submit {
        #[n(0)]
        request: u64,
        #[n(1)]
        job: Box<Job>,
    },
    /// User → FTM: tell me about something. Answered by the `UserMessage` of the query's name.
    #[n(1)]
    Ask(#[n(0)] Query),
    /// User → FTM: tell me when the job has ended. Answered by `UserMessage::Accepted` while it runs,
    /// and by `Ended`.
    #[n(2)]
    Await(#[n(0)] JobId),
    /// User → FTM: end the job without a result. Passed on to its SM; the end is answered as `Await`.
    #[n(3)]
    Cancel {
        #[n(0)]
        job: JobId,
        /// 130 for Ctrl-C, 143 for a termination, as a shell would show it.
        #[n(1)]
        code: u8,
    },
    /// User → FTM: drop an ended job with all its output. Answered by `UserMessage::Forgotten` or `Refused`.
    #[n(4)]
    Forget(#[n(0)] JobId),
    /// User → FTM: this is what became of a job whose outcome is unknown. Answered by
    /// `UserMessage::Resolved`, or `Refused`: also while the program might still run, unless forced.
    #[n(120)]
    Resolve {
        #[n(0)]
        job: JobId,
        #[n(1)]
        happened: bool,
        #[n(2)]
        who: String,
        #[n(3)]
        note: String,
        #[n(4)]
        force: bool,
    },

    /// Daemon → FTM: this host is here, with these ARMORs, the daemon itself among them. Said whenever
    /// the link comes up.
    #[n(5)]
    Joined {
        #[n(0)]
        host: HostId,
        #[n(1)]
        units: Vec<Unit>,
    },
    /// Daemon → FTM: an ARMOR runs (again).
    #[n(6)]
    Running(#[n(0)] Unit),
    /// Daemon → FTM: a retired ARMOR's process is gone, and what it kept.
    #[n(7)]
    Gone {
        #[n(0)]
        name: ArmorName,
    },
    /// Daemon → FTM: an ARMOR cannot be kept running here; `granted` incarnations are used up.
    #[n(8)]
    Lost {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        why: String,
    },
    /// Daemon → FTM: something happened to an ARMOR that people should read. A life of a daemon numbers
    /// without gaps from its incarnation times 2³², so that a repeated one can be dropped. Answered by
    /// `DaemonMessage::ObservedKept`; said again until then whenever the link comes up.
    #[n(9)]
    Observed {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        occurrence: Occurrence,
        #[n(2)]
        number: u64,
    },

    /// SM → FTM: places for these ARMORs, please. Answered by `SurrogateMessage::Granted`, when they run.
    #[n(10)]
    WantPlaces {
        #[n(0)]
        job: JobId,
        #[n(1)]
        names: Vec<ArmorName>,
    },
    /// SM → FTM: what happened, numbered from 0 without gaps. Answered by `SurrogateMessage::Told`.
    #[n(11)]
    Happened {
        #[n(0)]
        job: JobId,
        /// Number of the first one.
        #[n(1)]
        first: u64,
        #[n(2)]
        occurrences: Vec<Occurrence>,
    },
    /// SM → FTM: the job has ended thus; its ARMORs, this SM included, may be retired.
    /// Answered by `SurrogateMessage::EndKept` once it is on disk.
    #[n(12)]
    Ended {
        #[n(0)]
        job: JobId,
        #[n(1)]
        outcome: Outcome,
        /// Bytes of decided output in all.
        #[n(2)]
        length: u64,
    },

    /// SM, Voter → FTM: the copy of what this life saves is of no use, so it can do nothing. Said again when the link comes
    /// up; it gets another life, or its job ends. No answer.
    #[n(61)]
    Unmirrored {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        why: Unmirrored,
    },
    /// Heartbeat → FTM: how this host is heard here. Answers `HeartbeatMessage::Ask` and `Watch`; said unasked, and
    /// again from time to time, of a host that has been silent for too long, and once when it is heard again.
    #[n(60)]
    Hears {
        #[n(0)]
        host: HostId,
        #[n(1)]
        hearing: Hearing,
    },
    /// Heartbeat → FTM: what was measured of the hosts that it has to do with; said from time to time. No answer.
    #[n(142)]
    Links(#[n(0)] Vec<Measured>),
    /// Init → FTM: what time is it? Answered by `InitMessage::Time` with the same number.
    #[n(80)]
    AskTime {
        #[n(0)]
        host: HostId,
        #[n(1)]
        number: u64,
    },
    /// Init → FTM: what its host is. Said whenever the link comes up. Answered by the Init's retirement,
    /// once it is on disk.
    #[n(81)]
    Profiled {
        #[n(0)]
        host: HostId,
        #[n(1)]
        profile: Box<Profile>,
    },
    /// Init → FTM: what the test task of this number results in here. Answers `InitMessage::Test`.
    #[n(140)]
    Tested {
        #[n(0)]
        host: HostId,
        #[n(1)]
        number: u32,
        #[n(2)]
        answer: Digest,
    },

    /// User → FTM: keep a token of this digest, with which one is let in as this. Answered by
    /// `UserMessage::TokenKept` (once it is on disk) or `Refused`.
    #[n(40)]
    MakeToken {
        #[n(0)]
        digest: Digest,
        #[n(1)]
        role: Role,
        /// How long it is good.
        #[n(2)]
        good_for: Millis,
    },
    /// User → FTM: let me in; said by one whose name is not proved yet. Answered by
    /// `UserMessage::Admitted` (once it is on disk) or `Refused`.
    #[n(41)]
    Enrol(#[n(0)] Box<Application>),
    /// User → FTM: a new certificate for one that was let in before, for the key that it was let in
    /// with: of use to nobody else. Answered by `UserMessage::Admitted` or `Refused`.
    #[n(42)]
    Renew {
        #[n(0)]
        member: Principal,
        #[cbor(n(1), with = "minicbor::bytes")]
        key: Vec<u8>,
    },
    /// User → FTM: a host or person of this name is let in no more. Answered by
    /// `UserMessage::Revoked` (once it is on disk) or `Refused`.
    #[n(43)]
    Revoke {
        #[n(0)]
        name: String,
    },
    /// User → FTM: place nothing more on this host and let what can go on elsewhere do so; or use it again.
    /// Answered by `UserMessage::Drained` (once it is on disk) or `Refused`.
    #[n(46)]
    Drain {
        #[n(0)]
        host: HostId,
        #[n(1)]
        drained: bool,
    },
    /// User → FTM: this ARMOR of a running job shall go on on that host. Answered by `UserMessage::Moving`
    /// (once it is on disk) or `Refused`.
    #[n(47)]
    Move {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        to: HostId,
    },
    /// User → FTM: when this host is lost, start it by this command, on the FTM's host; empty: by none. Answered by
    /// `UserMessage::RevivedBy` (once it is on disk) or `Refused`.
    #[n(143)]
    ReviveBy {
        #[n(0)]
        host: HostId,
        #[n(1)]
        command: Vec<OsBytes>,
    },
    /// User → FTM: trust this host again that is in quarantine. Answered by `UserMessage::Pardoned` (once it is on
    /// disk) or `Refused`.
    #[n(141)]
    Pardon {
        #[n(0)]
        host: HostId,
    },
    /// User → FTM: the reign of this term is to end, and another candidate to have the next. Answered by
    /// `UserMessage::SteppedDown` (also if that reign is over), or `Refused`.
    #[n(130)]
    StepDown {
        #[n(0)]
        term: Term,
    },
    /// User → FTM: write a backup of the store as this home's backup of this number, with the keys of the cluster or without.
    /// Answered by `UserMessage::BackedUp` (once it is on disk) or `Refused`.
    #[n(150)]
    BackUp {
        #[n(0)]
        number: u64,
        #[n(1)]
        keys: bool,
    },
    /// Daemon → FTM: this host is a candidate for the FTM. Said whenever the link comes up. No answer.
    #[n(131)]
    Candidate {
        #[n(0)]
        host: HostId,
    },
    /// FTM → FTM (its own link says it, it is never taken from outside): who is behind this user's
    /// command, if it is not the owner of the FTM's home. No answer.
    #[n(44)]
    Introduced(#[n(0)] Principal),
    /// Daemon → FTM: other hosts reach this one here. Answered by `DaemonMessage::Book`.
    #[n(45)]
    Reachable {
        #[n(0)]
        name: String,
        #[n(1)]
        address: String,
        /// BLAKE3 of its public key.
        #[n(2)]
        key: Digest,
    },
}

/// What somebody says who wants to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Application {
    /// Of a token.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    /// How it wants to be called.
    #[n(1)]
    pub name: String,
    /// Where a host is reached, `ADDRESS:PORT`; empty for a person.
    #[n(2)]
    pub address: String,
    /// Public key, as a DER-encoded SubjectPublicKeyInfo.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub key: Vec<u8>,
}

/// An ARMOR as its daemon sees it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Unit {
    #[n(0)]
    pub name: ArmorName,
    #[n(1)]
    pub incarnation: Incarnation,
    /// 0 while it does not run, but is being started.
    #[n(2)]
    pub pid: u32,
    /// From the death of the incarnation before, if there was one, until this one was ready, in ms.
    #[n(3)]
    pub restored_after_ms: Option<u64>,
}

/// Where an ARMOR is in its life (D7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum ArmorState {
    #[n(0)]
    Requested,
    #[n(1)]
    Installing,
    #[n(2)]
    Running,
    #[n(3)]
    Retiring,
    #[n(4)]
    Retired,
    #[n(5)]
    Lost,
}

impl ArmorState {
    /// The word a person reads.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ArmorState::Requested => "requested",
            ArmorState::Installing => "installing",
            ArmorState::Running => "running",
            ArmorState::Retiring => "retiring",
            ArmorState::Retired => "retired",
            ArmorState::Lost => "lost",
        }
    }
}

/// A question that changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Query {
    /// `UserMessage::Jobs`, in order of submission; without `all`, those that have not ended.
    #[n(0)]
    Jobs {
        #[n(0)]
        all: bool,
    },
    /// `UserMessage::Jobs` with one row, or `Refused`.
    #[n(1)]
    Job(#[n(0)] JobId),
    /// `UserMessage::Armors`: those that are not retired.
    #[n(2)]
    Armors,
    /// `UserMessage::Events`: from number `from` on, of one job or of all; as many as fit in a message,
    /// none if there are no more.
    #[n(3)]
    Events {
        #[n(0)]
        job: Option<JobId>,
        #[n(1)]
        from: u64,
    },
    /// `UserMessage::Submitted`: the job as it was accepted, but for its pass.
    #[n(4)]
    Submitted(#[n(0)] JobId),
    /// `UserMessage::Notices`: how many notices of the job its notify command has not taken yet.
    #[n(5)]
    Notices(#[n(0)] JobId),
    /// `UserMessage::Jobs`: those whose outcome is unknown and that no person has resolved.
    #[n(120)]
    Unresolved,
    /// `UserMessage::Hosts`: a row a host that has ever joined.
    #[n(80)]
    Hosts,
    /// `UserMessage::Reign`: who has the FTM, and who may have it.
    #[n(130)]
    Reign,
    /// `UserMessage::Links`: what was measured between hosts.
    #[n(140)]
    Links,
    /// `UserMessage::Host`, or `Refused` if there is no such host.
    #[n(81)]
    Host(#[n(0)] HostId),
}
