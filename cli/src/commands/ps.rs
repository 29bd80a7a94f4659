//! `chameleon ps`: a line a job.

use chameleon_core::message::{FtmMessage, JobRow, Query, UserMessage};
use chameleon_core::names::Millis;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::commands::resolve;
use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Ps {
    /// Also jobs that have ended
    #[arg(long, short)]
    all: bool,
    /// An array of objects with stable keys
    #[arg(long)]
    json: bool,
}

impl Ps {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let jobs = jobs(&mut place.standing()?.connect()?, self.all)?;
        match self.json {
            true => screen::print_json(&Value::Array(jobs.iter().map(json_of).collect()))?,
            false => screen::print(&table_of(&jobs, &screen::zone()))?,
        }
        Ok(0)
    }
}

fn jobs(session: &mut dyn Session, all: bool) -> Result<Vec<JobRow>, Failure> {
    ask(session, &FtmMessage::Ask(Query::Jobs { all }), |answer| match answer {
        UserMessage::Jobs(jobs) => Some(jobs),
        _ => None,
    })
}

/// What a job is doing, in a word.
pub fn state(row: &JobRow) -> &'static str {
    match (&row.outcome, &row.waits_for) {
        (Some(outcome), _) => outcome.word(),
        (None, Some(_)) => "waiting",
        (None, None) => "running",
    }
}

pub fn json_of(row: &JobRow) -> Value {
    json!({
        "job": row.job.to_string(),
        "name": row.name,
        "strategy": row.strategy,
        "state": state(row),
        "exit_code": row.outcome.as_ref().map(|outcome| outcome.exit_code()),
        "waits_for": row.waits_for,
        "outcome": row.outcome.as_ref().map(ToString::to_string),
        "submitted_unix_ms": row.submitted_unix_ms,
        "ended_unix_ms": row.ended_unix_ms,
        "resolved": row.resolution.as_ref().map(|resolution| resolve::word(resolution.happened)),
    })
}

pub fn table_of(rows: &[JobRow], zone: &TimeZone) -> String {
    let line = |row: &JobRow| {
        [
            row.job.to_string(),
            row.name.clone(),
            row.strategy.clone(),
            state(row).to_owned(),
            row.outcome.as_ref().map_or_else(|| "-".to_owned(), |outcome| outcome.exit_code().to_string()),
            screen::date(row.submitted_unix_ms, zone),
            took(row),
        ]
    };
    let table = screen::table(["JOB", "NAME", "STRATEGY", "STATE", "EXIT", "SUBMITTED", "TOOK"], rows.iter().map(line));
    let waiting = rows.iter().filter_map(|row| Some(format!("{} waits {}", row.job, row.waits_for.as_ref()?)));
    std::iter::once(table).chain(waiting).collect::<Vec<_>>().join("\n")
}

/// From submission to the end.
pub fn took(row: &JobRow) -> String {
    let took = row.ended_unix_ms.map(|ended| Millis(ended).since(Millis(row.submitted_unix_ms)));
    took.map_or_else(|| "-".to_owned(), |took| took.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::message::Outcome;
    use chameleon_core::names::JobId;
    use chameleon_core::world::End;

    use crate::scripted::Scripted;

    fn row(job: u64, outcome: Option<Outcome>) -> JobRow {
        JobRow {
            job: JobId(job),
            name: "sum".to_owned(),
            strategy: "tmr".to_owned(),
            submitted_unix_ms: 1_700_000_000_000,
            ended_unix_ms: outcome.is_some().then_some(1_700_000_001_500),
            outcome,
            waits_for: None,
            resolution: None,
        }
    }

    #[test]
    fn jobs_are_listed_in_the_order_of_submission() {
        let why = "all three differ".to_owned();
        let rows = [
            row(1, Some(Outcome::Result { end: End::Exit(3) })),
            row(2, Some(Outcome::Untrusted { why, released: 0 })),
            row(10, None),
            JobRow { waits_for: Some("for 1 of 3 lanes: h2 is away".to_owned()), ..row(11, None) },
        ];
        let answer = UserMessage::Jobs(rows.to_vec());
        assert_eq!(jobs(&mut Scripted::answering(vec![answer]), true).unwrap(), rows);
        insta::assert_snapshot!(table_of(&rows, &TimeZone::UTC), @r#"
        JOB  NAME  STRATEGY  STATE      EXIT  SUBMITTED            TOOK
        j1   sum   tmr       result     3     2023-11-14 22:13:20  1.5 s
        j2   sum   tmr       untrusted  123   2023-11-14 22:13:20  1.5 s
        j10  sum   tmr       running    -     2023-11-14 22:13:20  -
        j11  sum   tmr       waiting    -     2023-11-14 22:13:20  -
        j11 waits for 1 of 3 lanes: h2 is away
        "#);
        insta::assert_snapshot!(format!("{:#}", json_of(&rows[1])), @r#"
        {
          "ended_unix_ms": 1700000001500,
          "exit_code": 123,
          "job": "j2",
          "name": "sum",
          "outcome": "no trustworthy result (123): all three differ",
          "resolved": null,
          "state": "untrusted",
          "strategy": "tmr",
          "submitted_unix_ms": 1700000000000,
          "waits_for": null
        }
        "#);
    }
}
