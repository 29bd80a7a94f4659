//! `chameleon resolve JOB`: a person has looked, and says what became of a job whose outcome is unknown.

use chameleon_core::message::{FtmMessage, Resolution, UserMessage};
use chameleon_core::names::JobId;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Resolve {
    /// The job, such as j1
    job: JobId,
    /// Whether it did what it was there for
    what: What,
    /// How you know; kept with the job
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Says that it did not happen although the lease of its host may not have ended yet
    #[arg(long)]
    force: bool,
    /// An object with stable keys
    #[arg(long)]
    json: bool,
}

/// What a person found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Happened,
    DidNotHappen,
}

impl Resolve {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let resolution = resolve(&mut place.standing()?.connect()?, &self, who())?;
        match self.json {
            true => screen::print_json(&json_of(self.job, &resolution))?,
            false => screen::print(&format!("{}: {resolution}", self.job))?,
        }
        Ok(0)
    }
}

/// The word for what a person found.
pub fn word(happened: bool) -> &'static str {
    if happened { "happened" } else { "did-not-happen" }
}

pub fn json_of(job: JobId, resolution: &Resolution) -> Value {
    json!({
        "job": job.to_string(),
        "resolved": word(resolution.happened),
        "who": resolution.who,
        "note": resolution.note,
        "forced": resolution.forced,
        "resolved_unix_ms": resolution.unix_ms,
    })
}

fn resolve(session: &mut dyn Session, typed: &Resolve, who: String) -> Result<Resolution, Failure> {
    let (job, happened) = (typed.job, typed.what == What::Happened);
    let question = FtmMessage::Resolve { job, happened, who, note: typed.note.clone(), force: typed.force };
    ask(session, &question, |answer| match answer {
        UserMessage::Resolved { job, resolution } if job == typed.job => Some(resolution),
        _ => None,
    })
}

/// The person at this terminal, by name where the system tells one.
fn who() -> String {
    let number = rustix::process::getuid().as_raw();
    match std::env::var("USER").or_else(|_| std::env::var("LOGNAME")) {
        Ok(name) => format!("{name} (uid {number})"),
        Err(_) => format!("uid {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    #[test]
    fn what_a_person_says_goes_on_record_with_who_they_are() {
        let resolution =
            Resolution { happened: false, who: "me".to_owned(), note: "bank".to_owned(), forced: true, unix_ms: 7 };
        let typed =
            Resolve { job: JobId(3), what: What::DidNotHappen, note: "bank".to_owned(), force: true, json: false };
        let answer = UserMessage::Resolved { job: JobId(3), resolution: resolution.clone() };
        let mut session = Scripted::answering(vec![answer]);
        assert_eq!(resolve(&mut session, &typed, "me".to_owned()).unwrap(), resolution);
        let (note, who) = ("bank".to_owned(), "me".to_owned());
        let said = FtmMessage::Resolve { job: JobId(3), happened: false, who, note, force: true };
        assert_eq!(session.told.last().map(|(_, message)| message), Some(&said.into()));
    }
}
