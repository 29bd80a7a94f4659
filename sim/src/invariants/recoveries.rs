//! Lanes of lost hosts go on elsewhere a few at a time: never more are on their way to a host, or in all, than it takes over at
//! once (docs/decisions/0031-lanes-of-lost-hosts-take-turns.md).

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::managers::ftm::recovery::{AT_ONCE, AT_ONCE_A_CORE};
use chameleon_core::message::{DaemonMessage, FtmMessage, Message, Story, Unit};
use chameleon_core::names::{ArmorName, HostId, Incarnation, Kind};
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::host::CORES;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct Recoveries {
    /// Lanes of which the FTM said that they go on elsewhere, and whose install it has not sent yet.
    decided: BTreeSet<ArmorName>,
    /// Where they are to begin again, with which life, as long as the FTM has not heard that they did.
    on_their_way: BTreeMap<ArmorName, (HostId, Incarnation)>,
}

impl Invariant for Recoveries {
    fn name(&self) -> &'static str {
        "lanes of lost hosts go on elsewhere a few at a time"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((host, name, _)) = self.begins(fact) else { return Ok(()) };
        let there = self.on_their_way.values().filter(|(other, _)| *other == host).count();
        let (most_there, most) = (usize::from(CORES) * AT_ONCE_A_CORE as usize, AT_ONCE as usize);
        if there >= most_there || self.on_their_way.len() >= most {
            let all = self.on_their_way.len();
            return Err(format!("{name} goes on on {host}, where {there} lanes are on their way, of {all} in all"));
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((host, name, incarnation)) = self.begins(fact) {
            self.decided.remove(&name);
            self.on_their_way.insert(name, (host, incarnation));
        }
        match fact {
            Fact::Handles { who, input: Input::Message { message: Message::Ftm(message), .. }, .. }
                if who.name == ArmorName::Ftm =>
            {
                match message {
                    FtmMessage::Running(unit) => self.runs(unit),
                    FtmMessage::Joined { units, .. } => units.iter().for_each(|unit| self.runs(unit)),
                    _ => {}
                }
            }
            _ => fact.decisions().for_each(|record| self.keep(record)),
        }
    }
}

impl Recoveries {
    /// Which lane is to begin again elsewhere, if this says so for the first time.
    fn begins(&self, fact: &Fact<'_>) -> Option<(HostId, ArmorName, Incarnation)> {
        let Fact::Asks { effect: Effect::Send { to: ArmorName::Daemon(host), message }, .. } = fact else {
            return None;
        };
        match message {
            Message::Daemon(DaemonMessage::Install { name, incarnation, .. }) if self.decided.contains(name) => {
                Some((*host, *name, *incarnation))
            }
            _ => None,
        }
    }

    fn runs(&mut self, unit: &Unit) {
        if self.on_their_way.get(&unit.name).is_some_and(|(_, life)| unit.pid != 0 && unit.incarnation >= *life) {
            self.on_their_way.remove(&unit.name);
        }
    }

    fn forget(&mut self, name: ArmorName) {
        self.decided.remove(&name);
        self.on_their_way.remove(&name);
    }

    /// The FTM has decided something.
    fn keep(&mut self, record: FtmRecord) {
        match record {
            FtmRecord::Reign { .. } => *self = Recoveries::default(),
            FtmRecord::Armor(entry) => self.forget(entry.name),
            FtmRecord::ArmorGone(name) => self.forget(name),
            FtmRecord::Event(event) => match event.occurrence.story {
                Story::ArmorMoved { name, .. } if name.kind() == Kind::Execution => drop(self.decided.insert(name)),
                Story::HostLost { host, .. } => self.on_their_way.retain(|_, (to, _)| *to != host),
                _ => {}
            },
            _ => {}
        }
    }
}
