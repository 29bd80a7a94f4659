//! `chameleon backup`: what the FTM knows, in one file.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::screen;
use crate::store;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Backup {
    /// Where to write it; a file that is there is not overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave out the keys by which this home is known in its cluster: such a backup can be put back into this home only
    #[arg(long)]
    without_keys: bool,
    /// Print what is in it, as an object with stable keys
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let backup = store::back_up(place, &self.file, !self.without_keys)?;
        match self.json {
            true => screen::print_json(&store::json_of(&backup))?,
            false => screen::print(&store::text_of(&self.file, &backup, &screen::zone()))?,
        }
        Ok(0)
    }
}
