//! Save before you speak (DESIGN D2): the effects of a step are released, in the order of the steps,
//! when its save has completed.
//!
//! Seen from outside: an ARMOR that waits for a save asks for nothing, unless a save was just
//! confirmed; and a step that asks for a save asks for nothing else yet.

use chameleon_core::names::ArmorName;
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct SaveBeforeSpeaking;

impl Invariant for SaveBeforeSpeaking {
    fn name(&self) -> &'static str {
        "no effect is released before what it follows from is saved"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Stepped { who, input, output, unsaved, .. } = fact else { return Ok(()) };
        if matches!(who.name, ArmorName::User(_)) || output.effects.is_empty() || matches!(input, Input::Saved(_)) {
            return Ok(());
        }
        if *unsaved > 0 || output.save.is_some() {
            let first = crate::tell::effect(&output.effects[0]);
            return Err(format!("{} asked for {first} with {unsaved} saves under way", who.name));
        }
        Ok(())
    }

    fn learn(&mut self, _fact: &Fact<'_>) {}
}
