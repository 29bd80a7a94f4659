//! What a surrogate manager (SM) can be told.

use minicbor::{Decode, Encode};

use crate::job::Job;
use crate::message::{Dispute, Purpose, Story, Value, Verdict};
use crate::names::{ArmorName, Digest, HostId, Incarnation, LaneId, StageId, TaskId};
use crate::world::{CommitOutcome, Region};

/// To an SM.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum SurrogateMessage {
    /// FTM → SM: the job it manages. Repeated whenever the link comes up. No answer.
    #[n(0)]
    Begin(#[n(0)] Box<Job>),
    /// FTM → SM: these ARMORs run on these hosts and can be spoken to.
    #[n(1)]
    Granted(#[n(0)] Vec<(ArmorName, HostId)>),
    /// FTM → SM: this ARMOR cannot be kept running anywhere.
    #[n(2)]
    Unavailable {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        why: String,
    },
    /// FTM → SM: occurrences with a number below this are on disk.
    #[n(3)]
    Told {
        #[n(0)]
        below: u64,
    },
    /// FTM → SM: the end of the job is on disk.
    #[n(4)]
    EndKept,
    /// FTM → SM: end the job without a result. Answered by `FtmMessage::Ended`.
    #[n(5)]
    Cancel {
        #[n(0)]
        code: u8,
    },

    /// Voter → SM: decided, numbered from 0 without gaps. Answered by `VoterMessage::VerdictsKept`.
    #[n(6)]
    Verdicts {
        #[n(0)]
        first: u64,
        #[n(1)]
        verdicts: Vec<Verdict>,
        /// The life of the Voter that says this: each numbers for itself.
        #[n(2)]
        life: Incarnation,
        /// Number of the oldest one that this life still keeps, said already or not: nothing before it is missing.
        #[n(3)]
        oldest: u64,
    },
    /// Voter → SM: ballots differ. Repeated until the dispute is settled.
    #[n(7)]
    Disputes(#[n(0)] Vec<Dispute>),
    /// Voter → SM: the quorum agrees on this prefix of a running task's output; where these lanes
    /// have it (all regions have the same length and digest).
    #[n(8)]
    Prefix {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        holders: Vec<(LaneId, Region)>,
    },
    /// Voter → SM: every verdict and dispute that the ballots so far lead to was said before this.
    #[n(90)]
    Recounted {
        #[n(0)]
        stage: StageId,
        /// That of the question.
        #[n(1)]
        number: u64,
    },
    /// Voter or Execution → SM: what was noticed and dealt with there. A sender numbers its stories
    /// from 0 without gaps and says all again when the link comes up.
    #[n(9)]
    Noted {
        #[n(0)]
        first: u64,
        #[n(1)]
        stories: Vec<Story>,
    },
    /// Execution → SM: the lane cannot run this stage at all.
    #[n(10)]
    CannotRun {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        why: String,
    },
    /// Execution → SM: how far the lane is; said at every change while idle, batched under load.
    #[n(11)]
    LaneProgress {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        /// Executions finished of this stage.
        #[n(2)]
        finished: u64,
        /// The task that runs in the first slot, and its output so far.
        #[n(3)]
        running: Option<(TaskId, u64)>,
        /// CPU used by all executions so far, microseconds.
        #[n(4)]
        cpu_us: u64,
        #[n(5)]
        executions: u64,
        /// Held back by the quota.
        #[n(6)]
        paused: bool,
    },
    /// Execution → SM: all that it was asked to run of this stage is finished or stopped, and its
    /// ballots are with the Voter.
    #[n(12)]
    LaneDone {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        /// Ballots cast for this stage.
        #[n(2)]
        ballots: u64,
        #[n(3)]
        executions: u64,
        #[n(4)]
        cpu_us: u64,
    },
    /// Execution → SM: what a repetition showed.
    #[n(13)]
    Repeated {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        task: TaskId,
        #[n(3)]
        purpose: Purpose,
        /// `None`: it could not be repeated.
        #[n(4)]
        value: Option<Value>,
    },
    /// Execution or Fanout → SM: the commit that was asked for.
    #[n(14)]
    Committed {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        outcome: CommitOutcome,
    },
    /// Execution → SM: these tasks are on disk as ones to be started at most once; their start can be granted.
    #[n(120)]
    Prepared {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        ranges: Vec<(u64, u64)>,
    },
    /// Execution → SM: the task may have been started, and how it ended is on no record. It is not started
    /// again. Repeated whenever the link comes up.
    #[n(121)]
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

    /// Fanout → SM: all these lanes have all inputs of the stage, alike.
    #[n(15)]
    InputsReady {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        lanes: Vec<LaneId>,
        /// Of all inputs together; zero if there are none.
        #[n(2)]
        digest: Digest,
        /// Lanes that have them, and what they need besides, on another host than the job's origin.
        #[n(3)]
        elsewhere: Vec<(LaneId, HostId)>,
        /// What could not be given to those, and did not have to be; a sentence each.
        #[n(4)]
        left_out: Vec<String>,
    },
    /// Fanout → SM: they cannot all have them; none was started.
    #[n(16)]
    InputsRefused {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        why: String,
    },

    /// User → SM: tell me how the job goes, from this byte of its decided output on. Answered by
    /// `UserMessage::Released`, `Progress` and `Ended`.
    #[n(17)]
    Follow {
        #[n(0)]
        from: u64,
        /// Lanes are held back when the follower falls behind by more than the quota.
        #[n(1)]
        paced: bool,
    },
    /// User → SM: the output up to here is written.
    #[n(18)]
    Consumed {
        #[n(0)]
        upto: u64,
    },
}
