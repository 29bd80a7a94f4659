//! Where a copy is kept of what SMs and Voters save, so that they can go on elsewhere.

use std::collections::BTreeMap;

use crate::armor::Moment;
use crate::managers::ftm::registry::{Decided, Entry};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::names::{ArmorName, HostId, Incarnation, JobId, Kind};

/// How much a Mirror avoids the FTM's host, without which nobody could use the copy, and the host of those whose copy
/// it has.
const FTM_HERE: u32 = 1;
const SAME_HOST: u32 = 2;

impl Ftm {
    /// Whether an ARMOR could go on elsewhere: it need know nothing, or a host that serves has a copy of what it knows.
    pub(super) fn can_move(&self, name: ArmorName) -> bool {
        let copy = self.registry.mirror_of(name).filter(|_| self.registry.may_have_run(name));
        self.registry.can_move(name) && copy.is_none_or(|host| !self.is_lost(host))
    }

    /// What is to be installed elsewhere begins with a copy, if there is one and it ever ran.
    pub(super) fn carried(&self, entry: Entry) -> Entry {
        let has_past = self.registry.may_have_run(entry.name) && self.registry.mirror_of(entry.name).is_some();
        if has_past { entry.from_copy() } else { entry }
    }

    fn host_of(&self, name: ArmorName) -> Option<HostId> {
        self.registry.get(name).and_then(|entry| entry.decided.host())
    }

    /// Which hosts these ARMORs of a job should get only if there is no other: an SM and a Voter that of their Mirror,
    /// a Mirror theirs.
    pub(super) fn apart(&self, job: JobId, names: &[ArmorName]) -> BTreeMap<HostId, u32> {
        let mirror = ArmorName::Mirror(job);
        if !names.contains(&mirror) {
            return self.host_of(mirror).map(|host| (host, SAME_HOST)).into_iter().collect();
        }
        let savers =
            [ArmorName::Surrogate(job), ArmorName::Voter(job)].into_iter().filter_map(|name| self.host_of(name));
        [(self.host, FTM_HERE)].into_iter().chain(savers.map(|host| (host, SAME_HOST))).collect()
    }

    /// A Mirror begins anew, with nothing: those whose copy it had get new lives in place, which bring what they have.
    pub(super) fn copy_again(&mut self, mirror: ArmorName, step: &mut FtmStep) {
        let ArmorName::Mirror(job) = mirror else { return };
        for name in [ArmorName::Surrogate(job), ArmorName::Voter(job)] {
            let Some(entry) = self.registry.get(name) else { continue };
            if let Decided::Installing { host, .. } = entry.decided
                && !self.is_lost(host)
            {
                let anew = entry.installing(host);
                self.save(step, FtmRecord::Armor(anew.clone()));
                self.install(&anew, step);
            }
        }
    }

    /// A host has joined: Mirrors that share theirs with those whose copy they have are moved, if there is a better one.
    pub(super) fn part_mirrors(&mut self, now: Moment, step: &mut FtmStep) {
        let running =
            self.registry.entries().filter(|entry| entry.name.kind() == Kind::Mirror && self.needs(entry.name));
        for entry in running.cloned().collect::<Vec<Entry>>() {
            let (Some(job), Decided::Installing { host, .. }) = (entry.name.job(), &entry.decided) else { continue };
            let apart = self.apart(job, &[entry.name]);
            let shares = |host: &HostId| apart.get(host) == Some(&SAME_HOST);
            let better = self.plan(job, &[entry.name], &[]).places.first().map(|placing| placing.host);
            if shares(host) && better.is_some_and(|better| !shares(&better)) {
                let why = "a copy is of use only on another host".to_owned();
                let from = *host;
                self.relocate(now, from, &entry, &why, step);
                self.retire_at(from, entry.name, step);
            }
        }
    }

    /// An ARMOR says that nobody knows any more what its earlier lives saved.
    pub(super) fn forgotten(&mut self, now: Moment, name: ArmorName, incarnation: Incarnation, step: &mut FtmStep) {
        let Some(entry) = self.registry.get(name).cloned() else { return };
        if let Decided::Installing { host, incarnation: lowest, .. } = entry.decided
            && incarnation >= lowest
            && self.needs(name)
        {
            let why = "the host that had what it saved is lost, and so is the one that had the copy";
            self.give_up(now, host, &entry, why, step);
        }
    }
}
