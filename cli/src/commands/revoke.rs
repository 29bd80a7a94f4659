//! `chameleon revoke NAME`: a host or a person is let in no more, and what is up to it is cut.

use chameleon_core::message::{FtmMessage, UserMessage};
use chameleon_core::principal::Principal;

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// A host such as h2, by its number or its name, or a person
    name: String,
}

impl Revoke {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let member = revoke(&mut place.standing()?.connect()?, self.name)?;
        screen::print(&format!("{member} is let in no more"))?;
        Ok(0)
    }
}

fn revoke(session: &mut dyn Session, name: String) -> Result<Principal, Failure> {
    ask(session, &FtmMessage::Revoke { name }, |answer| match answer {
        UserMessage::Revoked { member } => Some(member),
        _ => None,
    })
}
