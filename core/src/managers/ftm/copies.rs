//! Where a copy is kept of what SMs and Voters save, so that they can go on elsewhere.
//!
//! With several hosts each job has a Mirror. Where that is, is told to the SM and the Voter when they are installed, so a
//! Mirror that is installed anew means new lives for both, in place: they bring what they have.

use std::collections::BTreeMap;

use crate::armor::Moment;
use crate::managers::ftm::registry::{Decided, Entry};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::Unmirrored;
use crate::names::{ArmorName, HostId, Incarnation, JobId, Kind};
use crate::world::SecondHome;

/// How much a Mirror avoids the FTM's host, without which nobody could use the copy, and the host of those whose copy
/// it has.
const FTM_HERE: u32 = 1;
const SAME_HOST: u32 = 2;

/// Those whose copy a Mirror has.
fn savers(job: JobId) -> [ArmorName; 2] {
    [ArmorName::Surrogate(job), ArmorName::Voter(job)]
}

fn is_first(mirror: &Entry) -> bool {
    matches!(mirror.decided, Decided::Installing { incarnation: Incarnation(1), .. })
}

impl Ftm {
    /// The Mirror that a job begins with: there is one where it can be of use.
    pub(super) fn first_mirror(&self, job: JobId) -> Option<ArmorName> {
        let serving = self.hosts.values().filter(|known| known.serves()).count();
        (serving > 1).then_some(ArmorName::Mirror(job))
    }

    /// Where the copy is of what this ARMOR saves, if there is one.
    pub(super) fn second_home(&self, entry: &Entry) -> Option<SecondHome> {
        let (mirror, host) = self.registry.mirror_of(entry.name)?;
        // The first Mirror that its job had has all that was ever saved, though that may be nothing.
        Some(SecondHome { host, moved: entry.is_moved() && !is_first(mirror) })
    }

    /// Whether this ARMOR is not to begin before a Mirror does that was installed anew: who calls that too early may reach
    /// one that was left behind on a frozen host.
    pub(super) fn awaits_mirror(&self, name: ArmorName) -> bool {
        self.registry.mirror_of(name).is_some_and(|(mirror, _)| !is_first(mirror) && !self.registry.runs(mirror.name))
    }

    /// A Mirror runs: those begin who waited for it.
    pub(super) fn install_savers(&self, job: JobId, step: &mut FtmStep) {
        if self.registry.get(ArmorName::Mirror(job)).is_none_or(is_first) {
            return;
        }
        let waiting = savers(job).into_iter().filter(|name| !self.registry.runs(*name) && self.needs(*name));
        waiting.filter_map(|name| self.registry.get(name)).for_each(|entry| self.install(entry, step));
    }

    /// Whether an ARMOR could go on elsewhere: it need know nothing, or a host that serves has a copy of what it knows.
    pub(super) fn can_move(&self, name: ArmorName) -> bool {
        let copy = self.registry.mirror_of(name).filter(|_| self.registry.may_have_run(name));
        self.registry.can_move(name) && copy.is_none_or(|(_, host)| !self.is_lost(host))
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
    /// a Mirror theirs. An SM that has no place yet will be where the job's files are.
    pub(super) fn apart(&self, job: JobId, names: &[ArmorName]) -> BTreeMap<HostId, u32> {
        let [surrogate, voter] = savers(job);
        let mirror = ArmorName::Mirror(job);
        if !names.contains(&mirror) {
            return self.host_of(mirror).map(|host| (host, SAME_HOST)).into_iter().collect();
        }
        let origin = self.jobs.get(job).map(|record| record.job.origin.host);
        let theirs = [self.host_of(surrogate).or(origin), self.host_of(voter)];
        let ftm = (self.host, FTM_HERE);
        std::iter::once(ftm).chain(theirs.into_iter().flatten().map(|host| (host, SAME_HOST))).collect()
    }

    /// What people are told of a Mirror's new place.
    pub(super) fn why_there(&self, name: ArmorName, to: HostId, why: &str) -> String {
        let shares = name.kind() == Kind::Mirror
            && name.job().is_some_and(|job| savers(job).into_iter().any(|saver| self.host_of(saver) == Some(to)));
        let alone = if shares { "; there is no other host, so the loss of this one would end the job" } else { "" };
        format!("{why}{alone}")
    }

    /// A Mirror begins anew, with nothing: those whose copy it had get new lives in place, which bring what they have.
    pub(super) fn copy_again(&mut self, mirror: ArmorName, step: &mut FtmStep) {
        if let ArmorName::Mirror(job) = mirror {
            savers(job).into_iter().for_each(|name| self.live_anew(name, step));
        }
    }

    /// An ARMOR gets new lives where it is.
    fn live_anew(&mut self, name: ArmorName, step: &mut FtmStep) {
        let Some(entry) = self.registry.get(name) else { return };
        if let Some(host) = entry.placed().filter(|host| !self.is_lost(*host)) {
            let (anew, has_past) = (entry.installing(host), self.registry.may_have_run(name));
            self.save(step, FtmRecord::Armor(anew.clone()));
            self.registry.ends_for_later(name, has_past);
            self.install(&anew, step);
        }
    }

    /// Whether an SM or a Voter may lack what its Mirror has: one that went on elsewhere and was given all may not have it
    /// on its disk yet.
    pub(super) fn is_mirror_needed(&self, job: JobId) -> bool {
        savers(job).into_iter().any(|name| self.registry.get(name).is_some_and(Entry::is_moved))
    }

    /// No host keeps a Mirror: those whose copy it had go on without one, if they have all themselves.
    pub(super) fn without_mirror(&mut self, now: Moment, job: JobId, why: &str, step: &mut FtmStep) {
        match self.is_mirror_needed(job) {
            true => self.end_without_surrogate(now, job, why, step),
            false => self.copy_again(ArmorName::Mirror(job), step),
        }
    }

    /// The copy of what an ARMOR saves is of no use to its life: it gets another one, which brings what it has; or nobody
    /// knows any more what its earlier lives saved.
    pub(super) fn unmirrored(
        &mut self,
        now: Moment,
        name: ArmorName,
        incarnation: Incarnation,
        why: Unmirrored,
        step: &mut FtmStep,
    ) {
        let Some(entry) = self.registry.get(name).filter(|_| self.needs(name)).cloned() else { return };
        let Decided::Installing { host, incarnation: lowest, .. } = entry.decided else { return };
        if incarnation < lowest {
            return;
        }
        match why {
            Unmirrored::Behind => self.live_anew(name, step),
            Unmirrored::Forgotten => {
                let why = "the host that had what it saved is lost, and so is the one that had the copy";
                self.give_up(now, host, &entry, why, step);
            }
        }
    }
}
