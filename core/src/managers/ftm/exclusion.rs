//! Mutual exclusion: of the jobs that name the same mutex, one at a time has ARMORs.
//!
//! A job holds its mutex from its admission until none of its ARMORs has an entry in the registry. A host that nobody
//! hears cannot be asked whether what runs there has ended; therefore each holder gets a *fencing token*: a number that is
//! higher than that of every holder before it. What the programs act on outside can refuse a lower one than it has seen
//! (Kleppmann, "How to do distributed locking", 2016).

use crate::job::OsBytes;
use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::names::JobId;

/// The variable in which programs find the fencing token of their job.
pub const TOKEN: &str = "CHAMELEON_FENCING_TOKEN";

impl Ftm {
    /// Who holds what, said for each ARMOR that is there.
    pub(super) fn holders(&self) -> impl Iterator<Item = (&str, JobId)> {
        let served = self.registry.entries().filter_map(|entry| self.jobs.get(entry.name.job()?));
        served.filter_map(|record| Some((record.job.needs.mutex.as_deref()?, record.id)))
    }

    /// What a job waits for whose mutex another one holds.
    pub(super) fn waits_for_mutex(&self, record: &JobRecord) -> Option<String> {
        let mutex = record.job.needs.mutex.as_deref()?;
        let (_, holder) = self.holders().find(|&(held, holder)| held == mutex && holder != record.id)?;
        Some(format!("for the mutex {mutex:?}, which {holder} holds"))
    }

    /// A job that gets its mutex now gets a token that none had before it.
    pub(super) fn fence(&mut self, job: JobId, step: &mut FtmStep) {
        let Some(mut record) = self.jobs.get(job).filter(|record| record.job.needs.mutex.is_some()).cloned() else {
            return;
        };
        record.token = self.jobs.last_token() + 1;
        let name = format!("{TOKEN}=");
        record.job.environment.retain(|variable| !variable.starts_with(name.as_bytes()));
        record.job.environment.push(OsBytes::from(format!("{name}{}", record.token).into_bytes()));
        self.save(step, FtmRecord::Job(record));
    }

    /// An ARMOR of this job is gone: if it was the last, another job may have its mutex.
    pub(super) fn release(&mut self, job: JobId, step: &mut FtmStep) {
        let had_mutex = self.jobs.get(job).is_some_and(|record| record.job.needs.mutex.is_some());
        if had_mutex && self.registry.of_job(job).next().is_none() {
            self.start_jobs(step);
        }
    }
}
