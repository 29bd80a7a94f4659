//! `--status-file`: how a run ended, for scripts; tells Chameleon's own exits from the program's.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use chameleon_core::follower::Ending;
use chameleon_core::message::Outcome;
use chameleon_core::names::JobId;
use chameleon_core::world::End;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Looks whether there is a place for the file, before a long run ends without one.
///
/// # Errors
/// There is none.
pub fn examine(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = fs::metadata(directory).and_then(|found| match found.is_dir() {
        true => Ok(()),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    });
    place.map_err(|why| Failure::Unwritable { what: "the status file", path: path.to_owned(), why })
}

/// What the file says.
pub struct Status<'a> {
    pub exit_code: u8,
    pub job: Option<JobId>,
    pub ending: Option<&'a Ending>,
    /// Why Chameleon failed, if it did.
    pub failure: Option<String>,
    /// Faults noticed.
    pub faults: u64,
}

impl Status<'_> {
    /// The file's text.
    pub fn json(&self) -> Value {
        let outcome = self.ending.map(|ending| &ending.outcome);
        let word = match (&self.failure, outcome) {
            (None, Some(outcome)) => outcome.word(),
            (None, None) => "abandoned",
            (Some(_), _) => "failed",
        };
        json!({
            "outcome": word,
            "exit_code": self.exit_code,
            "program": outcome.and_then(program),
            "why": self.failure.clone().or_else(|| outcome.and_then(why)),
            "job": self.job.map(|job| job.to_string()),
            "output_bytes": self.ending.map(|ending| ending.length),
            "printed_bytes": self.ending.map(|ending| ending.printed),
            "faults": self.faults,
        })
    }

    /// Writes the file so that a reader sees all of it or the one before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |why| Failure::Unwritable { what: "the status file", path: path.to_owned(), why };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(name);
        let written = fs::File::create(&part).and_then(|mut file| {
            writeln!(file, "{:#}", self.json())?;
            file.sync_all()?;
            fs::rename(&part, path)
        });
        written.map_err(|why| {
            let _ = fs::remove_file(&part);
            failed(why)
        })
    }
}

/// How the program ended by verdict.
fn program(outcome: &Outcome) -> Option<Value> {
    match outcome {
        Outcome::Result { end: End::Exit(code) } => Some(json!({ "exit": code })),
        Outcome::Result { end: End::Signal(number) } => Some(json!({ "signal": number })),
        Outcome::Result { end: End::NotFound } => Some(json!({ "unstarted": "not found" })),
        Outcome::Result { end: End::NotExecutable } => Some(json!({ "unstarted": "not executable" })),
        Outcome::Untrusted { .. }
        | Outcome::Deadline
        | Outcome::Failed { .. }
        | Outcome::Cancelled { .. }
        | Outcome::Unknown { .. } => None,
    }
}

fn why(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Untrusted { why, .. } | Outcome::Failed { why } | Outcome::Unknown { why, .. } => Some(why.clone()),
        Outcome::Result { .. } | Outcome::Deadline | Outcome::Cancelled { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(outcome: Outcome) -> Ending {
        Ending { job: JobId(3), outcome, length: 10, printed: 4 }
    }

    fn status(ending: &Ending) -> Status<'_> {
        let exit_code = ending.outcome.exit_code();
        Status { exit_code, job: Some(JobId(3)), ending: Some(ending), failure: None, faults: 0 }
    }

    #[test]
    fn a_programs_own_124_is_told_from_a_deadline() {
        let own = ending(Outcome::Result { end: End::Exit(124) });
        let deadline = ending(Outcome::Deadline);
        let (own, deadline) = (status(&own).json(), status(&deadline).json());
        assert_eq!((&own["exit_code"], &deadline["exit_code"]), (&json!(124), &json!(124)));
        assert_eq!((&own["outcome"], &deadline["outcome"]), (&json!("result"), &json!("deadline")));
        assert_eq!((&own["program"], &deadline["program"]), (&json!({ "exit": 124 }), &Value::Null));
    }

    #[test]
    fn an_unknown_outcome_is_no_failure_that_could_be_tried_again() {
        let ending = ending(Outcome::Unknown { why: "t0 may have run".to_owned(), released: 0 });
        let json = status(&ending).json();
        assert_eq!((&json["outcome"], &json["exit_code"]), (&json!("outcome-unknown"), &json!(122)));
        assert_eq!((&json["program"], &json["why"]), (&Value::Null, &json!("t0 may have run")));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_and_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let ending = ending(Outcome::Deadline);
        let error = status(&ending).write(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
        let left = std::fs::read_dir(directory.path().parent().unwrap()).unwrap();
        let part = format!("{}.", directory.path().file_name().unwrap().display());
        assert!(!left.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&part)));
        status(&ending).write(&directory.path().join("s")).unwrap();
        let text = std::fs::read_to_string(directory.path().join("s")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), status(&ending).json());
    }
}
