//! No result is reported before it is durable (DESIGN §5): what a user was told of the end of a job is
//! what everybody is told ever after, whatever dies and even if the power fails.

use std::collections::BTreeMap;

use chameleon_core::armor::Effect;
use chameleon_core::message::{Message, Outcome, UserMessage};
use chameleon_core::names::JobId;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct ReportedIsDurable {
    told: BTreeMap<JobId, (Outcome, u64)>,
}

fn end<'a>(fact: &Fact<'a>) -> Option<(JobId, &'a Outcome, u64)> {
    match fact {
        Fact::Asks {
            effect: Effect::Send { message: Message::User(UserMessage::Ended { job, outcome, length }), .. },
            ..
        } => Some((*job, outcome, *length)),
        _ => None,
    }
}

impl Invariant for ReportedIsDurable {
    fn name(&self) -> &'static str {
        "no result is reported before it is durable"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((job, outcome, length)) = end(fact) else { return Ok(()) };
        match self.told.get(&job) {
            Some((told, before)) if told != outcome || *before != length => {
                Err(format!("{job} had ended with {told:?} and {before} bytes, and now with {outcome:?} and {length}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((job, outcome, length)) = end(fact) {
            self.told.insert(job, (outcome.clone(), length));
        }
    }
}
