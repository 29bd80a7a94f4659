//! The jobs, from their acceptance until they are forgotten.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::job::Job;
use crate::message::{JobRow, Outcome, Resolution};
use crate::names::JobId;
use crate::principal::Principal;

/// Ended jobs that are kept, with their output; the oldest go first.
pub const KEPT: usize = 1_000;

/// A job on record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JobRecord {
    #[n(0)]
    pub id: JobId,
    /// The number that its submitter drew: the same request is the same job.
    #[n(1)]
    pub request: u64,
    #[n(2)]
    pub job: Box<Job>,
    #[n(3)]
    pub submitted_unix_ms: u64,
    /// The exit code to end with, once somebody has cancelled it.
    #[n(4)]
    pub cancel: Option<u8>,
    /// `None`: it runs.
    #[n(5)]
    pub end: Option<JobEnd>,
    /// What a person said of an outcome that was unknown.
    #[n(6)]
    pub resolution: Option<Resolution>,
    /// Who handed it in; `None`: the owner of the FTM's home.
    #[n(7)]
    pub owner: Option<Principal>,
    /// Its fencing token, once it got its mutex; 0 until then.
    #[n(8)]
    #[cbor(default)]
    pub token: u64,
}

/// How and when a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JobEnd {
    #[n(0)]
    pub unix_ms: u64,
    #[n(1)]
    pub outcome: Outcome,
    /// Bytes of decided output in all.
    #[n(2)]
    pub length: u64,
}

impl JobRecord {
    /// Whether a person must still say what became of it.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        let is_unknown = |end: &JobEnd| matches!(end.outcome, Outcome::Unknown { .. });
        self.end.as_ref().is_some_and(is_unknown) && self.resolution.is_none()
    }

    #[must_use]
    pub fn row(&self) -> JobRow {
        JobRow {
            job: self.id,
            name: self.job.name.clone(),
            strategy: self.job.strategy.name.clone(),
            submitted_unix_ms: self.submitted_unix_ms,
            ended_unix_ms: self.end.as_ref().map(|end| end.unix_ms),
            outcome: self.end.as_ref().map(|end| end.outcome.clone()),
            waits_for: None,
            resolution: self.resolution.clone(),
        }
    }
}

/// All jobs that are not forgotten.
#[derive(Debug, Default)]
pub struct Jobs {
    records: BTreeMap<JobId, JobRecord>,
    requests: BTreeMap<u64, JobId>,
    /// The highest number ever given, also to a job that is forgotten.
    last: JobId,
    /// The highest fencing token ever given, also to such a one.
    last_token: u64,
}

impl Jobs {
    pub fn put(&mut self, record: &JobRecord) {
        self.reach(record.id, record.token);
        self.requests.insert(record.request, record.id);
        self.records.insert(record.id, record.clone());
    }

    pub fn remove(&mut self, job: JobId) {
        if let Some(record) = self.records.remove(&job) {
            self.requests.remove(&record.request);
        }
    }

    /// Numbers and fencing tokens up to these were given.
    pub fn reach(&mut self, last: JobId, last_token: u64) {
        self.last = self.last.max(last);
        self.last_token = self.last_token.max(last_token);
    }

    #[must_use]
    pub fn last(&self) -> JobId {
        self.last
    }

    #[must_use]
    pub fn last_token(&self) -> u64 {
        self.last_token
    }

    #[must_use]
    pub fn get(&self, job: JobId) -> Option<&JobRecord> {
        self.records.get(&job)
    }

    /// A job that has not ended.
    #[must_use]
    pub fn running(&self, job: JobId) -> Option<&JobRecord> {
        self.get(job).filter(|record| record.end.is_none())
    }

    #[must_use]
    pub fn requested(&self, request: u64) -> Option<JobId> {
        self.requests.get(&request).copied()
    }

    /// In order of submission.
    pub fn iter(&self) -> impl Iterator<Item = &JobRecord> {
        self.records.values()
    }

    /// Ended jobs beyond those that are kept, oldest first; one that a person must look at is not among them.
    #[must_use]
    pub fn surplus(&self) -> Vec<JobId> {
        let is_old = |record: &&JobRecord| record.end.is_some() && !record.is_unresolved();
        let ended: Vec<JobId> = self.iter().filter(is_old).map(|record| record.id).collect();
        ended[..ended.len().saturating_sub(KEPT)].to_vec()
    }

    /// A sentence that says that there is no such job, and which there are.
    #[must_use]
    pub fn unknown(&self, job: JobId) -> String {
        let nearest = self.records.keys().min_by_key(|known| known.0.abs_diff(job.0));
        match (nearest, self.records.keys().next_back()) {
            (None, _) | (_, None) if self.last == JobId(0) => format!("there is no job {job}: none was submitted yet"),
            (None, _) | (_, None) => format!("there is no job {job}: all {} were forgotten", self.last.0),
            (Some(_), Some(_)) if job <= self.last && job > JobId(0) => {
                format!("job {job} was forgotten, with its output; `ps --all` lists those that are kept")
            }
            (Some(nearest), Some(last)) if nearest == last => {
                format!("there is no job {job}; the last one is {last} (`ps --all` lists them)")
            }
            (Some(nearest), Some(last)) => {
                format!("there is no job {job}; the nearest is {nearest}, the last {last} (`ps --all` lists them)")
            }
        }
    }
}
