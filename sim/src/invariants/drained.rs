//! Once a person is told that a host is drained, no ARMOR of a job comes to it that was not there (docs/commands.md,
//! `host drain`): the machine can be switched off as soon as it is empty.

use std::collections::BTreeSet;

use chameleon_core::armor::Effect;
use chameleon_core::message::{Message, UserMessage};
use chameleon_core::names::{ArmorName, HostId};

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::residents::Residents;

#[derive(Default)]
pub struct Drained {
    drained: BTreeSet<HostId>,
    /// What was ever to be on each host, but for what a person was told has left it.
    there: Residents,
}

impl Invariant for Drained {
    fn name(&self) -> &'static str {
        "nothing new comes to a drained host"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((host, name)) = of_a_job(fact) else { return Ok(()) };
        match self.drained.contains(&host) && !self.there.includes(host, name) {
            true => Err(format!("{name} is installed on {host}, of which it was said that it is drained")),
            false => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((host, name)) = of_a_job(fact) {
            self.there.add(host, name);
        }
        let Fact::Asks { effect: Effect::Send { message, .. }, .. } = fact else { return };
        if let Message::User(UserMessage::Drained { host, drained, moved, .. }) = message {
            match drained {
                true => self.drained.insert(*host),
                false => self.drained.remove(host),
            };
            moved.iter().for_each(|(gone, _)| self.there.remove(*host, *gone));
        }
    }
}

/// Where the FTM wants which ARMOR of a job.
fn of_a_job(fact: &Fact<'_>) -> Option<(HostId, ArmorName)> {
    fact.installs().filter(|(_, name)| name.job().is_some())
}
