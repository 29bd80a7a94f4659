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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::library;

    /// `replicas/quorum order`, the most lanes and the variation.
    fn shown(result: Result<Strategy, Unsound>) -> String {
        let lanes = |lanes: Redundancy| format!("{}/{} {:?}", lanes.replicas, lanes.quorum, lanes.order);
        result.map_or_else(
            |unsound| unsound.to_string(),
            |strategy| {
                let variation = strategy.variation.map_or_else(|| "-".to_owned(), lanes);
                format!("{}, {}, {variation}", lanes(strategy.redundancy), strategy.extend_to)
            },
        )
    }

    #[test]
    fn what_depends_on_the_number_of_lanes_moves_along_with_it() {
        let time = Some(Order::Time);
        let table = [
            ("tmr", None, None, None, "3/2 Space, 5, 7/4 Time"),
            ("tmr", None, None, time, "3/2 Time, 5, 7/4 Time"),
            ("tmr", Some(5), None, None, "5/3 Space, 7, 9/5 Time"),
            ("tmr", Some(2), None, None, "2/2 Space, 4, 6/4 Time"),
            ("tmr", Some(1), None, None, "1/1 Space, 1, -"),
            ("tmr", None, Some(3), None, "3/3 Space, 5, 7/4 Time"),
            ("nmr", Some(7), Some(7), time, "7/7 Time, 9, 11/7 Time"),
            ("nmr", Some(98), None, None, "98/50 Space, 99, -"),
            ("single", Some(3), None, None, "3/2 Space, 3, -"),
            ("dual", Some(3), None, None, "3/2 Space, 4, -"),
            ("tmr", Some(0), None, None, "replicas is 0, with which nothing would run; expected 1 to 99"),
            ("tmr", Some(100), None, None, "replicas is 100, expected 1 to 99"),
            ("tmr", None, Some(4), None, "quorum is 4 of 3 replicas, so that no vote could be won; expected 2 to 3"),
            (
                "tmr",
                None,
                Some(1),
                None,
                "quorum is 1 of 3 replicas, which two results could both reach; expected 2 to 3",
            ),
            (
                "tmr",
                Some(6),
                Some(3),
                None,
                "quorum is 3 of 6 replicas, which two results could both reach; expected 4 to 6",
            ),
        ];
        for (name, replicas, quorum, order, expected) in table {
            let strategy = library::find(name, &|_| unreachable!("no file is named")).expect("it is in the library");
            assert_eq!(shown(strategy.with(replicas, quorum, order)), expected, "{name} {replicas:?} {quorum:?}");
        }
    }

    #[test]
    fn every_strategy_of_the_library_stays_sound_with_any_lanes_that_go_together() {
        for strategy in library::all() {
            for replicas in 1..=MOST_REPLICAS {
                for quorum in majority(replicas)..=replicas {
                    let adjusted = strategy.with(Some(replicas), Some(quorum), None);
                    assert!(adjusted.as_ref().is_ok_and(|strategy| strategy.check().is_empty()), "{adjusted:?}");
                }
            }
        }
    }
}
