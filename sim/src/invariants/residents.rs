//! What was ever to be on each host, of what an invariant looks at: what comes anew is told from what was there.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::names::{ArmorName, HostId};

#[derive(Default)]
pub(super) struct Residents(BTreeMap<HostId, BTreeSet<ArmorName>>);

impl Residents {
    pub fn includes(&self, host: HostId, name: ArmorName) -> bool {
        self.0.get(&host).is_some_and(|there| there.contains(&name))
    }

    pub fn add(&mut self, host: HostId, name: ArmorName) {
        self.0.entry(host).or_default().insert(name);
    }

    pub fn remove(&mut self, host: HostId, name: ArmorName) {
        if let Some(there) = self.0.get_mut(&host) {
            there.remove(&name);
        }
    }
}
