//! Nobody healthy is called hung, and a lane that Chameleon itself blocks is never "no progress"
//! (DESIGN §5 and D9): who is told of as hung was struck by a fault that makes it so. A life that was left behind
//! on a lost host is not reached by its name any more, and may be called what its daemon likes.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::message::{FtmMessage, Message, Story, SurrogateMessage, Why};
use chameleon_core::names::{ArmorName, HostId, JobId, LaneId};
use chameleon_core::shell::Input;

use crate::faults::Fault;
use crate::history::Fact;
use crate::invariants::Invariant;
use crate::process::Condition;

#[derive(Default)]
pub struct NoFalseAlarm {
    struck: BTreeSet<ArmorName>,
    disk_slow: bool,
    /// Where each ARMOR is to be.
    places: BTreeMap<ArmorName, HostId>,
    paused: BTreeSet<(JobId, LaneId)>,
}

impl Invariant for NoFalseAlarm {
    fn name(&self) -> &'static str {
        "nobody healthy is called hung"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { who, effect: Effect::Send { message: Message::Ftm(message), .. }, .. } = fact else {
            return Ok(());
        };
        match message {
            FtmMessage::Observed { occurrence, .. } => match &occurrence.story {
                Story::ArmorHung { name, evidence, .. }
                    if !self.disk_slow && !self.struck.contains(name) && self.is_at_home(*name, who.name) =>
                {
                    Err(format!("{} calls {name} hung ({evidence:?}), and nothing is wrong with it", who.name))
                }
                _ => Ok(()),
            },
            FtmMessage::Happened { job, occurrences, .. } => {
                let dropped = occurrences.iter().find_map(|occurrence| match &occurrence.story {
                    Story::LaneDropped { lane, why: Why::TooSlow, .. } if self.paused.contains(&(*job, *lane)) => {
                        Some(*lane)
                    }
                    _ => None,
                });
                dropped.map_or(Ok(()), |lane| {
                    Err(format!("{job}: lane {lane} is dropped as too slow while it is held back"))
                })
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((host, name)) = fact.installs() {
            self.places.insert(name, host);
        }
        match fact {
            Fact::Struck { fault: Fault::Fare(name, condition, _), .. } if *condition != Condition::Starved => {
                self.struck.insert(*name);
            }
            // Whoever waits for such a disk, or for a store that it cannot reach, answers nobody.
            Fact::DiskSlow => self.disk_slow = true,
            Fact::StoreAway => drop(self.struck.insert(ArmorName::Ftm)),
            Fact::Handles { who, input: Input::Message { message: Message::Surrogate(message), .. }, .. } => {
                let (Some(job), SurrogateMessage::LaneProgress { lane, paused, .. }) = (who.name.job(), message) else {
                    return;
                };
                if *paused {
                    self.paused.insert((job, *lane));
                } else {
                    self.paused.remove(&(job, *lane));
                }
            }
            _ => {}
        }
    }
}

impl NoFalseAlarm {
    /// Whether an ARMOR is to be where this daemon is.
    fn is_at_home(&self, name: ArmorName, daemon: ArmorName) -> bool {
        self.places.get(&name).is_none_or(|host| daemon == ArmorName::Daemon(*host))
    }
}
