//! What an Execution can be told.

use minicbor::{Decode, Encode};

use crate::job::{Injection, Job};
use crate::names::{ArmorName, Attempt, Digest, HostId, Incarnation, LaneId, StageId, TaskId};
use crate::world::{ChangeSet, Input, Offer, Piece, Whereabouts};

/// To an Execution.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ExecutionMessage {
    /// SM → Execution: the job it is a lane of. Repeated whenever the link comes up. No answer.
    #[n(0)]
    Configure(#[n(0)] Box<LaneOrders>),
    /// SM → Execution: run these tasks, first to before last. What was finished is not run again.
    /// Answered by `SurrogateMessage::LaneDone` and by ballots to the Voter, or, for a repetition,
    /// by `SurrogateMessage::Repeated`.
    #[n(1)]
    Run {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        ranges: Vec<(u64, u64)>,
        #[n(2)]
        purpose: Purpose,
        /// Of the inputs that were fanned out.
        #[n(3)]
        input: Digest,
    },
    /// SM → Execution: stop what runs of this stage, and do not start more. Answered by `LaneDone`.
    #[n(2)]
    Stop {
        #[n(0)]
        stage: StageId,
    },
    /// SM → Execution: stop this one task, if it runs or waits.
    #[n(3)]
    StopTask {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
    },
    /// SM → Execution: output of this task may be read up to here.
    #[n(4)]
    Allow {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        upto: u64,
    },
    /// SM → Execution on the job's origin: apply the decided change sets. Answered by
    /// `SurrogateMessage::Committed`. Doing it twice changes nothing.
    #[n(5)]
    Commit {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        changes: Vec<ChangeSet>,
    },
    /// Voter → Execution: ballots with a number below this are saved.
    #[n(6)]
    BallotsKept {
        #[n(0)]
        below: u64,
        /// The life that numbered them.
        #[n(60)]
        life: Incarnation,
    },
    /// Voter → Execution: what earlier lives of the lane voted on, or is decided by all, and the attempts
    /// that they began; all of it of the stage under way, if one is.
    #[n(60)]
    Voted {
        #[n(0)]
        stage: Option<StageId>,
        #[n(1)]
        ranges: Vec<(u64, u64)>,
        #[n(2)]
        began: Vec<(TaskId, Attempt)>,
    },
    /// Voter → Execution: what is the digest of the first `offset` bytes of this task's output?
    /// Answered by `VoterMessage::Prefix`, or by the ballot if there are fewer bytes.
    #[n(7)]
    PrefixAt {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        offset: u64,
    },
    /// Fanout → Execution: check that you have this input. Answered by `FanoutMessage::Staged`.
    #[n(8)]
    Stage {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        input: Input,
        /// To be fetched from the job's origin; `None`: it is on your host, if that is the origin.
        #[n(2)]
        offer: Option<Offer>,
        #[n(3)]
        whereabouts: Whereabouts,
    },
    /// Fanout → Execution: every lane has the spooled input up to here, all of it if `end`: it may be read.
    #[n(9)]
    Feed {
        #[n(0)]
        upto: u64,
        #[n(1)]
        end: bool,
    },
    /// SM → Execution: these tasks are to be started at most once: put that on disk, and start none yet.
    /// Answered by `SurrogateMessage::Prepared`. Said only until their start is granted.
    #[n(120)]
    Prepare {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        ranges: Vec<(u64, u64)>,
        /// Of the inputs that were fanned out.
        #[n(2)]
        input: Digest,
    },
    /// SM → Execution: the one start of each of these tasks is granted. Repeated whenever the link comes
    /// up: what was started before is not started again, and what is not known to be prepared is not
    /// started at all. Answered by ballots to the Voter, by `SurrogateMessage::Unclear` and `LaneDone`.
    #[n(121)]
    StartOnce {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        ranges: Vec<(u64, u64)>,
        #[n(2)]
        input: Digest,
    },
    /// Daemon → Execution: this host was cut off for so long that its lease has ended: what was promised
    /// to run at most once is killed, since a person may soon decide that it never happened. No answer.
    #[n(122)]
    LeaseEnded,
}

/// Why tasks are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Purpose {
    /// For the vote.
    #[n(0)]
    Vote,
    /// To see whether the lane agrees with itself; the number of the repetition, from 1.
    #[n(1)]
    Repeat(#[n(0)] u16),
}

/// What an Execution needs to know of its job.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LaneOrders {
    #[n(0)]
    pub lane: LaneId,
    #[n(1)]
    pub job: Job,
    /// How many lanes of the job run side by side with this one, itself included: they share the CPUs.
    #[n(2)]
    pub sharing: u16,
    /// Where the decided output lies that the programs of the stage under way read.
    #[n(3)]
    pub handed: Vec<Piece>,
    /// Where the job's Voter and Fanout are.
    #[n(40)]
    pub places: Vec<(ArmorName, HostId)>,
}

impl LaneOrders {
    /// The decided output that a task reads: that of the same task, or all where only one of the two stages
    /// has tasks.
    #[must_use]
    pub fn handed_to(&self, stage: StageId, task: TaskId) -> Vec<Piece> {
        let stage_of = |id: StageId| self.job.stages.get(usize::from(id.0));
        let Some(source) = stage_of(stage).and_then(|reader| reader.stdin) else { return Vec::new() };
        let each =
            stage_of(source).zip(stage_of(stage)).is_some_and(|(from, to)| from.tasks.is_some() && to.tasks.is_some());
        let pieces = self.handed.iter().filter(|piece| piece.execution.stage == source);
        pieces.filter(|piece| !each || piece.execution.task == task).cloned().collect()
    }

    /// The faults that are to be put into this lane.
    pub fn injections(&self) -> impl Iterator<Item = &Injection> {
        self.job.injections.iter().filter(|injection| injection.lane == self.lane)
    }
}
