//! `chameleon unresolved`: jobs whose outcome is unknown, until a person has looked.

use chameleon_core::message::{FtmMessage, JobRow, Query, UserMessage};
use serde_json::Value;

use crate::commands::ps;
use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Unresolved {
    /// An array of the objects of `ps --json`
    #[arg(long)]
    json: bool,
}

impl Unresolved {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let jobs = jobs(&mut place.standing()?.connect()?)?;
        match self.json {
            true => screen::print_json(&Value::Array(jobs.iter().map(ps::json_of).collect()))?,
            false => screen::print(&text_of(&jobs))?,
        }
        Ok(0)
    }
}

fn jobs(session: &mut dyn Session) -> Result<Vec<JobRow>, Failure> {
    ask(session, &FtmMessage::Ask(Query::Unresolved), |answer| match answer {
        UserMessage::Jobs(jobs) => Some(jobs),
        _ => None,
    })
}

fn text_of(jobs: &[JobRow]) -> String {
    let why = |row: &JobRow| {
        let outcome = row.outcome.as_ref().map_or_else(String::new, ToString::to_string);
        format!("{}: {outcome}", row.job)
    };
    let table = ps::table_of(jobs, &screen::zone());
    std::iter::once(table).chain(jobs.iter().map(why)).collect::<Vec<_>>().join("\n")
}
