//! `chameleon restore`: a backup becomes the store of a home.

use std::path::PathBuf;

use chameleon_node::backup::{self, How};
use chameleon_node::home::Address;

use crate::failure::Failure;
use crate::screen;
use crate::store;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Restore {
    /// What `chameleon backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put it in the place of a store that is there, which is kept beside it
    #[arg(long)]
    replace: bool,
    /// Where the etcd of all candidates is now, if it is not where it was
    #[arg(long, value_name = "URL")]
    store: Option<Address>,
    /// Print what was done, as an object with stable keys
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let backup = store::read(&self.file)?;
        let how = How { replace: self.replace, store: self.store };
        let done = backup::restore(place.path(), &backup, &how).map_err(store::failed)?;
        match self.json {
            true => screen::print_json(&store::json_of_restore(backup.taken_unix_ms, &done))?,
            false => screen::print(&store::text_of_restore(place.path(), &backup, &done, &screen::zone()))?,
        }
        Ok(0)
    }
}
