//! What happens to a job and to the ARMORs that serve it, as people are told: the lines of `events`,
//! from which `report` makes the story of each fault.

use minicbor::{Decode, Encode};

use crate::job::{InjectionKind, OsBytes};
use crate::message::{Diagnosis, Evidence, Hearing, HostFault, Incident, Outcome, Resolution, Tried, Value, Why};
use crate::names::{ArmorName, ExecutionId, HostId, Incarnation, LaneId, Millis, StageId, TaskId};
use crate::principal::Principal;
use crate::world::{BlockedWhy, Reign};

/// Something that happened, with the time it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Occurrence {
    /// Milliseconds since 1970, UTC, by the noticing host's clock.
    #[n(0)]
    pub unix_ms: u64,
    /// Since that host booted: for differences.
    #[n(1)]
    pub boot: Millis,
    #[n(2)]
    pub noticed_by: ArmorName,
    #[n(3)]
    pub story: Story,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Story {
    #[n(0)]
    Accepted,
    #[n(1)]
    StageBegan {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        lanes: Vec<LaneId>,
        #[n(2)]
        quorum: u16,
    },
    /// A program ended abnormally (abnormal termination) after `ran`; what the lane does about it.
    #[n(2)]
    ProgramDied {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        execution: ExecutionId,
        #[n(2)]
        evidence: Evidence,
        #[n(3)]
        ran: Millis,
        /// `None`: the restart limit is reached and the end becomes the ballot.
        #[n(4)]
        restart_after: Option<Millis>,
    },
    /// The restarted program finished; `after` the death that was told before.
    #[n(3)]
    ProgramRecovered {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        execution: ExecutionId,
        #[n(2)]
        after: Millis,
    },
    /// A ballot differs from the winning one (value).
    #[n(4)]
    Dissent {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        loser: LaneId,
        #[n(3)]
        lost: Value,
        #[n(4)]
        winners: Vec<LaneId>,
        #[n(5)]
        won: Value,
    },
    /// No value reached the quorum (value).
    #[n(5)]
    NoQuorum {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        ballots: Vec<(LaneId, Value)>,
        #[n(3)]
        quorum: u16,
    },
    /// Lanes repeat a task so that it shows whether they agree with themselves.
    #[n(6)]
    DiagnosisBegan {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        lanes: Vec<LaneId>,
    },
    #[n(7)]
    Diagnosed {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        diagnosis: Diagnosis,
    },
    /// Further executions: this many lanes in all, this many of them must agree.
    #[n(8)]
    Extended {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        tasks: u64,
        #[n(2)]
        lanes: u16,
        #[n(3)]
        quorum: u16,
        #[n(4)]
        why: Why,
    },
    /// The strategy's declared variation is tried.
    #[n(9)]
    Varied {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        tasks: u64,
        #[n(2)]
        lanes: u16,
        #[n(3)]
        quorum: u16,
        #[n(4)]
        why: Why,
    },
    /// The vote was decided and the lane was still running (time).
    #[n(10)]
    Straggler {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        tasks: u64,
        /// How long it was given beyond the decision.
        #[n(3)]
        waited: Millis,
    },
    /// A lane takes no further part in the stage (time, or it could not be kept running).
    #[n(11)]
    LaneDropped {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        why: Why,
    },
    /// A lane is held back because it is too far ahead of the others.
    #[n(12)]
    LanePaused {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        at: u64,
    },
    #[n(13)]
    LaneResumed(#[n(0)] LaneId),
    /// A lane's ballot contradicts output that was already released on its own or others' word.
    #[n(14)]
    PrefixContradicted {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        lane: LaneId,
        /// Bytes of this task that were already out.
        #[n(3)]
        released: u64,
    },
    /// A second, different ballot of one lane voids its vote.
    #[n(15)]
    VoteVoided {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        lane: LaneId,
    },
    /// Programs run on this host in a copy of the run directory and are not kept from it otherwise, for this reason.
    #[n(150)]
    Unconfined(#[n(0)] HostId, #[n(1)] String),
    /// A path was not allowed to be changed or reached, or cannot be kept.
    #[n(16)]
    Blocked {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        path: OsBytes,
        #[n(2)]
        why: BlockedWhy,
    },
    /// The lanes did not all receive the same input; none was started.
    #[n(17)]
    InputRefused {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        why: String,
    },
    /// Lanes on other hosts than the job's origin do without something that was not declared.
    #[n(100)]
    LeftOut {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        why: String,
    },
    #[n(18)]
    Committed {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        changes: u64,
    },
    #[n(19)]
    CommitConflict {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        paths: Vec<OsBytes>,
    },
    /// A fault was put in on purpose.
    #[n(20)]
    Injected {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        execution: ExecutionId,
        #[n(2)]
        kind: InjectionKind,
    },
    #[n(21)]
    Ended(#[n(0)] Outcome),

    /// An ARMOR's process died.
    #[n(22)]
    ArmorDied {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
    },
    /// An ARMOR lived but did not work, and was killed.
    #[n(23)]
    ArmorHung {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        evidence: Evidence,
        #[n(3)]
        silent: Millis,
    },
    #[n(24)]
    ArmorRestored {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        after: Millis,
    },
    /// The daemon of this host was replaced; it found so many ARMORs alive.
    #[n(25)]
    DaemonRestored {
        #[n(0)]
        adopted: u64,
        #[n(1)]
        restarted: u64,
    },
    #[n(26)]
    ArmorLost {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        why: String,
    },
    /// The user's notify command failed; the notice stays and is tried again.
    #[n(27)]
    NotifyFailed {
        #[n(0)]
        notice: u64,
        #[n(1)]
        why: String,
    },
    /// What the decided executions cost, and all executions together.
    #[n(28)]
    Cost {
        #[n(0)]
        executions: u64,
        #[n(1)]
        cpu_us: u64,
        #[n(2)]
        results: u64,
        #[n(3)]
        result_cpu_us: u64,
    },
    /// A slot could not be made.
    #[n(29)]
    SlotUnavailable {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        why: String,
    },
    /// Changes in these files were not compared, by the mask of this name.
    #[n(30)]
    Masked(#[n(0)] String),
    /// A host is taken for lost: how these observers heard it, and how many ARMORs are installed elsewhere.
    #[n(60)]
    HostLost {
        #[n(0)]
        host: HostId,
        #[n(1)]
        fault: HostFault,
        #[n(2)]
        heard: Vec<(HostId, Hearing)>,
        #[n(3)]
        moved: u64,
    },
    /// A lost host is here again, after so long; what was moved is retired there.
    #[n(61)]
    HostReturned {
        #[n(0)]
        host: HostId,
        #[n(1)]
        after: Millis,
    },
    /// What one host says does not reach another, though a third hears it: the link is cut, not the host dead.
    #[n(62)]
    LinkCut {
        #[n(0)]
        from: HostId,
        #[n(1)]
        to: HostId,
        #[n(2)]
        hearing: Hearing,
        #[n(3)]
        heard_by: HostId,
        /// Whether it still hears the one that does not hear it; `None`: it did not say.
        #[n(4)]
        one_way: Option<bool>,
    },
    #[n(63)]
    LinkRestored {
        #[n(0)]
        from: HostId,
        #[n(1)]
        to: HostId,
    },
    /// A host was silent beyond its bound, and is heard again: it is slow, and nothing is moved.
    #[n(64)]
    HostSlow {
        #[n(0)]
        host: HostId,
        #[n(1)]
        observer: HostId,
        #[n(2)]
        hearing: Hearing,
    },
    /// An ARMOR is installed on another host; what its earlier life still says counts no more.
    #[n(65)]
    ArmorMoved {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        from: HostId,
        #[n(2)]
        to: HostId,
        #[n(3)]
        why: String,
    },
    /// A person wants nothing more on a host, or again wants it used.
    #[n(66)]
    HostDrained {
        #[n(0)]
        host: HostId,
        #[n(1)]
        drained: bool,
    },
    /// A host failed again and again: it gets no new lanes, and is left alone for so long.
    #[n(140)]
    HostQuarantined {
        #[n(0)]
        host: HostId,
        /// How often it was by now.
        #[n(1)]
        times: u32,
        #[n(2)]
        wait: Millis,
        #[n(3)]
        why: Vec<Incident>,
    },
    /// A host in quarantine is to show that it does so many known tasks right.
    #[n(141)]
    HostOnParole(#[n(0)] HostId, #[n(1)] u32),
    /// A lost host was tried.
    #[n(143)]
    HostTried(#[n(0)] Tried),
    /// The command that was to start a lost host failed, for this reason.
    #[n(144)]
    ReviveFailed(#[n(0)] HostId, #[n(1)] String),
    /// It did, or a person pardoned it.
    #[n(142)]
    HostTrusted {
        #[n(0)]
        host: HostId,
        #[n(1)]
        pardoned: bool,
    },
    /// An ARMOR goes on on another host because somebody wants it so.
    #[n(67)]
    ArmorTransferred {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        from: HostId,
        #[n(2)]
        to: HostId,
        #[n(3)]
        why: String,
    },
    /// A candidate was given the reign, and why it had asked for it.
    #[n(130)]
    ReignBegan(#[n(0)] Reign, #[n(1)] String),
    /// A host's own policy cannot be read: it accepts nothing.
    #[n(81)]
    PolicyRefused {
        #[n(0)]
        host: HostId,
        #[n(1)]
        why: String,
    },
    /// Lanes were given places on these hosts; told where there are several hosts.
    #[n(80)]
    Spread {
        #[n(0)]
        lanes: Vec<(LaneId, HostId)>,
    },
    /// A host or a person was let into the cluster.
    #[n(40)]
    Enrolled {
        #[n(0)]
        member: Principal,
        #[n(1)]
        name: String,
    },
    /// A host or a person is let in no more.
    #[n(41)]
    Revoked {
        #[n(0)]
        member: Principal,
        #[n(1)]
        name: String,
    },
    /// A task that is started at most once may have been started, and its end is on no record.
    #[n(120)]
    Unclear {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        task: TaskId,
        #[n(3)]
        why: String,
    },
    /// A task of an array ended without a verdict; the others go on.
    #[n(121)]
    Undecided {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        why: String,
    },
    /// A person said what became of a job whose outcome was unknown.
    #[n(122)]
    Resolved(#[n(0)] Resolution),
}
