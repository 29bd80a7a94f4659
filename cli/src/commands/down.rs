//! `chameleon down`: the standing system ends, with everything it runs.

use crate::failure::Failure;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Down {}

impl Down {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        place.standing()?.stop()?;
        Ok(0)
    }
}
