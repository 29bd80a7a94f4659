//! A person's command to start a host is run only while the FTM takes that host for lost (issue 3, 4): a host that serves may be
//! one that the command switches off and on.

use std::collections::BTreeSet;

use chameleon_core::armor::Effect;
use chameleon_core::message::Story;
use chameleon_core::names::HostId;
use chameleon_core::world::ProcessCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OnlyTheLostAreStarted {
    lost: BTreeSet<HostId>,
}

impl Invariant for OnlyTheLostAreStarted {
    fn name(&self) -> &'static str {
        "only hosts that are lost are started by a command"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Asks { effect: Effect::Process(ProcessCommand::Summon { host, .. }), .. }
                if !self.lost.contains(host) =>
            {
                Err(format!("{host} is started, and nobody was told that it is lost"))
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        for story in fact.stories() {
            match story {
                Story::HostLost { host, .. } => self.lost.insert(host),
                Story::HostReturned { host, .. } => self.lost.remove(&host),
                _ => false,
            };
        }
    }
}
