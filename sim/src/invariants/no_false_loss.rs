//! No host is taken for lost that serves (DESIGN D9): who is told of as lost was struck by a fault that
//! silences it, or lost so many datagrams that nobody could tell.

use std::collections::BTreeSet;

use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::message::Story;
use chameleon_core::names::{ArmorName, HostId};

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct NoFalseLoss {
    struck: BTreeSet<HostId>,
}

/// The hosts that the FTM takes for lost in this step.
fn lost(fact: &Fact<'_>) -> Vec<HostId> {
    let Fact::Stepped { who, output, .. } = fact else { return Vec::new() };
    let records = output.save.iter().filter(|_| who.name == ArmorName::Ftm).flat_map(|save| &save.records);
    let host = |bytes: &[u8]| match minicbor::decode(bytes) {
        Ok(FtmRecord::Event(event)) => match event.occurrence.story {
            Story::HostLost { host, .. } => Some(host),
            _ => None,
        },
        _ => None,
    };
    records.filter_map(|record| host(&record.bytes)).collect()
}

impl Invariant for NoFalseLoss {
    fn name(&self) -> &'static str {
        "no host is taken for lost that serves"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        match lost(fact).into_iter().find(|host| !self.struck.contains(host)) {
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
