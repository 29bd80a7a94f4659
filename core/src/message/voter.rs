//! What a Voter can be told, and what a ballot and a verdict are.

use minicbor::{Decode, Encode};

use crate::names::{Attempt, Digest, HostId, Incarnation, JobId, LaneId, StageId, TaskId};
use crate::world::{End, Ended, Region};

/// To a Voter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum VoterMessage {
    /// SM → Voter: how this stage is decided. Repeated whenever the link comes up; the first of a
    /// stage stands. No answer.
    #[n(0)]
    Convene {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        rule: Rule,
        /// Whether a prefix on which the quorum agrees is decided while the lanes still run.
        #[n(2)]
        stream: bool,
    },
    /// SM → Voter: more lanes vote on these tasks, and more of them must agree. Answered by
    /// `SurrogateMessage::Verdicts` or `Disputes`.
    #[n(1)]
    Extend {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        tasks: Vec<TaskId>,
        #[n(2)]
        rule: Rule,
    },
    /// SM → Voter: this lane will not vote on these tasks (all of the stage if empty).
    #[n(2)]
    Absent {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        lane: LaneId,
        #[n(2)]
        tasks: Vec<TaskId>,
    },
    /// SM → Voter: all verdicts that this life of it said with a number below this are saved.
    #[n(3)]
    VerdictsKept {
        #[n(0)]
        below: u64,
        #[n(1)]
        life: Incarnation,
    },
    /// SM → Voter: lanes are done, `number` of them so far; all that their ballots showed is to be told. Answered by
    /// `SurrogateMessage::Recounted`.
    #[n(90)]
    Recount {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        number: u64,
    },
    /// Execution → Voter: results of finished executions. Answered by `ExecutionMessage::BallotsKept`.
    #[n(4)]
    Ballots {
        #[n(0)]
        lane: LaneId,
        /// Number of the first one; a lane numbers its ballots from 0 without gaps.
        #[n(1)]
        first: u64,
        #[n(2)]
        witness: Witness,
        #[n(3)]
        ballots: Vec<Ballot>,
        /// Batches whose seal is broken are dropped: they are nobody's ballots.
        #[n(4)]
        seal: Seal,
        /// The life of the lane that says this. Ballots of an earlier life come late: each takes the
        /// lane's vote if none was cast, and is neither numbered nor acknowledged.
        #[n(60)]
        life: Incarnation,
        /// Number of the oldest one that this life still keeps, said already or not: nothing before it is missing.
        #[n(61)]
        oldest: u64,
    },
    /// Execution → Voter: this life of the lane has no memory of earlier ones; which of its tasks need
    /// no execution any more? Answered by `ExecutionMessage::Voted`.
    #[n(60)]
    Recall {
        #[n(0)]
        lane: LaneId,
    },
    /// Execution → Voter: the output so far of a running execution; binds the lane for good.
    #[n(5)]
    Prefix {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        stage: StageId,
        #[n(2)]
        task: TaskId,
        #[n(3)]
        attempt: Attempt,
        /// Where it lies: its length is how far it goes, its digest that of all bytes up to there.
        #[n(4)]
        so_far: Region,
    },
}

/// k of n: what decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Rule {
    /// n: lanes that may vote, numbered from 0.
    #[n(0)]
    pub lanes: u16,
    /// k: of them must agree.
    #[n(1)]
    pub quorum: u16,
}

/// What is compared: two executions agree when these are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Value {
    #[n(0)]
    pub end: End,
    #[n(1)]
    pub stdout: Digest,
    /// Length of stdout in bytes.
    #[n(2)]
    pub length: u64,
    /// Of the change set as it is voted on; zero where files are not held.
    #[n(3)]
    pub changes: Digest,
}

impl Value {
    /// In what two values differ, for people.
    #[must_use]
    pub fn difference(&self, other: &Value) -> String {
        let mut parts = Vec::new();
        if self.end != other.end {
            parts.push(format!("exit {} and {}", self.end.code(), other.end.code()));
        }
        if (self.stdout, self.length) != (other.stdout, other.length) {
            let (ours, theirs) = (self.stdout.short(), other.stdout.short());
            parts.push(format!("output of {} bytes ({ours}) and of {} bytes ({theirs})", self.length, other.length));
        }
        if self.changes != other.changes {
            parts.push(format!("changed files {} and {}", self.changes.short(), other.changes.short()));
        }
        if parts.is_empty() { "no difference".to_owned() } else { parts.join("; ") }
    }
}

/// What one execution says its result was.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ballot {
    #[n(0)]
    pub stage: StageId,
    #[n(1)]
    pub task: TaskId,
    #[n(2)]
    pub attempt: Attempt,
    #[n(3)]
    pub ended: Ended,
    /// The host on which it was made, where the bytes are.
    #[n(60)]
    pub host: HostId,
}

impl Ballot {
    /// What is compared.
    #[must_use]
    pub fn value(&self) -> Value {
        Value {
            end: self.ended.end,
            stdout: self.ended.stdout.digest,
            length: self.ended.stdout.length,
            changes: self.ended.changes.map(|changes| changes.voted).unwrap_or_default(),
        }
    }
}

/// Where and by what a ballot was made (D12).
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Witness {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub job: JobId,
    /// CPUs that the lane may run on; empty: any.
    #[n(2)]
    pub cores: Vec<u16>,
    /// Of the stage's program file; zero until it was read, or if it could not be.
    #[n(3)]
    pub program: Digest,
    /// Of the inputs that were fanned out before the stage; zero if there were none.
    #[n(4)]
    pub input: Digest,
    /// Operating system and architecture, such as `linux-x86_64`.
    #[n(5)]
    pub platform: String,
}

/// A signed batch of ballots.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seal {
    /// The ARMOR's Ed25519 key.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub key: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// What the voter decided of one task.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Verdict {
    #[n(0)]
    pub stage: StageId,
    #[n(1)]
    pub task: TaskId,
    #[n(2)]
    pub value: Value,
    /// In the order in which they voted.
    #[n(3)]
    pub winners: Vec<LaneId>,
    /// The ballot of the first winner: where the bytes are.
    #[n(4)]
    pub ballot: Ballot,
    /// What other winners' executions came to, one on each other host: where the bytes are too.
    #[n(5)]
    pub copies: Vec<(LaneId, HostId, Ended)>,
}

/// A disagreement: ballots that differ, with or without a winner among them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Dispute {
    #[n(0)]
    pub stage: StageId,
    #[n(1)]
    pub task: TaskId,
    /// What each lane voted, in order of lanes.
    #[n(2)]
    pub ballots: Vec<(LaneId, Ballot)>,
    /// The winning value, if a quorum agreed.
    #[n(3)]
    pub won: Option<Value>,
    /// The rule under which it arose.
    #[n(4)]
    pub rule: Rule,
}
