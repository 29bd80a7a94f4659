//! `chameleon status JOB`: one job, how it is run, and the ARMORs that serve it now.

use chameleon_core::job::Job;
use chameleon_core::message::{ArmorRow, FtmMessage, JobRow, Query, UserMessage};
use chameleon_core::names::JobId;
use chameleon_core::word::Word;
use serde_json::{Value, json};

use crate::commands::{armors, ps};
use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Status {
    /// The job, such as j1
    job: JobId,
    /// An object with the keys of `ps --json`, and directory, stages, injections and armors
    #[arg(long)]
    json: bool,
}

impl Status {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let session = &mut place.standing()?.connect()?;
        let (row, submitted) = (row(session, self.job)?, submitted(session, self.job)?);
        let mut armors = armors::armors(session)?;
        armors.retain(|armor| armor.name.job() == Some(self.job));
        match self.json {
            true => screen::print_json(&json_of(&row, &submitted, &armors))?,
            false => screen::print(&text_of(&row, &submitted, &armors))?,
        }
        Ok(0)
    }
}

/// The job's line of `ps`.
///
/// # Errors
/// There is no such job, or the FTM does not answer.
pub fn row(session: &mut dyn Session, job: JobId) -> Result<JobRow, Failure> {
    ask(session, &FtmMessage::Ask(Query::Job(job)), |answer| match answer {
        UserMessage::Jobs(rows) => rows.into_iter().find(|row| row.job == job),
        _ => None,
    })
}

/// The job as it was accepted.
///
/// # Errors
/// There is no such job, or the FTM does not answer.
pub fn submitted(session: &mut dyn Session, job: JobId) -> Result<Job, Failure> {
    ask(session, &FtmMessage::Ask(Query::Submitted(job)), |answer| match answer {
        UserMessage::Submitted(job) => Some(*job),
        _ => None,
    })
}

fn command(words: &[chameleon_core::job::OsBytes]) -> String {
    words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

fn json_of(row: &JobRow, job: &Job, armors: &[ArmorRow]) -> Value {
    let stage = |stage: &chameleon_core::job::Stage| {
        json!({
            "name": stage.name,
            "command": stage.command.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>(),
            "tasks": { "first": stage.task_range().0, "end": stage.task_range().1 },
            "files": stage.files.word(),
            "strategy": stage.strategy.as_ref().unwrap_or(&job.strategy).name,
            "execution": stage.promise.word(),
            "stdin": stage.stdin.and_then(|source| Some(job.stages.get(usize::from(source.0))?.name.as_str())),
        })
    };
    let mut value = ps::json_of(row);
    value["directory"] = String::from_utf8_lossy(&job.directory).into();
    value["stages"] = job.stages.iter().map(stage).collect();
    value["injections"] = job.injections.iter().map(ToString::to_string).collect();
    value["armors"] = armors.iter().map(armors::json_of).collect();
    value
}

fn text_of(row: &JobRow, job: &Job, armors: &[ArmorRow]) -> String {
    let outcome = match (&row.outcome, &row.waits_for) {
        (Some(outcome), _) => outcome.to_string(),
        (None, Some(what)) => format!("waiting {what}"),
        (None, None) => "running".to_owned(),
    };
    let mut lines = vec![
        format!("job        {} {}", row.job, row.name),
        format!("state      {outcome}"),
        format!("strategy   {}", row.strategy),
        format!("submitted  {}", screen::date(row.submitted_unix_ms, &screen::zone())),
        format!("took       {}", ps::took(row)),
        format!("directory  {}", String::from_utf8_lossy(&job.directory)),
    ];
    for stage in &job.stages {
        let tasks = stage.tasks.map_or_else(String::new, |(first, end)| format!(" (tasks {first}..{end})"));
        let own = stage.strategy.as_ref().map_or_else(String::new, |strategy| format!(" under {}", strategy.name));
        lines.push(format!("stage      {}: {}{tasks}{own}", stage.name, command(&stage.command)));
    }
    for injection in &job.injections {
        lines.push(format!("INJECTED   {injection}"));
    }
    if !armors.is_empty() {
        lines.extend([String::new(), armors::table_of(armors)]);
    }
    lines.join("\n")
}
