//! `chameleon doctor`: whether what is there is what the FTM says.

use crate::doctor;
use crate::failure::Failure;
use crate::screen;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Repair what can safely be repaired
    #[arg(long)]
    repair: bool,
    /// An object with stable keys
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let examined = doctor::examine(place, self.repair)?;
        match self.json {
            true => screen::print_json(&doctor::json_of(&examined))?,
            false => screen::print(&doctor::text_of(&examined))?,
        }
        Ok(u8::from(examined.left() > 0))
    }
}
