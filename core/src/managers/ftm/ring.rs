//! Who watches whom: the hosts in a ring, each watched by the next two that serve.
//!
//! A host sends and receives two streams of beats however many hosts there are, and one that comes or
//! goes concerns four others. Hosts that are lost watch nobody, and are watched until they return.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::HostId;

/// How many watch a host, if there are so many others.
pub const OBSERVERS: usize = 2;

/// What one host does for the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watching {
    pub beat_to: Vec<HostId>,
    pub watch: Vec<HostId>,
}

/// Who watches this host.
#[must_use]
pub fn observers(serving: &BTreeSet<HostId>, host: HostId) -> Vec<HostId> {
    let after = serving.range(host..).filter(|&&other| other != host);
    after.chain(serving.range(..host)).take(OBSERVERS).copied().collect()
}

/// What each host does: all of them, lost ones too, beat; those that serve watch.
#[must_use]
pub fn watching(serving: &BTreeSet<HostId>, all: impl IntoIterator<Item = HostId>) -> BTreeMap<HostId, Watching> {
    let mut plan: BTreeMap<HostId, Watching> = BTreeMap::new();
    for host in all {
        let beat_to = observers(serving, host);
        for &observer in &beat_to {
            plan.entry(observer).or_default().watch.push(host);
        }
        plan.entry(host).or_default().beat_to = beat_to;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(numbers: &[u32]) -> BTreeSet<HostId> {
        numbers.iter().map(|&number| HostId(number)).collect()
    }

    fn numbers(hosts: &[HostId]) -> Vec<u32> {
        hosts.iter().map(|host| host.0).collect()
    }

    #[test]
    fn each_host_is_watched_by_two_others_if_there_are_so_many() {
        let table: [(&[u32], u32, &[u32]); 5] = [
            (&[1], 1, &[]),
            (&[1, 2], 1, &[2]),
            (&[1, 2, 3], 2, &[3, 1]),
            (&[1, 2, 3, 4, 5], 5, &[1, 2]),
            (&[1, 3, 4], 2, &[3, 4]),
        ];
        for (serving, host, expected) in table {
            assert_eq!(numbers(&observers(&hosts(serving), HostId(host))), expected, "{host} of {serving:?}");
        }
    }

    #[test]
    fn a_lost_host_is_watched_and_watches_nobody() {
        let plan = watching(&hosts(&[1, 3, 4]), hosts(&[1, 2, 3, 4]));
        assert_eq!(numbers(&plan[&HostId(2)].watch), []);
        assert_eq!(numbers(&plan[&HostId(2)].beat_to), [3, 4]);
        assert_eq!(numbers(&plan[&HostId(3)].watch), [1, 2, 4]);
        assert_eq!(numbers(&plan[&HostId(1)].watch), [3, 4]);
    }

    #[test]
    fn one_more_host_concerns_few_others() {
        let many: BTreeSet<HostId> = (1..=1_000).map(HostId).collect();
        let without: BTreeSet<HostId> = many.iter().copied().filter(|host| host.0 != 500).collect();
        let (before, after) = (watching(&without, without.clone()), watching(&many, many.clone()));
        let changed = after.iter().filter(|(host, watching)| before.get(host) != Some(watching)).count();
        assert_eq!(changed, 5, "itself, and two on either side");
    }
}
