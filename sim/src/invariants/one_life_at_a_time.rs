//! An ARMOR lives one life at a time, and each has a higher incarnation than all before (DESIGN §2,
//! "incarnation": the higher wins, the lower is ignored).

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::names::{ArmorName, Incarnation};

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OneLifeAtATime {
    highest: BTreeMap<ArmorName, Incarnation>,
    alive: BTreeSet<ArmorName>,
}

impl Invariant for OneLifeAtATime {
    fn name(&self) -> &'static str {
        "an ARMOR lives one life at a time, each with a higher incarnation"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Born { who, .. } = fact else { return Ok(()) };
        if self.alive.contains(&who.name) {
            return Err(format!("{} lives twice", who.name));
        }
        match self.highest.get(&who.name) {
            Some(highest) if who.incarnation <= *highest => {
                Err(format!("{} begins life {} after life {highest}", who.name, who.incarnation))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Born { who, .. } => {
                self.highest.insert(who.name, who.incarnation);
                self.alive.insert(who.name);
            }
            Fact::Died { who, .. } => drop(self.alive.remove(&who.name)),
            // Nobody is left who could take a lower one for the higher.
            Fact::PowerLost => self.highest.clear(),
            _ => {}
        }
    }
}
