//! Whether the others hear this host, by what they answer to its beats, and how long an answer takes.
//!
//! Whoever watches a host says of every few of its beats that it was heard. A beat that nobody answers was lost on the
//! way, or its answer was; which of the two makes no difference to what may go on only while somebody hears this host.

use std::collections::BTreeMap;

use crate::names::{HostId, Millis};

/// Beats of this number, twice it, and so on are answered.
pub const EVERY: u64 = 5;

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    heard: Millis,
    /// Smoothed, in microseconds, as TCP does it (RFC 6298, section 2).
    round_trips: BTreeMap<HostId, u64>,
}

impl Echo {
    /// Somebody heard this host, or nobody is asked to before now.
    pub fn heard(&mut self, now: Millis) {
        self.heard = now;
    }

    /// An answer from this host took so long.
    pub fn round_trip(&mut self, host: HostId, us: u64) {
        let trip = self.round_trips.entry(host).or_insert(us);
        *trip = *trip - *trip / 8 + us / 8;
    }

    /// Only these hosts answer from now on.
    pub fn keep(&mut self, hosts: &[HostId]) {
        self.round_trips.retain(|host, _| hosts.contains(host));
    }

    #[must_use]
    pub fn round_trip_us(&self, host: HostId) -> Option<u64> {
        self.round_trips.get(&host).copied()
    }

    /// For how long nobody said that this host was heard.
    #[must_use]
    pub fn silent(&self, now: Millis) -> Millis {
        now.since(self.heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_follows_what_is_measured_and_is_not_misled_by_one() {
        let (mut echo, host) = (Echo::default(), HostId(2));
        assert_eq!(echo.round_trip_us(host), None, "nothing was measured");
        echo.round_trip(host, 800);
        assert_eq!(echo.round_trip_us(host), Some(800));
        echo.round_trip(host, 8_000);
        assert_eq!(echo.round_trip_us(host), Some(1_700));
        (0..60).for_each(|_| echo.round_trip(host, 400));
        assert!(echo.round_trip_us(host).is_some_and(|us| (400..420).contains(&us)));
        echo.keep(&[]);
        assert_eq!(echo.round_trip_us(host), None, "it is no neighbour any more");
    }
}
