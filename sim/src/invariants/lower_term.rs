//! A lower term is obeyed by no one (DESIGN §5): a daemon that heard an order of a term does nothing
//! about an order of a lower one.

use std::collections::BTreeMap;

use chameleon_core::armor::Effect;
use chameleon_core::names::{ArmorName, Term};
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::one_ftm_a_term::term_of;

#[derive(Default)]
pub struct LowerTerm {
    heard: BTreeMap<ArmorName, Term>,
}

fn order<'a>(fact: &Fact<'a>) -> Option<(ArmorName, Term, &'a chameleon_core::shell::Output)> {
    match fact {
        Fact::Stepped { who, input: Input::Message { message, .. }, output, .. } => {
            Some((who.name, term_of(message)?, output))
        }
        _ => None,
    }
}

impl Invariant for LowerTerm {
    fn name(&self) -> &'static str {
        "a lower term is obeyed by no one"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((name, term, output)) = order(fact) else { return Ok(()) };
        let highest = self.heard.get(&name).copied().unwrap_or_default();
        let acts = output.effects.iter().any(|effect| matches!(effect, Effect::Process(_)));
        if term < highest && (acts || output.save.is_some()) {
            return Err(format!("{name} obeyed {term} after it had heard of {highest}"));
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((name, term, _)) = order(fact) {
            let highest = self.heard.entry(name).or_default();
            *highest = term.max(*highest);
        }
    }
}
