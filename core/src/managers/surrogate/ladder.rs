//! The ladder on one host: what is tried when a vote is lost.
//!
//! Restarts are the Execution's first reaction; here come further executions, then the strategy's
//! declared variation, then a safe abort. More lanes raise the quorum, so that k > n/2 always holds
//! (D10); a rung that could not decide the vote even if all new lanes agreed is skipped.

use crate::message::Rule;
use crate::strategy::{Order, Strategy};

/// What is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// Further executions under the same strategy.
    Extend { rule: Rule, order: Order },
    /// The declared variation.
    Vary { rule: Rule, order: Order },
    /// Nothing is left: a safe abort.
    Abort,
}

/// The next rung after a vote was lost under `rule`, where `best` ballots agreed.
#[must_use]
pub fn next(strategy: &Strategy, rule: Rule, best: u16) -> Rung {
    let decides = |lanes: u16, quorum: u16| best + (lanes - rule.lanes) >= quorum;
    let ours = strategy.redundancy;
    let extension = (rule.lanes + 1..=strategy.extend_to).find(|&lanes| decides(lanes, ours.quorum_of(lanes)));
    if let Some(lanes) = extension {
        return Rung::Extend { rule: Rule { lanes, quorum: ours.quorum_of(lanes) }, order: ours.order };
    }
    if let Some(variation) = strategy.variation {
        let (lanes, quorum) = (variation.replicas, variation.quorum_of(variation.replicas));
        if lanes > rule.lanes && decides(lanes, quorum) {
            return Rung::Vary { rule: Rule { lanes, quorum }, order: variation.order };
        }
    }
    Rung::Abort
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Millis;
    use crate::strategy::{Redundancy, Restart};

    fn strategy(replicas: u16, quorum: u16, extend_to: u16, variation: Option<(u16, u16)>) -> Strategy {
        let vary = |(replicas, quorum)| Redundancy { replicas, quorum, order: Order::Time };
        Strategy {
            name: "test".to_owned(),
            about: String::new(),
            redundancy: Redundancy { replicas, quorum, order: Order::Space },
            restart: Restart { limit: 0, backoff: Millis(0), backoff_most: Millis(0) },
            extend_to,
            repeats: 1,
            variation: variation.map(vary),
            patience_percent: 100,
        }
    }

    fn word(rung: Rung) -> String {
        match rung {
            Rung::Extend { rule, .. } => format!("extend {}/{}", rule.quorum, rule.lanes),
            Rung::Vary { rule, .. } => format!("vary {}/{}", rule.quorum, rule.lanes),
            Rung::Abort => "abort".to_owned(),
        }
    }

    #[test]
    fn the_ladder_is_climbed_by_this_table() {
        let dual = strategy(2, 2, 3, None);
        let tmr = strategy(3, 2, 5, Some((7, 4)));
        let table = [
            (&dual, 2, 1, "extend 2/3"),
            (&dual, 3, 1, "abort"),
            // One equal ballot of three: a fourth could not make three of four, a fifth can.
            (&tmr, 3, 1, "extend 3/5"),
            (&tmr, 3, 2, "extend 3/4"),
            (&tmr, 5, 2, "vary 4/7"),
            (&tmr, 5, 1, "abort"),
            (&tmr, 7, 3, "abort"),
            (&strategy(1, 1, 1, None), 1, 0, "abort"),
        ];
        for (strategy, lanes, best, expected) in table {
            let rule = Rule { lanes, quorum: strategy.redundancy.quorum_of(lanes) };
            assert_eq!(word(next(strategy, rule, best)), expected, "{lanes} lanes, {best} agree");
        }
    }
}
