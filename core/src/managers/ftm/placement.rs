//! Where ARMORs are to run: a pure function from what runs where to a plan that can be printed.
//!
//! The lanes of a job are spread first and balanced second, because a host that dies or
//! miscomputes should take one lane with it and not the quorum. A job's SM and Fanout go to its origin, where its
//! files are, if that is there. The others go where least runs.

use std::collections::BTreeMap;

use crate::names::{ArmorName, HostId, Kind};

/// What a host carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Load {
    /// Lanes of the job in question.
    pub lanes: u32,
    /// ARMORs in all.
    pub armors: u32,
}

/// One decision: this ARMOR runs on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    pub name: ArmorName,
    pub host: HostId,
}

/// A host for each of these ARMORs of one job, in their order; nothing for any if there is no host.
#[must_use]
pub fn place(mut loads: BTreeMap<HostId, Load>, origin: HostId, names: &[ArmorName]) -> Vec<Placing> {
    let mut plan = Vec::new();
    for &name in names {
        let is_lane = name.kind() == Kind::Execution;
        let cost = |load: &Load| if is_lane { *load } else { Load { lanes: 0, ..*load } };
        let belongs_there = matches!(name.kind(), Kind::Surrogate | Kind::Fanout);
        let away = |host: HostId| belongs_there && host != origin;
        let least = loads.iter_mut().min_by_key(|(host, load)| (away(**host), cost(load), **host));
        let Some((&host, load)) = least else { break };
        load.armors += 1;
        load.lanes += u32::from(is_lane);
        plan.push(Placing { name, host });
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{JobId, LaneId};

    const JOB: JobId = JobId(1);

    fn lanes(n: u16) -> Vec<ArmorName> {
        (0..n).map(|lane| ArmorName::Execution(JOB, LaneId(lane))).collect()
    }

    fn placed(armors: &[u32], names: &[ArmorName]) -> Vec<u32> {
        let loads = (1..).zip(armors).map(|(host, &armors)| (HostId(host), Load { lanes: 0, armors })).collect();
        place(loads, HostId(9), names).iter().map(|placing| placing.host.0).collect()
    }

    #[test]
    fn lanes_are_spread_before_they_are_balanced() {
        let table: [(&str, &[u32], u16, &[u32]); 5] = [
            ("one host takes all", &[3], 3, &[1, 1, 1]),
            ("a host a lane", &[0, 0, 0], 3, &[1, 2, 3]),
            ("also if one is busy", &[9, 0, 0], 3, &[2, 3, 1]),
            ("round and round", &[0, 0], 5, &[1, 2, 1, 2, 1]),
            ("no host, no place", &[], 3, &[]),
        ];
        for (what, armors, n, expected) in table {
            assert_eq!(placed(armors, &lanes(n)), expected, "{what}");
        }
    }

    #[test]
    fn the_others_go_where_least_runs() {
        let names = [ArmorName::Surrogate(JOB), ArmorName::Voter(JOB), ArmorName::Fanout(JOB)];
        assert_eq!(placed(&[2, 0, 1], &names), [2, 2, 3]);
    }

    #[test]
    fn the_surrogate_and_the_fanout_go_where_the_files_are() {
        let names = [ArmorName::Surrogate(JOB), ArmorName::Voter(JOB), ArmorName::Fanout(JOB)];
        let loads = (1..=3).map(|host| (HostId(host), Load { lanes: 0, armors: host })).collect();
        let hosts: Vec<u32> = place(loads, HostId(3), &names).iter().map(|placing| placing.host.0).collect();
        assert_eq!(hosts, [3, 1, 3]);
    }
}
