//! An ARMOR lives one life at a time on a host, and each life has a higher incarnation than all that
//! were on that host before; lives on different hosts, one of which is lost, have different incarnations
//! (DESIGN §2, "incarnation": the higher wins, the lower is ignored).

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::names::{ArmorName, HostId, Incarnation};

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OneLifeAtATime {
    highest: BTreeMap<(HostId, ArmorName), Incarnation>,
    alive: BTreeSet<(HostId, ArmorName)>,
    lives: BTreeSet<(ArmorName, Incarnation)>,
}

impl Invariant for OneLifeAtATime {
    fn name(&self) -> &'static str {
        "an ARMOR lives one life at a time, each with a higher incarnation"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Born { who, .. } = fact else { return Ok(()) };
        if self.alive.contains(&(who.host, who.name)) {
            return Err(format!("{} lives twice on {}", who.name, who.host));
        }
        if self.lives.contains(&(who.name, who.incarnation)) {
            return Err(format!("{} begins life {} on {}, which it had before", who.name, who.incarnation, who.host));
        }
        match self.highest.get(&(who.host, who.name)) {
            Some(highest) if who.incarnation <= *highest => {
                Err(format!("{} begins life {} after life {highest}", who.name, who.incarnation))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Born { who, .. } => {
                self.highest.insert((who.host, who.name), who.incarnation);
                self.alive.insert((who.host, who.name));
                self.lives.insert((who.name, who.incarnation));
            }
            Fact::Died { who, .. } => drop(self.alive.remove(&(who.host, who.name))),
            // Nobody is left who could take a lower one for the higher.
            Fact::PowerLost => {
                self.highest.clear();
                self.lives.clear();
            }
            _ => {}
        }
    }
}
