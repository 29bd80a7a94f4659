//! What happened, for people: numbered over all jobs, kept until the job is forgotten.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::elements::inbox::Inbox;
use crate::message::{EventRow, Occurrence, Story};
use crate::names::JobId;

/// Rows in one answer: a longer list is asked for in parts, each `from` where the last one ended.
pub const A_REPLY: usize = 4_096;
/// Events of no job, or of ended ones, that are kept; the oldest go first.
pub const KEPT: usize = 50_000;

/// An event on record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EventRecord {
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub job: Option<JobId>,
    /// Its number among those that the job's SM told, if the SM told it.
    #[n(2)]
    pub told: Option<u64>,
    #[n(3)]
    pub occurrence: Occurrence,
}

/// All events that are kept.
#[derive(Debug, Default)]
pub struct Events {
    rows: BTreeMap<u64, EventRecord>,
    told: Inbox<JobId>,
    /// Number of the next one; none is ever given twice.
    next: u64,
}

impl Events {
    pub fn put(&mut self, record: &EventRecord) {
        self.reach(record.number + 1);
        if let (Some(job), Some(told)) = (record.job, record.told) {
            self.told.reach(job, told + 1);
        }
        self.rows.insert(record.number, record.clone());
    }

    pub fn remove(&mut self, number: u64) {
        self.rows.remove(&number);
    }

    /// Nothing more is expected of this job.
    pub fn forget(&mut self, job: JobId) {
        self.told.forget(job);
    }

    /// The SM of this job has told this one, whether or not it made a row.
    pub fn heard(&mut self, job: JobId, told: u64) {
        self.told.reach(job, told + 1);
    }

    /// What the SM of this job told with a number below this one will not be told again.
    pub fn reach_told(&mut self, job: JobId, next: u64) {
        self.told.reach(job, next);
    }

    /// Numbers below this one were given.
    pub fn reach(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What each SM has told so far.
    #[must_use]
    pub fn told(&self) -> &Inbox<JobId> {
        &self.told
    }

    /// The numbers of a job's events.
    #[must_use]
    pub fn of_job(&self, job: JobId) -> Vec<u64> {
        self.rows.values().filter(|row| row.job == Some(job)).map(|row| row.number).collect()
    }

    /// Whether the end of this job is among them.
    #[must_use]
    pub fn tells_end_of(&self, job: JobId) -> bool {
        let ends = |row: &&EventRecord| row.job == Some(job) && matches!(row.occurrence.story, Story::Ended(_));
        self.rows.values().rev().any(|row| ends(&row))
    }

    /// The oldest beyond those that are kept, of jobs that are not among these running ones.
    #[must_use]
    pub fn surplus(&self, is_running: impl Fn(JobId) -> bool) -> Vec<u64> {
        let surplus = self.rows.len().saturating_sub(KEPT);
        let old = self.rows.values().filter(|row| !row.job.is_some_and(&is_running));
        old.take(surplus).map(|row| row.number).collect()
    }

    /// From this number on, of one job or of all; as many as fit in an answer.
    #[must_use]
    pub fn rows(&self, job: Option<JobId>, from: u64) -> Vec<EventRow> {
        let wanted = self.rows.range(from..).map(|(_, row)| row).filter(|row| job.is_none() || row.job == job);
        let row = |row: &EventRecord| EventRow { number: row.number, job: row.job, occurrence: row.occurrence.clone() };
        wanted.take(A_REPLY).map(row).collect()
    }
}
