//! One FTM a term (DESIGN §5): whoever gives orders under a term is the only one that ever does.

use std::collections::BTreeMap;

use chameleon_core::armor::Effect;
use chameleon_core::message::{DaemonMessage, Message};
use chameleon_core::names::Term;

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::process::Pid;

#[derive(Default)]
pub struct OneFtmATerm {
    holders: BTreeMap<Term, Pid>,
}

/// The term under which an order is given.
pub(super) fn term_of(message: &Message) -> Option<Term> {
    match message {
        Message::Daemon(
            DaemonMessage::Install { term, .. }
            | DaemonMessage::Retire { term, .. }
            | DaemonMessage::Clean { term, .. },
        ) => Some(*term),
        _ => None,
    }
}

fn order(fact: &Fact<'_>) -> Option<(Term, Pid)> {
    match fact {
        Fact::Asks { pid, effect: Effect::Send { message, .. }, .. } => Some((term_of(message)?, *pid)),
        _ => None,
    }
}

impl Invariant for OneFtmATerm {
    fn name(&self) -> &'static str {
        "one FTM a term"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((term, pid)) = order(fact) else { return Ok(()) };
        match self.holders.get(&term) {
            Some(holder) if *holder != pid => Err(format!("{term} is claimed by processes {} and {}", holder.0, pid.0)),
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((term, pid)) = order(fact) {
            self.holders.insert(term, pid);
        }
    }
}
