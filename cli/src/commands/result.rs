//! `chameleon result JOB`: the decided standard output, byte for byte.

use std::io;

use chameleon_core::message::{JobRow, Outcome};
use chameleon_core::names::JobId;
use serde_json::{Value, json};

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
    /// An object with stable keys
    #[arg(long)]
    json: bool,
}

/// Longer output is not put into JSON as text.
const LONGEST_TEXT: u64 = 16 << 20;

impl Result {
    pub fn execute(self, place: &Place) -> std::result::Result<u8, Failure> {
        let system = place.standing()?;
        let mut line = system.connect()?;
        let row = status::row(&mut line, self.job)?;
        decided(&row)?;
        let mut packs = Packs::new(system.home(), self.job)?;
        let lengths = packs.pieces()?.map(|piece| piece.map(|piece| piece.stdout.length));
        let length = lengths.sum::<std::result::Result<u64, Failure>>()?;
        if !self.json {
            Printer::new(packs, screen::Raw::stdout()?, io::sink()).print_rest(length)?;
            return Ok(0);
        }
        let mut bytes = Vec::new();
        if length <= LONGEST_TEXT {
            Printer::new(packs, &mut bytes, io::sink()).print_rest(length)?;
        }
        screen::print_json(&json_of(&row, length, &bytes))?;
        Ok(0)
    }
}

pub fn json_of(row: &JobRow, length: u64, bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() as u64 == length);
    json!({
        "job": row.job.to_string(),
        "exit_code": row.outcome.as_ref().map(Outcome::exit_code),
        "length": length,
        "stdout": text,
    })
}

/// Whether there is a result.
fn decided(row: &JobRow) -> std::result::Result<(), Failure> {
    match &row.outcome {
        None => Err(Failure::StillRuns { job: row.job }),
        Some(Outcome::Result { .. }) => Ok(()),
        Some(outcome) => Err(Failure::NoResult { job: row.job, outcome: outcome.clone() }),
    }
}
