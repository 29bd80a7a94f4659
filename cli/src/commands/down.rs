//! `chameleon down`: the standing system ends, with everything it runs.

use chameleon_core::principal::Principal;

use crate::failure::Failure;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Down {}

impl Down {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        if let Some(member @ Principal::User(_)) = place.member()? {
            return Err(Failure::Asked(format!("this home belongs to {member}: nothing of the system runs here")));
        }
        place.standing()?.stop()?;
        Ok(0)
    }
}
