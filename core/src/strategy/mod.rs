//! A strategy (Fault Tolerant Execution Strategy, FTES): how a job is made dependable, as data.
//!
//! A strategy is a value: it says how many lanes, how many must agree, in what order they run, and
//! what is tried when that fails. It runs nothing.

mod adjust;
pub mod check;
mod explain;
pub mod library;
mod syntax;

use minicbor::{Decode, Encode};

pub use self::syntax::parse;
use crate::names::Millis;
use crate::word::Word;

/// Whether lanes run side by side or one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Order {
    /// All lanes at once: as quick as one execution, at n times the cost.
    #[n(0)]
    Space,
    /// One after another, stopping once the vote is decided: only as many executions as needed.
    #[n(1)]
    Time,
}

impl Word for Order {
    const WHAT: &'static str = "an order of lanes";
    const WORDS: &'static [(&'static str, Self)] = &[("space", Order::Space), ("time", Order::Time)];
}

/// How many lanes there are, and how many of them must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Redundancy {
    /// n, at least 1.
    #[n(0)]
    pub replicas: u16,
    /// k: n/2 < k <= n.
    #[n(1)]
    pub quorum: u16,
    #[n(2)]
    pub order: Order,
}

/// When a lane whose program ended abnormally is started again, and when that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Restart {
    /// Restarts of one task in one lane before its abnormal end becomes its ballot.
    #[n(0)]
    pub limit: u32,
    /// The wait before the second restart; the first is at once, and each further wait doubles.
    #[n(1)]
    pub backoff: Millis,
    /// The longest wait between two restarts.
    #[n(2)]
    pub backoff_most: Millis,
}

/// How a job is made dependable.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Strategy {
    #[n(0)]
    pub name: String,
    /// One sentence for `chameleon strategies`.
    #[n(1)]
    pub about: String,
    #[n(2)]
    pub redundancy: Redundancy,
    #[n(3)]
    pub restart: Restart,
    /// On disagreement further lanes are added up to this many in all; each raises the quorum so
    /// that it stays a majority. Equal to `redundancy.replicas`: none is added.
    #[n(4)]
    pub extend_to: u16,
    /// How often a winner and a dissenting lane repeat the task before anyone is accused.
    #[n(5)]
    pub repeats: u16,
    /// What is tried, once, when the vote is lost with all lanes in.
    #[n(6)]
    pub variation: Option<Redundancy>,
    /// After the vote is won, the lanes still running get this share of the time the winners took
    /// (in percent, and 50 ms more) to finish and be compared; then they are stopped.
    #[n(7)]
    pub patience_percent: u32,
}

impl Redundancy {
    /// Whether n and k make sense: 1 <= n, n/2 < k <= n.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.replicas >= 1 && self.quorum <= self.replicas && 2 * u32::from(self.quorum) > u32::from(self.replicas)
    }

    /// The quorum with `lanes` lanes in all: never lower than asked, always a majority (D10).
    #[must_use]
    pub fn quorum_of(&self, lanes: u16) -> u16 {
        self.quorum.max(lanes / 2 + 1)
    }
}
