//! Only the FTM retires ARMORs (DESIGN D7): what an ARMOR kept is deleted only after the FTM said so.

use std::collections::BTreeSet;

use chameleon_core::armor::Effect;
use chameleon_core::message::{DaemonMessage, Message};
use chameleon_core::names::ArmorName;
use chameleon_core::shell::Input;
use chameleon_core::world::ProcessCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OnlyFtmRetires {
    retired: BTreeSet<ArmorName>,
}

impl Invariant for OnlyFtmRetires {
    fn name(&self) -> &'static str {
        "only the FTM retires"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Asks { who, effect: Effect::Process(ProcessCommand::Clean { name: Some(name), .. }), .. }
                if !self.retired.contains(name) =>
            {
                Err(format!("{} deletes what {name} kept, and the FTM did not retire it", who.name))
            }
            Fact::Asks {
                who,
                effect: Effect::Send { message: Message::Daemon(DaemonMessage::Retire { name, .. }), .. },
                ..
            } if who.name != ArmorName::Ftm => Err(format!("{} retires {name}", who.name)),
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Fact::Handles { input: Input::Message { from: ArmorName::Ftm, message, .. }, .. } = fact
            && let Message::Daemon(DaemonMessage::Retire { name, .. }) = message
        {
            self.retired.insert(*name);
        }
    }
}
