//! `chameleon report JOB`: each fault as a story, the cost, and what could not have been noticed.

use chameleon_core::message::EventRow;
use chameleon_core::names::JobId;
use chameleon_core::report::Report as Told;

use crate::commands::{events, status};
use crate::failure::Failure;
use crate::session::Session;
use crate::system::Place;
use crate::{screen, story};

#[derive(Debug, clap::Args)]
pub struct Report {
    /// The job, such as j1
    job: JobId,
    /// An object with stable keys
    #[arg(long)]
    json: bool,
}

impl Report {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let session = &mut place.standing()?.connect()?;
        let job = status::submitted(session, self.job)?;
        let report = Told::new(self.job, &job, &rows(session, self.job)?);
        match self.json {
            true => screen::print_json(&story::json(&report))?,
            false => screen::print(&story::text(&report, &screen::zone()))?,
        }
        Ok(0)
    }
}

/// All events from the job's acceptance on: also those of the parts that serve every job.
///
/// # Errors
/// There is no such job, or the FTM does not answer.
pub fn rows(session: &mut dyn Session, job: JobId) -> Result<Vec<EventRow>, Failure> {
    let first = events::events(session, Some(job), 0)?.first().map_or(0, |row| row.number);
    events::all(session, None, first)
}
