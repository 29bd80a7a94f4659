//! Once the FTM has told of a host's quarantine, no lane comes to it that was not there, until it is told that the host is
//! trusted again (docs/decisions/0027-quarantine-and-parole.md): who relies on a lane is not to rely on a host that fails again and again.

use std::collections::BTreeSet;

use chameleon_core::message::Story;
use chameleon_core::names::{ArmorName, HostId, Kind};

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::residents::Residents;

#[derive(Default)]
pub struct Quarantined {
    quarantined: BTreeSet<HostId>,
    /// The lanes that were ever to be on each host.
    there: Residents,
}

impl Invariant for Quarantined {
    fn name(&self) -> &'static str {
        "no new lane comes to a host in quarantine"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((host, name)) = of_a_lane(fact) else { return Ok(()) };
        match self.quarantined.contains(&host) && !self.there.includes(host, name) {
            true => Err(format!("{name} is installed on {host}, which is in quarantine")),
            false => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((host, name)) = of_a_lane(fact) {
            self.there.add(host, name);
        }
        for story in fact.stories() {
            match story {
                Story::HostQuarantined { host, .. } => self.quarantined.insert(host),
                Story::HostTrusted { host, .. } => self.quarantined.remove(&host),
                _ => false,
            };
        }
    }
}

/// Where the FTM wants which lane.
fn of_a_lane(fact: &Fact<'_>) -> Option<(HostId, ArmorName)> {
    fact.installs().filter(|(_, name)| name.kind() == Kind::Execution)
}
