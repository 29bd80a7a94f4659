//! Whether a strategy makes sense: that its votes can be won, by one result only, and that each
//! further rung of its ladder asks for more than the one before.

use super::{Redundancy, Strategy};
use crate::names::Millis;

/// More lanes than this help nobody: the bound that keeps a slip of the finger cheap.
pub const MOST_REPLICAS: u16 = 99;

/// So many restarts without a wait between them would spin.
pub const MOST_RESTARTS_AT_ONCE: u32 = 10;

/// Why a number of lanes and a quorum do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsoundRedundancy {
    #[error("replicas is 0, with which nothing would run; expected 1 to {MOST_REPLICAS}")]
    NoReplicas,
    #[error("replicas is {replicas}, expected 1 to {MOST_REPLICAS}")]
    TooManyReplicas { replicas: u16 },
    #[error("quorum is {quorum} of {replicas} replicas, so that no vote could be won; expected {}", quorums(*.replicas))]
    QuorumAboveReplicas { quorum: u16, replicas: u16 },
    #[error("quorum is {quorum} of {replicas} replicas, which two results could both reach; expected {}", quorums(*.replicas))]
    NoMajority { quorum: u16, replicas: u16 },
}

/// Why a strategy makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    #[error("{0}")]
    Redundancy(UnsoundRedundancy),
    #[error("in the variation, {0}")]
    Variation(UnsoundRedundancy),
    #[error(
        "extend_to is {extend_to}, fewer lanes than the {replicas} to begin with; expected {replicas} to {MOST_REPLICAS}"
    )]
    ExtendBelowReplicas { extend_to: u16, replicas: u16 },
    #[error("extend_to is {extend_to}, expected at most {MOST_REPLICAS}")]
    ExtendTooFar { extend_to: u16 },
    #[error("the variation has {replicas} replicas, no more than the {tried} that have lost the vote by then")]
    VariationAddsNoLane { replicas: u16, tried: u16 },
    #[error("the variation's quorum is {quorum}, lower than {asked}: a lost vote would be won by asking for less")]
    VariationAsksLess { quorum: u16, asked: u16 },
    #[error("backoff_most is {most}, less than the backoff of {backoff} to begin with")]
    BackoffShrinks { backoff: Millis, most: Millis },
    #[error(
        "{limit} restarts without a backoff would spin; expected a limit of at most {MOST_RESTARTS_AT_ONCE}, or a backoff"
    )]
    RestartsSpin { limit: u32 },
}

impl Unsound {
    /// The keys of a strategy file that do not go together, `table.key`; the one at fault first.
    #[must_use]
    pub fn keys(&self) -> &'static [&'static str] {
        use UnsoundRedundancy::{NoMajority, NoReplicas, QuorumAboveReplicas, TooManyReplicas};
        match self {
            Unsound::Redundancy(NoReplicas | TooManyReplicas { .. }) => &["replicas"],
            Unsound::Redundancy(QuorumAboveReplicas { .. } | NoMajority { .. }) => &["quorum", "replicas"],
            Unsound::Variation(NoReplicas | TooManyReplicas { .. }) => &["variation.replicas"],
            Unsound::Variation(QuorumAboveReplicas { .. } | NoMajority { .. }) => {
                &["variation.quorum", "variation.replicas"]
            }
            Unsound::ExtendBelowReplicas { .. } | Unsound::ExtendTooFar { .. } => &["extend_to", "replicas"],
            Unsound::VariationAddsNoLane { .. } => &["variation.replicas", "extend_to", "replicas"],
            Unsound::VariationAsksLess { .. } => &["variation.quorum", "variation.replicas", "quorum", "replicas"],
            Unsound::BackoffShrinks { .. } => &["restart.backoff_most", "restart.backoff"],
            Unsound::RestartsSpin { .. } => &["restart.limit", "restart.backoff"],
        }
    }
}

/// The smallest quorum that only one result can reach: more than half.
#[must_use]
pub fn majority(replicas: u16) -> u16 {
    replicas / 2 + 1
}

/// The quorums that go with a number of replicas.
fn quorums(replicas: u16) -> String {
    match majority(replicas) {
        least if least == replicas => least.to_string(),
        least => format!("{least} to {replicas}"),
    }
}

impl Redundancy {
    /// Whether its vote can be won, and by one result only.
    ///
    /// # Errors
    /// It cannot, or there are too many lanes.
    pub fn check(&self) -> Result<(), UnsoundRedundancy> {
        let Redundancy { replicas, quorum, .. } = *self;
        match () {
            () if replicas == 0 => Err(UnsoundRedundancy::NoReplicas),
            () if replicas > MOST_REPLICAS => Err(UnsoundRedundancy::TooManyReplicas { replicas }),
            () if quorum > replicas => Err(UnsoundRedundancy::QuorumAboveReplicas { quorum, replicas }),
            () if quorum < majority(replicas) => Err(UnsoundRedundancy::NoMajority { quorum, replicas }),
            () => Ok(()),
        }
    }
}

impl Strategy {
    /// Everything that makes no sense about it; empty if it is sound.
    #[must_use]
    pub fn check(&self) -> Vec<Unsound> {
        let redundancy = self.redundancy.check().err().map(Unsound::Redundancy);
        let parts = [redundancy, self.check_extension(), self.check_variation(), self.check_restart()];
        parts.into_iter().flatten().collect()
    }

    /// The most lanes that a job under it can come to have.
    #[must_use]
    pub fn most_lanes(&self) -> u16 {
        let tried = self.redundancy.replicas.max(self.extend_to);
        self.variation.map_or(tried, |variation| variation.replicas.max(tried))
    }

    fn check_extension(&self) -> Option<Unsound> {
        let (extend_to, replicas) = (self.extend_to, self.redundancy.replicas);
        match () {
            () if extend_to < replicas => Some(Unsound::ExtendBelowReplicas { extend_to, replicas }),
            () if extend_to > MOST_REPLICAS => Some(Unsound::ExtendTooFar { extend_to }),
            () => None,
        }
    }

    fn check_variation(&self) -> Option<Unsound> {
        let variation = self.variation?;
        let (tried, asked) = (self.extend_to.max(self.redundancy.replicas), self.redundancy.quorum);
        if let Err(unsound) = variation.check() {
            return Some(Unsound::Variation(unsound));
        }
        let Redundancy { replicas, quorum, .. } = variation;
        match () {
            () if replicas <= tried => Some(Unsound::VariationAddsNoLane { replicas, tried }),
            () if quorum < asked => Some(Unsound::VariationAsksLess { quorum, asked }),
            () => None,
        }
    }

    fn check_restart(&self) -> Option<Unsound> {
        let (limit, backoff, most) = (self.restart.limit, self.restart.backoff, self.restart.backoff_most);
        match () {
            () if most < backoff => Some(Unsound::BackoffShrinks { backoff, most }),
            () if backoff == Millis(0) && limit > MOST_RESTARTS_AT_ONCE => Some(Unsound::RestartsSpin { limit }),
            () => None,
        }
    }
}
