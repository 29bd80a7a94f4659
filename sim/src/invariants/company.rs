//! Lanes whose job wishes for hosts that differ never run on the same one (docs/job-language.md,
//! `[placement]`): a host that dies or miscomputes takes one lane with it.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::message::{Message, SurrogateMessage};
use chameleon_core::names::{ArmorName, HostId, JobId, LaneId};
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct Company {
    /// Jobs whose lanes must not share a host.
    strict: BTreeSet<JobId>,
    /// Where each lane started a program last.
    hosts: BTreeMap<(JobId, LaneId), HostId>,
}

impl Invariant for Company {
    fn name(&self) -> &'static str {
        "lanes with distinct hosts share none"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Started { host, job, lane, .. } = fact else { return Ok(()) };
        let mut others = self.hosts.iter().filter(|((of, other), at)| of == job && other != lane && *at == host);
        match others.next().filter(|_| self.strict.contains(job)) {
            Some(((_, other), _)) => Err(format!("lanes {lane} and {other} of {job} both run on {host}")),
            None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Started { host, job, lane, .. } => drop(self.hosts.insert((*job, *lane), *host)),
            Fact::Handles { who, input: Input::Message { message: Message::Surrogate(message), .. }, .. } => {
                if let (ArmorName::Surrogate(id), SurrogateMessage::Begin(job)) = (who.name, message)
                    && job.needs.wishes.distinct.iter().any(|name| name == "host")
                {
                    self.strict.insert(id);
                }
            }
            _ => {}
        }
    }
}
