//! `chameleon cancel JOB`: the job ends without a result, as if terminated.

use chameleon_core::message::{FtmMessage, Outcome, UserMessage};
use chameleon_core::names::JobId;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

/// What a shell shows for a program that SIGTERM ended.
const TERMINATED: u8 = 143;

#[derive(Debug, clap::Args)]
pub struct Cancel {
    /// The job, such as j1
    job: JobId,
    /// An object with stable keys
    #[arg(long)]
    json: bool,
}

impl Cancel {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let outcome = cancel(&mut place.standing()?.connect()?, self.job)?;
        match (self.json, &outcome) {
            (true, _) => screen::print_json(&json_of(self.job, &outcome))?,
            (false, Outcome::Cancelled { .. }) => screen::print(&format!("{} cancelled", self.job))?,
            (false, _) => screen::print(&format!("{} had ended before: {outcome}", self.job))?,
        }
        Ok(0)
    }
}

pub fn json_of(job: JobId, outcome: &Outcome) -> Value {
    json!({ "job": job.to_string(), "outcome": outcome.word(), "exit_code": outcome.exit_code() })
}

fn cancel(session: &mut dyn Session, job: JobId) -> Result<Outcome, Failure> {
    ask(session, &FtmMessage::Cancel { job, code: TERMINATED }, |answer| match answer {
        UserMessage::Ended { job: ended, outcome, .. } if ended == job => Some(outcome),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use chameleon_core::names::ArmorName;

    #[test]
    fn cancelling_waits_for_the_jobs_own_end() {
        let job = JobId(2);
        let ended = |job| UserMessage::Ended { job, outcome: Outcome::Cancelled { code: 143 }, length: 0 };
        let mut session = Scripted::answering(vec![ended(JobId(1)), ended(job)]);
        assert_eq!(cancel(&mut session, job).unwrap(), Outcome::Cancelled { code: 143 });
        assert_eq!(session.told, [(ArmorName::Ftm, FtmMessage::Cancel { job, code: 143 }.into())]);
        let why = "there is no job j2".to_owned();
        let error = cancel(&mut Scripted::answering(vec![UserMessage::Refused { why: why.clone() }]), job);
        assert_eq!(error.unwrap_err().to_string(), why);
    }
}
