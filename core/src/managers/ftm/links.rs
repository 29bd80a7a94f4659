//! What lies between hosts, as their Heartbeats measured it: round trip, loss and bandwidth.
//!
//! A Heartbeat says what it measured of the hosts that it has to do with. A round trip is measured by whoever beats, loss by
//! whoever is to hear the beats, bandwidth by whoever fetched. Nothing of it is saved: the next FTM is told anew. What was
//! not measured is unknown, and never taken for near or far.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Job, Stdin};
use crate::managers::ftm::Ftm;
use crate::message::{LinkRow, Measured};
use crate::names::{ArmorName, HostId};

/// What each Heartbeat said last.
#[derive(Debug, Default)]
pub struct Links {
    said: BTreeMap<HostId, Vec<Measured>>,
}

/// How far a host is from another; unknown is farthest. Coarse, because a tie is to be broken by what makes a
/// difference: powers of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    round_trip: u32,
    slowness: u32,
}

impl Distance {
    pub const NONE: Distance = Distance { round_trip: 0, slowness: 0 };

    fn of(round_trip_us: Option<u64>, bytes_per_s: Option<u64>) -> Distance {
        let round_trip = round_trip_us.map_or(u32::MAX, |us| 1 + (us / 1_000).checked_ilog(4).map_or(0, |log| log + 1));
        let slowness = bytes_per_s.map_or(u32::MAX, |speed| 64 - speed.max(1).ilog(4));
        Distance { round_trip, slowness }
    }
}

impl Links {
    /// A Heartbeat says what it measured.
    pub fn heard(&mut self, by: ArmorName, measured: Vec<Measured>) {
        if let ArmorName::Heartbeat(host) = by {
            self.said.insert(host, measured);
        }
    }

    /// A host is lost: nothing is measured there.
    pub fn forget(&mut self, host: HostId) {
        self.said.remove(&host);
    }

    fn of(&self, by: HostId, host: HostId) -> Option<&Measured> {
        self.said.get(&by)?.iter().find(|measured| measured.host == host)
    }

    /// The link over which one host's bytes come to another.
    #[must_use]
    pub fn row(&self, from: HostId, to: HostId) -> LinkRow {
        let (there, back) = (self.of(from, to), self.of(to, from));
        LinkRow {
            from,
            to,
            round_trip_us: there.and_then(|measured| measured.round_trip_us),
            loss_per_mille: back.and_then(|measured| measured.loss_per_mille),
            bytes_per_s: back.and_then(|measured| measured.bytes_per_s),
        }
    }

    /// All links of which anybody said anything.
    #[must_use]
    pub fn rows(&self) -> Vec<LinkRow> {
        let said = self.said.iter().flat_map(|(&by, said)| said.iter().map(move |measured| (by, measured.host)));
        let pairs: BTreeSet<(HostId, HostId)> = said.flat_map(|(by, host)| [(by, host), (host, by)]).collect();
        pairs.into_iter().map(|(from, to)| self.row(from, to)).collect()
    }

    /// How far bytes of one host are from another.
    #[must_use]
    pub fn distance(&self, from: HostId, to: HostId) -> Distance {
        if from == to {
            return Distance::NONE;
        }
        let row = self.row(from, to);
        let back = || self.row(to, from).round_trip_us;
        Distance::of(row.round_trip_us.or_else(back), row.bytes_per_s)
    }
}

impl Ftm {
    /// How far each host is from what the lanes of this job read, if they read anything.
    pub(super) fn distances(&self, job: &Job) -> BTreeMap<HostId, Distance> {
        let reads =
            job.build.is_some() || job.stdin == Stdin::Spool || job.stages.iter().any(|stage| !stage.inputs.is_empty());
        let hosts = self.hosts.keys().filter(|_| reads);
        hosts.map(|&host| (host, self.links.distance(job.origin.host, host))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);
    const C: HostId = HostId(3);

    fn measured(host: HostId, round_trip_us: Option<u64>, loss: Option<u16>, speed: Option<u64>) -> Measured {
        Measured { host, round_trip_us, loss_per_mille: loss, bytes_per_s: speed }
    }

    #[test]
    fn each_end_of_a_link_measures_its_part() {
        let mut links = Links::default();
        links.heard(ArmorName::Heartbeat(A), vec![measured(B, Some(300), Some(50), None)]);
        links.heard(ArmorName::Heartbeat(B), vec![measured(A, None, Some(20), Some(9_000_000))]);
        let there = LinkRow {
            from: A,
            to: B,
            round_trip_us: Some(300),
            loss_per_mille: Some(20),
            bytes_per_s: Some(9_000_000),
        };
        let back = LinkRow { from: B, to: A, round_trip_us: None, loss_per_mille: Some(50), bytes_per_s: None };
        assert_eq!(links.rows(), [there, back]);
        links.forget(B);
        assert_eq!(links.row(A, B).loss_per_mille, None, "nobody measures it any more");
    }

    #[test]
    fn unknown_is_farther_than_whatever_was_measured() {
        let table = [
            (Some(100), Some(1 << 30)),
            (Some(900), Some(1 << 20)),
            (Some(900), None),
            (Some(1_500), Some(1 << 30)),
            (Some(60_000), None),
            (None, Some(1 << 30)),
            (None, None),
        ];
        let distances = table.map(|(trip, speed)| Distance::of(trip, speed));
        assert!(distances.is_sorted() && Distance::NONE < distances[0], "{distances:?}");
        assert_eq!(Distance::of(Some(100), None), Distance::of(Some(900), None), "what makes no difference is none");
    }

    #[test]
    fn a_round_trip_is_as_long_from_either_end() {
        let mut links = Links::default();
        links.heard(ArmorName::Heartbeat(B), vec![measured(A, Some(700), None, None)]);
        assert_eq!(links.distance(A, B), Distance::of(Some(700), None));
        assert!(links.distance(A, B) < links.distance(A, C));
        assert_eq!(links.distance(A, A), Distance::NONE);
    }
}
