//! What each host is: an Init ARMOR is sent to a host that has joined, and what it reports is kept.
//!
//! A host is looked over once in each life of its daemon, because a host that was rebooted or
//! upgraded has a new one. Not at once: a host that joins brings work, and a system that was started for one
//! command is gone before it matters.

use crate::armor::{Moment, Timer};
use crate::managers::ftm::registry::{Entry, LIVES};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep, ProfileRecord};
use crate::names::{ArmorName, HostId, Millis};
use crate::profile::Profile;

/// How long after a host has joined it is looked over.
pub const PROFILE_AFTER: Millis = Millis(1_000);

impl Ftm {
    /// A host has joined: it is looked over soon, unless that was done in this life of its daemon.
    pub(super) fn profile_soon(&self, host: HostId, step: &mut FtmStep) {
        if self.unprofiled(host) {
            step.timer(Timer::Profile, PROFILE_AFTER);
        }
    }

    fn unprofiled(&self, host: HostId) -> bool {
        let Some(known) = self.hosts.get(&host) else { return false };
        known.daemon.is_some() && !known.is_looked_over()
    }

    /// Sends an Init to every host that is not looked over yet.
    pub(super) fn profile_hosts(&mut self, step: &mut FtmStep) {
        let hosts = self.hosts.keys().copied().filter(|&host| self.unprofiled(host));
        let due: Vec<HostId> = hosts.filter(|&host| self.registry.get(ArmorName::Init(host)).is_none()).collect();
        due.into_iter().for_each(|host| self.send_init(host, step));
    }

    /// Sends an Init to a host that has none.
    pub(super) fn send_init(&mut self, host: HostId, step: &mut FtmStep) {
        let Some(known) = self.hosts.get(&host) else { return };
        // The name is given again in another life of the daemon, or when it is tested, but no life of the ARMOR is.
        let used = known.record.daemon.0.saturating_add(known.conduct.paroles).saturating_mul(LIVES);
        let entry = Entry::requested(ArmorName::Init(host)).installing_after(host, used.max(self.past.lives));
        self.save(step, FtmRecord::Armor(entry.clone()));
        self.install(&entry, step);
    }

    /// An Init reports: once that is on disk, it has done its part.
    pub(super) fn profiled(&mut self, now: Moment, host: HostId, profile: Box<Profile>, step: &mut FtmStep) {
        if self.registry.get(ArmorName::Init(host)).is_none() {
            return;
        }
        let Some(daemon) = self.hosts.get(&host).map(|known| known.record.daemon) else { return };
        self.save(step, FtmRecord::Profile(ProfileRecord { host, daemon, profile }));
        self.test_or_retire(host, step);
        self.place_requested(now, step);
    }
}
