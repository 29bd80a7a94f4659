//! `chameleon submit JOB.toml`: hands a job to the standing system; `submit --from JOB`: a job of earlier, or what failed
//! of it.

use std::path::PathBuf;
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::job::{Job, Stdin};
use chameleon_core::message::{FtmMessage, Outcome, UserMessage};
use chameleon_core::names::{ArmorName, JobId, StageId};
use chameleon_core::world::IndexEntry;

use crate::commands::status;
use crate::failure::Failure;
use crate::packs::Packs;
use crate::request::{self, Here, JobFlags};
use crate::session::{Heard, Session, ask};
use crate::system::{Place, System};
use crate::{screen, stdin};

#[derive(Debug, clap::Args)]
pub struct Submit {
    /// The job file
    #[arg(value_name = "JOB.toml", required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// Submit a job that has ended once more, as it was
    #[arg(long, value_name = "JOB")]
    from: Option<JobId>,
    /// Of that job only some: `failed`, the tasks of an array that came to no result or failed, and the stages behind
    #[arg(long, requires = "from")]
    filter: Option<Filter>,
    /// Wait for the end and exit as `run` would; Ctrl-C ends the waiting and not the job
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    flags: JobFlags,
}

/// Which part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Filter {
    Failed,
}

impl Submit {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        // Anything but a file would have to be spooled, and so keep us here.
        let stdin = Some(stdin::examine()?).filter(|stdin| matches!(stdin, Stdin::File(..))).unwrap_or(Stdin::Null);
        let system = place.standing()?;
        let mut session = system.connect()?;
        let mut job = match (self.file, self.from) {
            (Some(file), _) => {
                let (job, remarks) = request::of_file(&file, self.flags, Here::new(stdin)?)?;
                if !remarks.is_empty() {
                    screen::remark(&remarks);
                }
                job
            }
            (None, Some(from)) => request::of_job(again(&system, &mut session, from, self.filter)?, self.flags)?,
            (None, None) => return Err(Failure::Asked("expected a job file, or --from and a job".to_owned())),
        };
        system.adopt(&mut job)?;
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

/// A job of earlier, or the part of it that is asked for.
fn again(system: &System, session: &mut dyn Session, from: JobId, filter: Option<Filter>) -> Result<Job, Failure> {
    let row = status::row(session, from)?;
    if row.outcome.is_none() {
        return Err(Failure::StillRuns { job: from });
    }
    let did_not_happen = match (&row.outcome, &row.resolution) {
        (Some(Outcome::Unknown { .. }), None) => return Err(Failure::Unresolved { job: from }),
        (_, resolution) => resolution.as_ref().is_some_and(|resolution| !resolution.happened),
    };
    let job = status::submitted(session, from)?;
    let asked = |why: String| Err(Failure::Asked(why));
    if job.stdin == Stdin::Spool {
        return asked(format!("{from} read its standard input from a pipe or a terminal, of which nothing is kept"));
    }
    if job.origin.host != system.origin() {
        return asked(format!("{from} comes from {}, where its files are: submit it again there", job.origin.host));
    }
    let Some(Filter::Failed) = filter else { return Ok(job) };
    let (failed, is_whole) = failed(Packs::new(system.home(), from)?.index()?, did_not_happen)?;
    match failed {
        Some((stage, tasks)) => job.again(stage, &tasks).map_err(|unfit| Failure::Asked(unfit.to_string())),
        None if is_whole => asked(format!("{from} has no failed task, and nothing would be run")),
        None => asked(format!(
            "nothing is on record of which tasks of {from} failed; `chameleon submit --from {from}` runs all of it again"
        )),
    }
}

/// The tasks of a stage, as ranges.
type Tasks = (StageId, Vec<(u64, u64)>);

/// What is on record of tasks to be run again, and whether the record is whole. What may have run once is among them only
/// if a person found that it did not.
fn failed(
    entries: impl Iterator<Item = Result<IndexEntry, Failure>>,
    did_not_happen: bool,
) -> Result<(Option<Tasks>, bool), Failure> {
    let (mut failed, mut is_whole) = (None, false);
    for entry in entries {
        match entry? {
            IndexEntry::Unclear(..) if !did_not_happen => {}
            IndexEntry::Failed(stage, ranges) | IndexEntry::Unclear(stage, ranges) => {
                failed.get_or_insert((stage, Vec::new())).1.extend(ranges);
            }
            IndexEntry::Piece(_) => {}
            IndexEntry::Whole => is_whole = true,
        }
    }
    Ok((failed, is_whole))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_run_once_is_run_again_only_if_it_did_not() {
        let all = [
            IndexEntry::Failed(StageId(1), vec![(0, 2)]),
            IndexEntry::Unclear(StageId(1), vec![(4, 5)]),
            IndexEntry::Whole,
        ];
        let left = |entries: &[IndexEntry], did_not_happen| {
            failed(entries.iter().cloned().map(Ok), did_not_happen).unwrap()
        };
        assert_eq!(left(&all, false), (Some((StageId(1), vec![(0, 2)])), true));
        assert_eq!(left(&all, true), (Some((StageId(1), vec![(0, 2), (4, 5)])), true));
        assert_eq!(left(&all[1..], false), (None, true));
        assert_eq!(left(&all[1..2], true), (Some((StageId(1), vec![(4, 5)])), false));
        assert_eq!(left(&[], true), (None, false));
    }
}
