//! Jobs whose outcome is unknown, until a person says what became of them.

use crate::armor::Moment;
use crate::lease;
use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{Resolution, Story, UserMessage};
use crate::names::{ArmorName, JobId, Millis};

/// What a person says of a job.
pub(super) struct Word {
    pub happened: bool,
    pub who: String,
    pub note: String,
    pub force: bool,
}

impl Ftm {
    pub(super) fn resolve(&mut self, now: Moment, user: ArmorName, job: JobId, word: Word, step: &mut FtmStep) {
        let Some(record) = self.jobs.get(job).cloned() else { return self.refuse_unknown(user, job, step) };
        let left = lease::left(self.ended_at(job), now.boot);
        if let Some(why) = self.not_theirs(user, &record).or_else(|| objection(&record, &word, left)) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        let resolution = record.resolution.clone().unwrap_or_else(|| {
            let forced = !word.happened && left > Millis(0);
            Resolution { happened: word.happened, who: word.who, note: word.note, forced, unix_ms: now.unix_ms }
        });
        if record.resolution.is_none() {
            self.save(step, FtmRecord::Job(JobRecord { resolution: Some(resolution.clone()), ..record }));
            self.note(now, Some(job), Story::Resolved(resolution.clone()), step);
        }
        self.reply(user, UserMessage::Resolved { job, resolution }, step);
    }

    /// When a job ended, by this reign's clock: for one that ended before, when the reign began.
    fn ended_at(&self, job: JobId) -> Millis {
        self.ended.get(&job).copied().unwrap_or(self.began.boot)
    }
}

/// Why this cannot be said of the job, if so.
fn objection(record: &JobRecord, word: &Word, left: Millis) -> Option<String> {
    let job = record.id;
    match (&record.end, &record.resolution) {
        // The same word again: the answer may be lost.
        (_, Some(known)) if (known.happened, &known.who, &known.note) == (word.happened, &word.who, &word.note) => None,
        (_, Some(known)) => Some(format!("{job} is resolved already, and that stands: {known}")),
        (None, None) => Some(format!("{job} still runs; there is nothing to resolve before it has ended")),
        (Some(end), None) if !record.is_unresolved() => {
            Some(format!("the outcome of {job} is known, there is nothing to resolve: {}", end.outcome))
        }
        (Some(_), None) if !word.happened && !word.force && left > Millis(0) => Some(format!(
            "the program of {job} might still run for {left}, until the lease of its host has ended for certain; say so then, \
             or --force it if you know that it does not run"
        )),
        (Some(_), None) => None,
    }
}
