//! `chameleon submit JOB.toml`: hands a job to the standing system.

use std::path::PathBuf;
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::job::{Job, Stdin};
use chameleon_core::message::{FtmMessage, Outcome, UserMessage};
use chameleon_core::names::{ArmorName, JobId};

use crate::failure::Failure;
use crate::request::{self, Here, JobFlags};
use crate::session::{Heard, Session, ask};
use crate::system::Place;
use crate::{screen, stdin};

#[derive(Debug, clap::Args)]
pub struct Submit {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    file: PathBuf,
    /// Wait for the end and exit as `run` would; Ctrl-C ends the waiting and not the job
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    flags: JobFlags,
}

impl Submit {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        // Anything but a file would have to be spooled, and so keep us here.
        let stdin = Some(stdin::examine()?).filter(|stdin| matches!(stdin, Stdin::File(..))).unwrap_or(Stdin::Null);
        let system = place.standing()?;
        let (mut job, remarks) = request::of_file(&self.file, self.flags, Here::new(stdin)?)?;
        system.adopt(&mut job)?;
        if !remarks.is_empty() {
            screen::remark(&remarks);
        }
        let mut session = system.connect()?;
        let request = session.number();
        let pass = job.origin.pass;
        let job = submit(&mut session, request, job)?;
        system.admit(job, pass)?;
        screen::print(&job.to_string())?;
        if !self.wait {
            return Ok(0);
        }
        let outcome = end_of(&mut session, job)?;
        if !matches!(outcome, Outcome::Result { .. }) {
            screen::remark(&format!("chameleon: {job}: {outcome}"));
        }
        Ok(outcome.exit_code())
    }
}

/// Hands in the job; returns once it is on disk.
fn submit(session: &mut dyn Session, request: u64, job: Job) -> Result<JobId, Failure> {
    ask(session, &FtmMessage::Submit { request, job: Box::new(job) }, |answer| match answer {
        UserMessage::Accepted { request: accepted, job } if accepted == request => Some(job),
        _ => None,
    })
}

/// Waits for the job's end, however long that takes.
fn end_of(session: &mut dyn Session, job: JobId) -> Result<Outcome, Failure> {
    session.send(ArmorName::Ftm, FtmMessage::Await(job).into());
    loop {
        match session.next(Duration::MAX) {
            Some(Heard::Message(UserMessage::Ended { job: ended, outcome, .. })) if ended == job => return Ok(outcome),
            Some(Heard::Message(UserMessage::Refused { why })) => return Err(Failure::Refused(why)),
            Some(Heard::Link(LinkEvent::Up { peer: ArmorName::Ftm, .. })) => {
                session.send(ArmorName::Ftm, FtmMessage::Await(job).into());
            }
            Some(Heard::Broken(failure)) => return Err(failure),
            _ => {}
        }
    }
}
