//! What an Execution can be told.

use minicbor::{Decode, Encode};

use crate::job::{Injection, Job};
use crate::names::{Attempt, Digest, Incarnation, LaneId, StageId, TaskId};
use crate::world::Input;

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
    /// SM → Execution: apply the decided change sets. Answered by `SurrogateMessage::Committed`.
    /// Doing it twice changes nothing.
    #[n(5)]
    Commit {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        manifests: Vec<Digest>,
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
    },
    /// Fanout → Execution: every lane has the spooled input up to here, all of it if `end`: it may be read.
    #[n(9)]
    Feed {
        #[n(0)]
        upto: u64,
        #[n(1)]
        end: bool,
    },
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
}

impl LaneOrders {
    /// The faults that are to be put into this lane.
    pub fn injections(&self) -> impl Iterator<Item = &Injection> {
        self.job.injections.iter().filter(|injection| injection.lane == self.lane)
    }
}
