//! No host is taken for lost that serves (DESIGN D9): who is told of as lost was struck by a fault that
//! silences it, or lost so many datagrams that nobody could tell.

use std::collections::BTreeSet;

use chameleon_core::message::Story;
use chameleon_core::names::{ArmorName, HostId};

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct NoFalseLoss {
    struck: BTreeSet<HostId>,
}

/// The hosts that the FTM takes for lost in this step.
fn lost(fact: &Fact<'_>) -> impl Iterator<Item = HostId> {
    fact.stories().filter_map(|story| match story {
        Story::HostLost { host, .. } => Some(host),
        _ => None,
    })
}

impl Invariant for NoFalseLoss {
    fn name(&self) -> &'static str {
        "no host is taken for lost that serves"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        match lost(fact).find(|host| !self.struck.contains(host)) {
            Some(host) => Err(format!("{host} is taken for lost, and nothing struck it")),
            None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::HostsStruck { hosts } => self.struck.extend(*hosts),
            // Without its daemon and its Heartbeat nobody can tell that it lives.
            Fact::Struck { who, .. } => {
                if let ArmorName::Daemon(host) | ArmorName::Heartbeat(host) = who.name {
                    self.struck.insert(host);
                }
            }
            _ => {}
        }
    }
}
