//! Restoration: the store is put back as it was, from a backup or from the one member of the shared store that is left, and
//! the world has gone on since. Whoever reigns over it must repeat nothing that was given out meanwhile, and take up nothing
//! that may have gone further, or ended, without its knowing.
//!
//! | what may have happened since | what is made of it |
//! |---|---|
//! | terms, numbers of jobs and events, lives and hosts were given | all go on beyond what can have been given in the time, see [`Numbers::beyond`] |
//! | an open job went on, or ended | as [`OpenJobs`] says; what may be started at most once is `unknown`, and a person must look |
//! | a job was accepted | nobody knows it: what serves it is retired where it shows up, and who asks is told why |
//! | a host was let in | it gets nothing and is told of; its number is not given again |
//! | a token was used | tokens that were not used yet are good for nothing |
//! | a host or person was revoked | cannot be known: whoever restores is told to revoke again |
//!
//! Not taken: asking all hosts what they know. Those that are away know, too, and so do those that were let in since.

use minicbor::{Decode, Encode};

use crate::armor::{Effect, Moment};
use crate::job::Promise;
use crate::managers::ftm::events::EventRecord;
use crate::managers::ftm::jobs::{JobEnd, JobRecord};
use crate::managers::ftm::registry::{Decided, Entry, LIVES};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep, HostRecord};
use crate::message::{Occurrence, Outcome, Story, UserMessage};
use crate::names::{ArmorName, HostId, Incarnation, JobId, Millis, Term};
use crate::principal::Principal;
use crate::world::ProcessCommand;

/// What a store that was put back forgot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Past {
    /// Up to when it knows what happened; 0: it was never put back.
    #[n(0)]
    pub known_until_unix_ms: u64,
    /// The last job that it knows of those before, and the last number that any of them can have.
    #[n(1)]
    pub last_known_job: JobId,
    #[n(2)]
    pub last_job: JobId,
    /// Up to this, numbers of hosts and lives of ARMORs may have been given.
    #[n(3)]
    pub last_host: HostId,
    #[n(4)]
    pub lives: u32,
}

impl Past {
    /// Whether the SM of this job may have told what is forgotten.
    #[must_use]
    pub fn forgot(&self, job: JobId) -> bool {
        self.known_until_unix_ms > 0 && job <= self.last_job
    }

    /// Why a job is not known, if it may have been forgotten with the store.
    #[must_use]
    pub fn why_forgotten(&self, job: JobId) -> Option<String> {
        let why =
            || format!("{job} is not known here: it may have been accepted after what this store was restored from");
        (job > self.last_known_job && job <= self.last_job).then(why)
    }
}

/// What becomes of jobs that had not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenJobs {
    /// They may have ended long ago, and are not to be done again: each ends as failed.
    End,
    /// The store lost no more than its last moments: they go on, but for what may be started at most once.
    GoOn,
}

/// How a store is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restoration {
    /// Up to when it knows what happened.
    pub known_until_unix_ms: u64,
    pub now_unix_ms: u64,
    pub open_jobs: OpenJobs,
}

/// A store that can be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub records: Vec<FtmRecord>,
    /// Beyond every term that was given.
    pub term: Term,
    /// Beyond every life that the daemons of these hosts had.
    pub daemons: Vec<(HostId, Incarnation)>,
    /// Jobs that are ended by this.
    pub ended: Vec<JobId>,
}

/// The highest numbers that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Numbers {
    term: u64,
    job: u64,
    /// Fencing tokens: no more than jobs.
    token: u64,
    event: u64,
    host: u32,
    lives: u32,
}

impl Numbers {
    fn of<'a>(records: impl Iterator<Item = &'a FtmRecord>) -> Numbers {
        let mut numbers = Numbers::default();
        records.for_each(|record| numbers.see(record));
        numbers
    }

    fn see(&mut self, record: &FtmRecord) {
        match record {
            FtmRecord::Reign { term, last_job, next_event, last_token } => {
                self.term = self.term.max(term.0);
                self.job = self.job.max(last_job.0);
                self.token = self.token.max(*last_token);
                self.event = self.event.max(*next_event);
            }
            FtmRecord::Job(record) => {
                self.job = self.job.max(record.id.0);
                self.token = self.token.max(record.token);
            }
            FtmRecord::Event(record) => self.event = self.event.max(record.number.saturating_add(1)),
            FtmRecord::Host(record) => self.host = self.host.max(record.host.0),
            FtmRecord::Member(record) => self.host = self.host.max(record.member.host().unwrap_or_default().0),
            FtmRecord::Armor(Entry { decided: Decided::Installing { granted, .. }, .. }) => {
                self.lives = self.lives.max(granted.0);
            }
            FtmRecord::Past(past) => {
                self.job = self.job.max(past.last_job.0);
                self.host = self.host.max(past.last_host.0);
                self.lives = self.lives.max(past.lives);
            }
            FtmRecord::JobGone(_)
            | FtmRecord::Armor(_)
            | FtmRecord::ArmorGone(_)
            | FtmRecord::EventGone(_)
            | FtmRecord::Notice(_)
            | FtmRecord::NoticeGone(_)
            | FtmRecord::Standing(_)
            | FtmRecord::Secret(_)
            | FtmRecord::Beat(_)
            | FtmRecord::Drained { .. }
            | FtmRecord::Conduct { .. }
            | FtmRecord::Revive { .. }
            | FtmRecord::Token(_)
            | FtmRecord::TokenGone(_)
            | FtmRecord::Profile(_) => {}
        }
    }

    /// Beyond all that can have been given in so long: a term and a host a second, a thousand jobs and twenty thousand
    /// events, a daemon's life every hundred seconds. What is added beside that covers a clock that was set back.
    fn beyond(self, elapsed: Millis) -> Numbers {
        let (ms, seconds) = (elapsed.0, u32::try_from(elapsed.0 / 1_000).unwrap_or(u32::MAX));
        Numbers {
            term: self.term.saturating_add(1_000_000).saturating_add(seconds.into()),
            job: self.job.saturating_add(1_000_000).saturating_add(ms),
            token: self.token.saturating_add(1_000_000).saturating_add(ms),
            event: self.event.saturating_add(20_000_000).saturating_add(ms.saturating_mul(20)),
            host: self.host.saturating_add(1_000).saturating_add(seconds),
            lives: self.lives.saturating_add(daemons_in(elapsed).saturating_mul(LIVES)),
        }
    }
}

/// Lives that a daemon had at most in so long.
fn daemons_in(elapsed: Millis) -> u32 {
    u32::try_from(elapsed.0 / 100_000).unwrap_or(u32::MAX).saturating_add(1_000)
}

/// When the last thing happened that these records tell.
#[must_use]
pub fn last_told(records: &[FtmRecord]) -> Option<u64> {
    let times = records.iter().filter_map(|record| match record {
        FtmRecord::Event(event) => Some(event.occurrence.unix_ms),
        _ => None,
    });
    times.max()
}

/// Puts a store back as it was in `past`, in place of one that knows what is in `replaced`.
#[must_use]
pub fn restore(past: &[FtmRecord], replaced: &[FtmRecord], how: Restoration) -> Restored {
    let known = Numbers::of(past.iter());
    let given = Numbers::of(past.iter().chain(replaced));
    let elapsed = Millis(how.now_unix_ms.saturating_sub(how.known_until_unix_ms));
    let numbers = given.beyond(elapsed);
    let mut restored =
        Restored { records: Vec::new(), term: Term(numbers.term), daemons: Vec::new(), ended: Vec::new() };
    let mut event = numbers.event;
    for record in past {
        match record {
            FtmRecord::Job(job) => match end_of(job, how.open_jobs) {
                Some(outcome) => restored.end(job, outcome, how.now_unix_ms, &mut event),
                None => restored.records.push(record.clone()),
            },
            FtmRecord::Host(HostRecord { host, daemon, .. }) => {
                let life = Incarnation(daemon.0.saturating_add(daemons_in(elapsed)));
                restored.daemons.push((*host, life));
                restored.records.push(record.clone());
            }
            // Somebody may have come in with it.
            FtmRecord::Token(token) if token.used_by.is_none() => {}
            FtmRecord::Reign { .. } | FtmRecord::Past(_) | FtmRecord::Armor(_) => {}
            kept => restored.records.push(kept.clone()),
        }
    }
    let entries = past.iter().filter_map(|record| match record {
        FtmRecord::Armor(entry) => Some(entry),
        _ => None,
    });
    let entries: Vec<FtmRecord> = entries.filter_map(|entry| restored.keep(entry, numbers.lives)).collect();
    restored.records.extend(entries);
    restored.records.push(FtmRecord::Past(Past {
        known_until_unix_ms: how.known_until_unix_ms.max(1),
        last_known_job: JobId(known.job),
        last_job: JobId(numbers.job),
        last_host: HostId(numbers.host),
        lives: numbers.lives,
    }));
    let (term, last_job, last_token) = (restored.term, JobId(numbers.job), numbers.token);
    restored.records.push(FtmRecord::Reign { term, last_job, next_event: event, last_token });
    restored
}

/// How a job ends with the store that knew it; `None`: it does not, or it has ended.
fn end_of(record: &JobRecord, open_jobs: OpenJobs) -> Option<Outcome> {
    if record.end.is_some() {
        return None;
    }
    let once = record.job.stages.iter().any(|stage| stage.promise == Promise::AtMostOnce);
    let why = "the store was put back as it was, and what became of the job meanwhile is on no record".to_owned();
    match (once, open_jobs, record.cancel) {
        (true, OpenJobs::End | OpenJobs::GoOn, _) => Some(Outcome::Unknown { why, released: 0 }),
        (false, OpenJobs::GoOn, _) => None,
        (false, OpenJobs::End, Some(code)) => Some(Outcome::Cancelled { code }),
        (false, OpenJobs::End, None) => Some(Outcome::Failed { why }),
    }
}

impl Restored {
    fn end(&mut self, job: &JobRecord, outcome: Outcome, unix_ms: u64, event: &mut u64) {
        let end = Some(JobEnd { unix_ms, outcome: outcome.clone(), length: 0 });
        let (noticed_by, boot, story) = (ArmorName::Ftm, Millis::default(), Story::Ended(outcome));
        let occurrence = Occurrence { unix_ms, boot, noticed_by, story };
        self.records.push(FtmRecord::Job(JobRecord { end, ..job.clone() }));
        self.records.push(FtmRecord::Event(EventRecord { number: *event, job: Some(job.id), told: None, occurrence }));
        self.ended.push(job.id);
        *event = event.saturating_add(1);
    }

    /// What is to become of an ARMOR: those of ended jobs are to go, and no other is given a life that it may have had.
    fn keep(&self, entry: &Entry, lives: u32) -> Option<FtmRecord> {
        let is_over = entry.name.job().is_some_and(|job| self.ended.contains(&job));
        let kept = match (&entry.decided, is_over) {
            (Decided::Requested, true) => return None,
            (Decided::Installing { host, .. } | Decided::Lost { host, .. }, true) => entry.retiring(*host),
            (Decided::Installing { host, incarnation, moved, .. }, false) => {
                let (host, incarnation, granted, moved) = (*host, *incarnation, Incarnation(lives), *moved);
                Entry { decided: Decided::Installing { host, incarnation, granted, moved }, ..entry.clone() }
            }
            (Decided::Retiring { .. }, _) | (Decided::Requested | Decided::Lost { .. }, false) => entry.clone(),
        };
        Some(FtmRecord::Armor(kept))
    }
}

impl Ftm {
    /// The owner of this home wants a backup.
    pub(super) fn back_up(&mut self, user: ArmorName, number: u64, keys: bool, step: &mut FtmStep) {
        if self.users.principal(user).is_some() {
            let host = self.host;
            let why = format!("the store is a file on {host}: a backup of it is taken there, in the home of that host");
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        step.then(Effect::Process(ProcessCommand::BackUp { to: user, number, keys }));
    }

    pub(super) fn backed_up(&mut self, user: ArmorName, number: u64, failure: Option<String>, step: &mut FtmStep) {
        let answer = match failure {
            None => UserMessage::BackedUp { number },
            Some(why) => UserMessage::Refused { why: format!("no backup was written: {why}") },
        };
        self.reply(user, answer, step);
    }

    /// Whether this host was let in by a reign that the store has forgotten; told each time that it joins.
    pub(super) fn is_forgotten(&mut self, now: Moment, host: HostId, step: &mut FtmStep) -> bool {
        let is_known = self.enrolment.member(&Principal::Host(host)).is_some() || host == self.host;
        if self.past == Past::default() || is_known || !self.enrolment.is_cluster() {
            return false;
        }
        let name = ArmorName::Daemon(host);
        let why = format!(
            "{host} was let in after what this store was restored from, so nothing is placed there: let it join again, \
             with a fresh --home and a new token"
        );
        self.note(now, None, Story::ArmorLost { name, why }, step);
        true
    }
}
