//! What a person may say did not happen does not run any more (issue 3, 10): that word is refused until the lease of the host
//! has ended for certain, and by then the host has ended the program, whatever it could hear or say.

use std::collections::BTreeSet;

use chameleon_core::armor::Effect;
use chameleon_core::message::{Message, UserMessage};
use chameleon_core::names::{ArmorName, HostId, JobId, LaneId};

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct NotHappenedIsOver {
    running: BTreeSet<(JobId, LaneId, HostId)>,
}

impl Invariant for NotHappenedIsOver {
    fn name(&self) -> &'static str {
        "what did not happen, by a person's word, does not run any more"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { effect: Effect::Send { message: Message::User(message), .. }, .. } = fact else {
            return Ok(());
        };
        let UserMessage::Resolved { job, resolution } = message else { return Ok(()) };
        let still = self.running.iter().find(|(running, ..)| running == job);
        match still.filter(|_| !resolution.happened && !resolution.forced) {
            Some((job, lane, host)) => Err(format!("{job} runs in {lane} on {host}, and is told not to have happened")),
            None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Started { host, job, lane, .. } => drop(self.running.insert((*job, *lane, *host))),
            Fact::Ended { host, job, lane, .. } => drop(self.running.remove(&(*job, *lane, *host))),
            // Programs die with their Execution.
            Fact::Died { who, .. } => {
                if let ArmorName::Execution(job, lane) = who.name {
                    self.running.remove(&(job, lane, who.host));
                }
            }
            _ => {}
        }
    }
}
