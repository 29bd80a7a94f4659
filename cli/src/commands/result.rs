//! `chameleon result JOB`: the decided standard output, byte for byte.

use std::io;

use chameleon_core::message::{JobRow, Outcome};
use chameleon_core::names::JobId;

use crate::commands::status;
use crate::failure::Failure;
use crate::packs::Packs;
use crate::printer::Printer;
use crate::screen;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Result {
    /// The job, such as j1
    job: JobId,
}

impl Result {
    pub fn execute(self, place: &Place) -> std::result::Result<u8, Failure> {
        let system = place.standing()?;
        let row = status::row(&mut system.connect()?, self.job)?;
        decided(&row)?;
        let packs = Packs::new(system.home(), self.job);
        let length = packs.index()?.unwrap_or_default().iter().map(|piece| piece.stdout.length).sum();
        Printer::new(packs, screen::raw_stdout()?, io::sink()).print_rest(length)?;
        Ok(0)
    }
}

/// Whether there is a result.
fn decided(row: &JobRow) -> std::result::Result<(), Failure> {
    match &row.outcome {
        None => Err(Failure::StillRuns { job: row.job }),
        Some(Outcome::Result { .. }) => Ok(()),
        Some(outcome) => Err(Failure::NoResult { job: row.job, outcome: outcome.clone() }),
    }
}
