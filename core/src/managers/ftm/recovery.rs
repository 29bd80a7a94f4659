//! How many lanes of lost hosts go on elsewhere at a time, and which first.
//!
//! A lost host may have had very many lanes. If all began again elsewhere at once, the hosts that are left would be busy with
//! beginnings, and look slow or lost themselves. So each takes over a few at a time, and so does the cluster: lanes of the
//! more urgent job first, then those of the earlier one. Each that runs, or is given up, makes room for the next. Managers
//! never wait: they are few and small, and while they waited there would be one copy only of what they know.
//!
//! A lane that waits is one whose place is still on a lost host; nothing else is kept of it. If that host is here again
//! before its turn comes, it goes on there.

use std::collections::BTreeMap;

use crate::armor::Moment;
use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::record::Standing;
use crate::managers::ftm::registry::Entry;
use crate::managers::ftm::{Ftm, FtmStep};
use crate::names::{ArmorName, HostId, Kind, Millis};

/// Lanes that a host takes over at a time, for each of its cores.
pub const AT_ONCE_A_CORE: u32 = 2;
/// Lanes that go on elsewhere at a time, in the whole cluster.
pub const AT_ONCE: u32 = 64;

/// How many lanes can still be taken over now, on each host and in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    hosts: BTreeMap<HostId, u32>,
    all: u32,
}

impl Room {
    /// With hosts of so many cores, and these hosts already taking over a lane each time they are named.
    #[must_use]
    pub fn new(cores: &[(HostId, u16)], taking_over: &[HostId]) -> Self {
        let lanes = |cores: u16| u32::from(cores).max(1) * AT_ONCE_A_CORE;
        let mut room = Room { hosts: cores.iter().map(|&(host, cores)| (host, lanes(cores))).collect(), all: AT_ONCE };
        taking_over.iter().for_each(|&host| room.take(host));
        room
    }

    /// One more lane is taken over by this host.
    pub fn take(&mut self, host: HostId) {
        self.all = self.all.saturating_sub(1);
        if let Some(room) = self.hosts.get_mut(&host) {
            *room = room.saturating_sub(1);
        }
    }

    /// Whether there are hosts, and none takes over more now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.hosts.is_empty() && self.busy().len() == self.hosts.len()
    }

    /// The hosts that take over no more now.
    #[must_use]
    pub fn busy(&self) -> Vec<HostId> {
        self.hosts.iter().filter(|(_, room)| self.all == 0 || **room == 0).map(|(host, _)| *host).collect()
    }
}

impl Ftm {
    /// Lets lanes of lost hosts go on elsewhere, as many as there is room for.
    pub(super) fn recover(&mut self, now: Moment, step: &mut FtmStep) {
        let waiting = self.stranded();
        if waiting.is_empty() {
            return;
        }
        let cores: Vec<(HostId, u16)> = self.cores_up().collect();
        let mut room = Room::new(&cores, &self.taking_over());
        for entry in waiting {
            if room.is_full() {
                return;
            }
            let why = self.after_its_turn(now, &entry);
            if let Some(host) = self.relocate(now, &entry, &why, &room.busy(), step) {
                room.take(host);
            }
        }
    }

    /// Whether this is a lane that waits for its turn to go on elsewhere.
    pub(super) fn is_stranded(&self, entry: &Entry) -> bool {
        let is_lane = entry.name.kind() == Kind::Execution && self.needs(entry.name);
        is_lane && entry.placed().is_some_and(|host| self.is_lost(host))
    }

    /// The lanes that wait for their turn, in its order.
    fn stranded(&self) -> Vec<Entry> {
        if !self.hosts.keys().any(|&host| self.is_lost(host)) {
            return Vec::new();
        }
        let mut stranded: Vec<Entry> =
            self.registry.entries().filter(|entry| self.is_stranded(entry)).cloned().collect();
        stranded.sort_by_key(|entry| (-self.priority(entry.name), entry.name));
        stranded
    }

    fn priority(&self, lane: ArmorName) -> i64 {
        let record = lane.job().and_then(|job| self.jobs.get(job));
        record.map_or(0, |record| i64::from(record.job.needs.priority))
    }

    /// Where lanes are on their way that ran elsewhere before, or in an earlier life: the host of each.
    fn taking_over(&self) -> Vec<HostId> {
        let is_on_its_way = |entry: &&Entry| entry.is_later_life() && !self.registry.runs(entry.name);
        let lanes = self.registry.entries().filter(|entry| entry.name.kind() == Kind::Execution);
        let hosts = lanes.filter(is_on_its_way).filter_map(Entry::placed);
        hosts.filter(|host| self.hosts.get(host).is_some_and(|known| known.takes_lanes())).collect()
    }

    fn after_its_turn(&self, now: Moment, entry: &Entry) -> String {
        let host = entry.placed().unwrap_or_default();
        let standing = self.hosts.get(&host).map(|known| &known.standing);
        let waited = match standing {
            Some(Standing::Lost { since_unix_ms }) => Millis(now.unix_ms.saturating_sub(*since_unix_ms)),
            Some(Standing::Serving) | None => Millis(0),
        };
        let turn = if waited > Millis(0) { format!("; its turn came after {waited}") } else { String::new() };
        format!("{host} is lost{turn}")
    }

    /// What a job waits for whose lanes wait for their turn.
    pub(super) fn waits_for_turn(&self, record: &JobRecord) -> Option<String> {
        let lanes = || self.registry.of_job(record.id).filter(|entry| entry.name.kind() == Kind::Execution);
        let waiting = lanes().filter(|entry| self.is_stranded(entry)).count();
        let (all, ahead) = (lanes().count(), self.taking_over().len());
        (waiting > 0).then(|| {
            format!("for {waiting} of {all} lanes: their hosts are lost, and {ahead} other lanes go on elsewhere first")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H1: HostId = HostId(1);
    const H2: HostId = HostId(2);
    const H3: HostId = HostId(3);

    #[test]
    fn hosts_take_over_a_few_lanes_at_a_time_and_so_does_the_cluster() {
        let two = [(H1, 1), (H2, 2)];
        let many = |host, lanes: u32| vec![host; lanes as usize];
        let table = [
            ("nothing is on its way", &two[..], vec![], vec![]),
            ("one more fits", &two, vec![H1], vec![]),
            ("a core takes two", &two, vec![H1, H1], vec![H1]),
            ("two cores take four", &two, vec![H1, H2, H2, H2, H2], vec![H2]),
            ("both are busy", &two, vec![H1, H1, H2, H2, H2, H2], vec![H1, H2]),
            ("a host that is away counts in all only", &two, many(H3, AT_ONCE - 1), vec![]),
            ("as many as the cluster takes", &two, many(H3, AT_ONCE), vec![H1, H2]),
            ("a host that was not looked over takes some", &[(H1, 0)], vec![H1], vec![]),
            ("more than there should be", &two, many(H1, 2 * AT_ONCE), vec![H1, H2]),
            ("no host", &[], vec![H1], vec![]),
        ];
        for (what, cores, taking_over, busy) in table {
            assert_eq!(Room::new(cores, &taking_over).busy(), busy, "{what}");
        }
    }
}
