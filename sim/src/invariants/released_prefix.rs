//! A released prefix is never contradicted without saying so (DESIGN D11 and issue 2, "Output"): what
//! the user has printed is the beginning of the decided output, or the job ends with 123.

use chameleon_core::message::Outcome;

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::no_wrong_result::Kills;

#[derive(Default)]
pub struct ReleasedPrefix {
    kills: Kills,
}

impl Invariant for ReleasedPrefix {
    fn name(&self) -> &'static str {
        "a released prefix is contradicted only with 123"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::UserEnded { user, job, fate, ending, truth } = fact else { return Ok(()) };
        let printed = fate.printed.len() as u64;
        match &ending.outcome {
            Outcome::Untrusted { released, .. } if *released < printed => {
                Err(format!("user-{user} printed {printed} bytes, and the report says {released}"))
            }
            Outcome::Untrusted { .. } => Ok(()),
            Outcome::Result { .. } if printed > ending.length => {
                Err(format!("user-{user} printed {printed} bytes of {} decided ones", ending.length))
            }
            _ if self.kills.beyond_tolerance(job) => Ok(()),
            _ if truth.is_some_and(|truth| !truth.stdout.starts_with(&fate.printed)) => {
                let printed = String::from_utf8_lossy(&fate.printed);
                Err(format!("user-{user} printed {printed:?}, which no correct lane printed"))
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        self.kills.learn(fact);
    }
}
