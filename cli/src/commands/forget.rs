//! `chameleon forget JOB`: an ended job goes, with all its output.

use chameleon_core::message::{FtmMessage, UserMessage};
use chameleon_core::names::JobId;

use crate::failure::Failure;
use crate::session::ask;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Forget {
    /// The job, such as j1
    job: JobId,
}

impl Forget {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        ask(&mut place.standing()?.connect()?, &FtmMessage::Forget(self.job), |answer| match answer {
            UserMessage::Forgotten { job } if job == self.job => Some(0),
            _ => None,
        })
    }
}
