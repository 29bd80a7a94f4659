//! Second homes: on which other host a copy is kept of what an SM or a Voter saves.

use crate::managers::ftm::placement;
use crate::managers::ftm::registry::{self, Decided, Entry};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::names::{ArmorName, HostId, JobId};

impl Ftm {
    /// The host that is to keep a copy of what this ARMOR saves on `host`, if it needs one and there is one.
    /// The FTM's own is the last choice: with it everybody who could appoint a successor is lost, too.
    pub(super) fn mirror_for(&self, name: ArmorName, host: HostId) -> Option<HostId> {
        if !registry::is_mirrored(name) {
            return None;
        }
        let mut others = self.hosts_but(&[host, self.host]);
        if others.is_empty() {
            others = self.hosts_but(&[host]);
        }
        let loads = self.registry.loads(others, name.job().unwrap_or(JobId(0)));
        placement::place(loads, &[name]).first().map(|placing| placing.host)
    }

    /// The hosts on which an ARMOR can go on: any, or where there is a copy of what it must know.
    pub(super) fn successors(&self, entry: &Entry, but: &[HostId]) -> Vec<HostId> {
        let mut hosts = self.hosts_but(but);
        if self.registry.needs_its_memory(entry.name) {
            hosts.retain(|host| entry.mirror() == Some(*host));
        }
        hosts
    }

    /// Gives a mirror to whoever has none that serves, as far as there are hosts. The mirror is the same for
    /// a whole life, so this is a new one, in place.
    pub(super) fn mirror_all(&mut self, step: &mut FtmStep) {
        let serves = |ftm: &Ftm, host: Option<HostId>| host.is_some_and(|host| !ftm.is_lost(host));
        let bare = self.registry.entries().filter(|entry| !serves(self, entry.mirror())).filter_map(|entry| {
            let Decided::Installing { host, .. } = entry.decided else { return None };
            let mirror = self.mirror_for(entry.name, host).filter(|_| self.is_needed(entry.name))?;
            (!self.is_lost(host)).then(|| entry.installing(host).mirrored(Some(mirror), false))
        });
        for entry in bare.collect::<Vec<Entry>>() {
            self.save(step, FtmRecord::Armor(entry.clone()));
            self.install(&entry, step);
        }
    }

    /// Whoever may have a copy of what an ARMOR saved that is retired.
    pub(super) fn copiers(&self, name: ArmorName) -> Vec<ArmorName> {
        let hosts = if registry::is_mirrored(name) { self.hosts_but(&[]) } else { Vec::new() };
        hosts.into_iter().filter(|_| self.hosts.len() > 1).map(ArmorName::Daemon).collect()
    }
}
