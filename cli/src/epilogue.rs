//! What `run` says on standard error when the job has ended: nothing, if it went as in the shell.

use chameleon_core::follower::Ending;
use chameleon_core::job::Job;
use chameleon_core::message::{EventRow, Outcome, Story};
use chameleon_core::report::Report;
use chameleon_core::report::sentence::count;
use chameleon_core::world::End;

use crate::difference;
use crate::packs::Packs;
use crate::system::System;
use crate::{hidden, program, screen, story};

/// Everything there is to speak of.
pub struct Scene<'a> {
    pub system: &'a System,
    pub job: &'a Job,
    pub ending: &'a Ending,
    pub rows: &'a [EventRow],
}

/// Says it; the number of faults that were noticed.
pub fn tell(scene: &Scene<'_>, whole_report: bool) -> u64 {
    let report = Report::new(scene.ending.job, scene.job, scene.rows);
    verdict(scene).iter().for_each(|line| screen::remark(&format!("chameleon: {line}")));
    match &scene.ending.outcome {
        _ if whole_report => screen::remark(&story::text(&report, &screen::zone())),
        // Its sentence says it all.
        Outcome::Failed { .. } => {}
        Outcome::Untrusted { .. } => screen::remark(&format!("chameleon: {}", more(scene))),
        Outcome::Result { .. } | Outcome::Deadline | Outcome::Cancelled { .. } | Outcome::Unknown { .. } => {
            story::summary(&report, &more(scene)).iter().for_each(|summary| screen::remark(summary));
        }
    }
    report.faults.len() as u64
}

fn more(scene: &Scene<'_>) -> String {
    match scene.system.outlives_command() {
        true => format!("`chameleon report {}` tells each as a story", scene.ending.job),
        false => "`chameleon run --report` tells each as a story".to_owned(),
    }
}

/// How it ended, where that is not the program's own affair; and what it was not allowed to do.
fn verdict(scene: &Scene<'_>) -> Vec<String> {
    let mut lines: Vec<String> = blocked(scene.rows);
    lines.extend(hidden::remarks(scene.job));
    match &scene.ending.outcome {
        Outcome::Result { end: end @ (End::NotFound | End::NotExecutable) } => {
            lines.push(program::why_unstarted(scene.job, *end));
        }
        Outcome::Result { .. } | Outcome::Cancelled { .. } => {}
        Outcome::Deadline => {
            let deadline = scene.job.deadline.map_or_else(String::new, |deadline| format!(" of {deadline}"));
            lines.push(format!("the deadline{deadline} passed before there was a result"));
        }
        Outcome::Failed { why } => lines.push(why.clone()),
        Outcome::Unknown { why, .. } => {
            lines.push(format!("the outcome is unknown, a person must look: {why}"));
            if scene.system.outlives_command() {
                let job = scene.ending.job;
                lines
                    .push(format!("`chameleon resolve {job} happened|did-not-happen --note …` says what became of it"));
            }
        }
        Outcome::Untrusted { why, released } => {
            lines.push(format!("no trustworthy result: {why}"));
            if *released > 0 {
                lines.push(format!("{} of output were released before that was known", count(*released, "byte")));
            }
            if let Ok(mut packs) = Packs::new(scene.system.home(), scene.ending.job) {
                lines.extend(difference::first(&mut packs, &scene.job.masks, scene.rows));
            }
            lines.extend(tried(scene.rows));
        }
    }
    lines
}

/// Writes that were forbidden, each path once, and hosts that forbade none.
fn blocked(rows: &[EventRow]) -> Vec<String> {
    let mut paths = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for row in rows {
        let is_told = match &row.occurrence.story {
            Story::Blocked { path, .. } => paths.insert(path),
            Story::Unconfined(..) => true,
            _ => false,
        };
        if is_told {
            lines.push(row.occurrence.story.to_string());
        }
    }
    lines
}

/// The rungs of the ladder that were climbed.
fn tried(rows: &[EventRow]) -> Vec<String> {
    let rung = |row: &EventRow| {
        let story = &row.occurrence.story;
        let climbed = matches!(story, Story::DiagnosisBegan { .. } | Story::Extended { .. } | Story::Varied { .. });
        climbed.then(|| format!("tried: {story}"))
    };
    rows.iter().filter_map(rung).collect()
}
