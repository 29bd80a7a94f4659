//! Save before you speak (DESIGN D2): the effects of a step are released, in the order of the steps,
//! when its save has completed.
//!
//! Seen from outside: an ARMOR that waits for a save asks for nothing, unless a save was just
//! confirmed; and a step that asks for a save asks for nothing else yet. But what is saved goes to another host, too, and
//! may be confirmed by that last.

use chameleon_core::armor::Effect;
use chameleon_core::message::Message;
use chameleon_core::names::ArmorName;
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::kept_twice::is_aside;

#[derive(Default)]
pub struct SaveBeforeSpeaking;

impl Invariant for SaveBeforeSpeaking {
    fn name(&self) -> &'static str {
        "no effect is released before what it follows from is saved"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Stepped { who, input, output, unsaved, .. } = fact else { return Ok(()) };
        let confirms = matches!(input, Input::Saved(_) | Input::Message { message: Message::Copy(_), .. });
        if matches!(who.name, ArmorName::User(_)) || confirms {
            return Ok(());
        }
        let waits = |effect: &&Effect| who.mirror.is_none() || !is_aside(effect);
        match output.effects.iter().find(waits) {
            Some(first) if *unsaved > 0 || output.save.is_some() => {
                let first = crate::tell::effect(first);
                Err(format!("{} asked for {first} with {unsaved} saves under way", who.name))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, _fact: &Fact<'_>) {}
}
