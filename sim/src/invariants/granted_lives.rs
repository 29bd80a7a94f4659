//! A daemon restarts an ARMOR in place only with incarnations that the registry granted it in advance
//! (DESIGN D7). The FTM is its daemon's own to restart.

use std::collections::BTreeMap;

use chameleon_core::armor::Effect;
use chameleon_core::message::{DaemonMessage, Message};
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_core::shell::Input;
use chameleon_core::world::ProcessCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct GrantedLives {
    granted: BTreeMap<(ArmorName, ArmorName), Incarnation>,
}

impl Invariant for GrantedLives {
    fn name(&self) -> &'static str {
        "an ARMOR lives no life that was not granted"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { who, effect: Effect::Process(ProcessCommand::Assign { name, incarnation, .. }), .. } = fact
        else {
            return Ok(());
        };
        let granted = self.granted.get(&(who.name, *name)).copied().unwrap_or_default();
        if *name != ArmorName::Ftm && *incarnation > granted {
            return Err(format!("{} starts {name} {incarnation}, and {granted} was the last one granted", who.name));
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        let Fact::Handles { who, input: Input::Message { message: Message::Daemon(message), .. }, .. } = fact else {
            return;
        };
        if let DaemonMessage::Install { name, granted, .. } = message {
            let known = self.granted.entry((who.name, *name)).or_default();
            *known = (*known).max(*granted);
        }
    }
}
