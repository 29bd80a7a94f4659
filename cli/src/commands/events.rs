//! `chameleon events`: what happened, in order.

use std::time::Duration;

use chameleon_core::message::{EventRow, FtmMessage, Query, Story, UserMessage};
use chameleon_core::names::JobId;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

/// How often new events are asked for.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub struct Events {
    /// Only what concerns this job, such as j1
    job: Option<JobId>,
    /// Go on with what happens from now on; with a job, until it has ended
    #[arg(long, short)]
    follow: bool,
    /// One object a line, with the keys number, job, time, unix_ms, boot_ms, noticed_by, event and text
    #[arg(long)]
    json: bool,
}

impl Events {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let session = &mut place.standing()?.connect()?;
        let mut from = 0;
        loop {
            let rows = events(session, self.job, from)?;
            for row in &rows {
                screen::print(&if self.json { json_of(row).to_string() } else { line_of(row, &screen::zone()) })?;
            }
            from = rows.last().map_or(from, |row| row.number + 1);
            let over = self.job.is_some() && rows.iter().any(|row| matches!(row.occurrence.story, Story::Ended(_)));
            if rows.is_empty() && !self.follow || over && self.follow {
                return Ok(0);
            }
            if rows.is_empty() {
                std::thread::sleep(EVERY);
            }
        }
    }
}

/// Events from number `from` on, as many as the FTM tells at a time; none when there are no more.
///
/// # Errors
/// There is no such job, or the FTM does not answer.
pub fn events(session: &mut dyn Session, job: Option<JobId>, from: u64) -> Result<Vec<EventRow>, Failure> {
    ask(session, &FtmMessage::Ask(Query::Events { job, from }), |answer| match answer {
        UserMessage::Events(rows) if rows.first().is_none_or(|row| row.number >= from) => Some(rows),
        _ => None,
    })
}

/// All events from number `from` on, of a job or of all.
///
/// # Errors
/// As [`events`].
pub fn all(session: &mut dyn Session, job: Option<JobId>, from: u64) -> Result<Vec<EventRow>, Failure> {
    let mut rows: Vec<EventRow> = Vec::new();
    loop {
        let more = events(session, job, rows.last().map_or(from, |row| row.number + 1))?;
        if more.is_empty() {
            return Ok(rows);
        }
        rows.extend(more);
    }
}

pub fn json_of(row: &EventRow) -> Value {
    let occurrence = &row.occurrence;
    json!({
        "number": row.number,
        "job": row.job.map(|job| job.to_string()),
        "time": screen::timestamp(occurrence.unix_ms),
        "unix_ms": occurrence.unix_ms,
        "boot_ms": occurrence.boot.0,
        "noticed_by": occurrence.noticed_by.to_string(),
        "event": occurrence.story.word(),
        "text": occurrence.story.to_string(),
    })
}

fn line_of(row: &EventRow, zone: &TimeZone) -> String {
    let occurrence = &row.occurrence;
    let job = row.job.map_or_else(|| "-".to_owned(), |job| job.to_string());
    let time = screen::time(occurrence.unix_ms, zone);
    format!("{time}  {job:4}  {:<16}  {}", occurrence.noticed_by.to_string(), occurrence.story)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::message::{Evidence, Occurrence};
    use chameleon_core::names::{ArmorName, Attempt, ExecutionId, LaneId, Millis, StageId, TaskId};
    use chameleon_core::world::End;

    use crate::scripted::Scripted;

    fn row(number: u64, story: Story) -> EventRow {
        let noticed_by = ArmorName::Execution(JobId(1), LaneId(0));
        let occurrence = Occurrence { unix_ms: 1_700_000_000_000 + number, boot: Millis(number), noticed_by, story };
        EventRow { number, job: Some(JobId(1)), occurrence }
    }

    fn died() -> Story {
        Story::ProgramDied {
            lane: LaneId(0),
            execution: ExecutionId { stage: StageId(0), task: TaskId(2), attempt: Attempt(0) },
            evidence: Evidence::Ended(End::Signal(9)),
            ran: Millis(12),
            restart_after: Some(Millis(0)),
        }
    }

    #[test]
    fn an_event_is_a_line_and_an_object() {
        insta::assert_snapshot!(line_of(&row(4, died()), &TimeZone::UTC), @"22:13:20.004  j1    execution-j1-l0   program of lane l0 was killed by SIGKILL after 12 ms (execution s0/t2/a0), started again at once");
        insta::assert_snapshot!(json_of(&row(4, died())).to_string(), @r#"{"boot_ms":4,"event":"program-died","job":"j1","noticed_by":"execution-j1-l0","number":4,"text":"program of lane l0 was killed by SIGKILL after 12 ms (execution s0/t2/a0), started again at once","time":"2023-11-14T22:13:20.004Z","unix_ms":1700000000004}"#);
    }

    #[test]
    fn all_events_are_asked_for_until_there_are_no_more() {
        let first = vec![row(0, Story::Accepted), row(1, died())];
        let second = vec![row(7, died())];
        let answers = [first.clone(), second.clone(), vec![]].map(UserMessage::Events);
        let mut session = Scripted::answering(answers.to_vec());
        assert_eq!(all(&mut session, Some(JobId(1)), 0).unwrap(), [first, second].concat());
    }
}
