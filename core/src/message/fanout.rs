//! What a Fanout can be told.

use minicbor::{Decode, Encode};

use crate::names::{ArmorName, Digest, HostId, LaneId, StageId};
use crate::world::{ChangeSet, Input, Whereabouts};

/// To a Fanout.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FanoutMessage {
    /// SM → Fanout: these lanes of this stage must all have these inputs, alike. Repeated whenever
    /// the link comes up and whenever lanes are added. Answered by `SurrogateMessage::InputsReady`
    /// or `InputsRefused`.
    #[n(0)]
    Distribute(#[n(0)] Box<Supply>),
    /// Execution → Fanout: what this lane has of that input.
    #[n(1)]
    Staged {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        lane: LaneId,
        #[n(2)]
        input: Input,
        /// Its digest, or why it could not be read.
        #[n(3)]
        outcome: Result<Digest, String>,
        /// The host on which this is so.
        #[n(60)]
        host: HostId,
    },
    /// User → Fanout: the spool of standard input has so many bytes now, and no more will come if
    /// `end`. Repeated whenever the link comes up; the highest stands. No answer.
    #[n(2)]
    Spooled {
        #[n(0)]
        length: u64,
        #[n(1)]
        end: bool,
    },
    /// SM → Fanout: apply the decided change sets; no lane runs on the job's origin, where you are. Answered by
    /// `SurrogateMessage::Committed`. Doing it twice changes nothing.
    #[n(100)]
    Commit {
        #[n(0)]
        stage: StageId,
        #[n(1)]
        pass: Digest,
        #[n(2)]
        changes: Vec<ChangeSet>,
    },
}

/// What the lanes of a stage must have.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Supply {
    #[n(0)]
    pub stage: StageId,
    #[n(1)]
    pub lanes: Vec<LaneId>,
    #[n(2)]
    pub inputs: Vec<Input>,
    /// Whether the job's standard input is spooled by the user's command.
    #[n(3)]
    pub spooled: bool,
    /// Lanes that are known to run on another host than the job's origin: what they need is fetched from there.
    #[n(4)]
    pub elsewhere: Vec<(LaneId, HostId)>,
    /// What those need besides.
    #[n(5)]
    pub bundle: Vec<Input>,
    #[n(6)]
    pub whereabouts: Whereabouts,
    /// Where the lanes are.
    #[n(7)]
    pub places: Vec<(ArmorName, HostId)>,
}
