//! By what something was noticed, and why something was done.

use minicbor::{Decode, Encode};

use crate::message::Value;
use crate::names::{Attempt, LaneId};
use crate::world::End;

/// How a fault showed itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Evidence {
    /// The program ended in a way that is not a result.
    #[n(0)]
    Ended(#[n(0)] End),
    /// The slot died, with the program in it.
    #[n(1)]
    SlotLost(#[n(0)] String),
    /// All its processes were stopped, and not by Chameleon.
    #[n(2)]
    Stopped,
    /// It used the CPU without answering.
    #[n(3)]
    Spinning,
    /// It had the CPU, did not use it and did not answer.
    #[n(4)]
    Silent,
    /// It answered, and had work to do, and did none.
    #[n(5)]
    NoProgress,
    /// Its host was cut off until its lease had ended.
    #[n(120)]
    LeaseEnded,
}

/// Why the ladder was climbed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Why {
    /// All lanes voted and no value reached the quorum.
    #[n(0)]
    Disagreement,
    /// Too few lanes are left to reach the quorum.
    #[n(1)]
    LanesLost,
    /// The lane kept all others waiting beyond its limit.
    #[n(2)]
    TooSlow,
    /// The lane's ARMOR or slot could not be kept running.
    #[n(3)]
    NotRunning(#[n(0)] String),
}

/// What the repeated executions showed (D10).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Diagnosis {
    /// A lane disagreed with itself: the program is nondeterministic; nobody is blamed.
    #[n(0)]
    Nondeterministic {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        first: Value,
        #[n(2)]
        again: Value,
    },
    /// The loser came to the value of the others when it tried again: a transient fault, nobody is blamed.
    /// A program with few outcomes would have looked the same with a chance of 1 in `chance`.
    #[n(1)]
    Transient {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        chance: u64,
    },
    /// The loser stands by its wrong value and the winner by its own: the lane's surroundings are at fault.
    #[n(2)]
    LaneFaulty {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        attempts: Attempt,
    },
    /// All lanes agree with themselves and not with each other.
    #[n(3)]
    Divided,
    /// A repetition could not be finished.
    #[n(4)]
    Inconclusive,
}
