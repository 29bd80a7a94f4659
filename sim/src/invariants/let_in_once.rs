//! A token lets in one key, as one member, however often it is shown; and once a revocation was
//! answered, nobody of that name gets a certificate again (docs/security.md).

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::message::{FtmMessage, Message, UserMessage};
use chameleon_core::names::{ArmorName, Digest};
use chameleon_core::principal::Principal;
use chameleon_core::shell::Input;
use chameleon_core::token;
use chameleon_core::world::ProcessCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct LetInOnce {
    /// What each applicant showed last: a token, and its key.
    shown: BTreeMap<ArmorName, (Digest, Vec<u8>)>,
    /// Who came in with each token.
    admitted: BTreeMap<Digest, (Principal, Vec<u8>)>,
    revoked: BTreeSet<Principal>,
}

impl Invariant for LetInOnce {
    fn name(&self) -> &'static str {
        "a token lets in one, and who is revoked is let in no more"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Asks { effect: Effect::Process(ProcessCommand::Sign { member, .. }), .. } => {
                let revoked = self.revoked.contains(member);
                if revoked { Err(format!("{member} was revoked, and gets a certificate")) } else { Ok(()) }
            }
            Fact::Asks {
                effect: Effect::Send { to, message: Message::User(UserMessage::Admitted(admission)) },
                ..
            } => {
                let Some((token, key)) = self.shown.get(to) else { return Ok(()) };
                match self.admitted.get(token) {
                    Some((member, earlier)) if (member, earlier) != (&admission.member, key) => {
                        Err(format!("one token lets in {member}, and then {}", admission.member))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Handles {
                input: Input::Message { from, message: Message::Ftm(FtmMessage::Enrol(application)), .. },
                ..
            } => {
                self.shown.insert(*from, (token::digest(&application.secret), application.key.clone()));
            }
            Fact::Asks { effect: Effect::Send { to, message: Message::User(answer) }, .. } => match answer {
                UserMessage::Admitted(admission) => {
                    if let Some((token, key)) = self.shown.get(to) {
                        self.admitted.insert(*token, (admission.member.clone(), key.clone()));
                    }
                }
                UserMessage::Revoked { member } => {
                    self.revoked.insert(member.clone());
                }
                _ => {}
            },
            _ => {}
        }
    }
}
