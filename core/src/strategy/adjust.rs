//! What `--replicas`, `--quorum` and `--order` make of a strategy: what depends on the number of
//! lanes moves along with it, and what no longer makes sense is refused.

use super::check::{MOST_REPLICAS, Unsound, majority};
use super::{Order, Redundancy, Strategy};

impl Strategy {
    /// The same strategy with other lanes.
    ///
    /// With `replicas` alone the quorum is their majority. The extension and the variation keep
    /// their distance from the number of lanes to begin with, and go where a single lane leaves
    /// nothing to compare. `order` is that of the lanes to begin with, not of the variation.
    ///
    /// # Errors
    /// The numbers do not go together.
    pub fn with(&self, replicas: Option<u16>, quorum: Option<u16>, order: Option<Order>) -> Result<Strategy, Unsound> {
        let before = self.redundancy;
        let lanes = replicas.unwrap_or(before.replicas);
        let redundancy = Redundancy {
            replicas: lanes,
            quorum: quorum.unwrap_or(if replicas.is_some() { majority(lanes) } else { before.quorum }),
            order: order.unwrap_or(before.order),
        };
        redundancy.check().map_err(Unsound::Redundancy)?;
        let extend_to = if lanes == 1 { 1 } else { shifted(self.extend_to, before.replicas, lanes) };
        let variation = self
            .variation
            .map(|variation| Redundancy { replicas: shifted(variation.replicas, before.replicas, lanes), ..variation });
        let variation = variation.filter(|variation| lanes > 1 && variation.replicas > extend_to);
        let raised = |variation: Redundancy| Redundancy {
            quorum: if lanes == before.replicas { variation.quorum } else { majority(variation.replicas) }
                .max(redundancy.quorum),
            ..variation
        };
        let strategy = Strategy { redundancy, extend_to, variation: variation.map(raised), ..self.clone() };
        strategy.check().first().map_or(Ok(strategy), |unsound| Err(*unsound))
    }
}

/// `lanes`, moved as far as the number to begin with moved from `before` to `now`.
fn shifted(lanes: u16, before: u16, now: u16) -> u16 {
    lanes.saturating_sub(before).saturating_add(now).min(MOST_REPLICAS)
}
