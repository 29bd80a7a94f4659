//! Notices: what a user's own command is told of a job. Each is on disk before it is sent, and is sent
//! until the command succeeds or the limit is reached, which is told too.
//!
//! One at a time: a job with ten thousand faults must not start ten thousand commands.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::armor::{Effect, Moment, Timer};
use crate::job::OsBytes;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{Outcome, Story};
use crate::names::{JobId, Millis};
use crate::restart::{self, Next};
use crate::strategy::Restart;
use crate::world::ProcessCommand;

/// How often a notice is tried again, and how long between.
pub const AGAIN: Restart = Restart { limit: 12, backoff: Millis(1_000), backoff_most: Millis(300_000) };
/// A command that has not ended by then is taken for failed.
pub const BOUND: Millis = Millis(60_000);

/// A notice on record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NoticeRecord {
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub job: JobId,
    #[n(2)]
    pub command: Vec<OsBytes>,
    #[n(3)]
    pub text: String,
    /// How often the command has failed.
    #[n(4)]
    pub failures: u32,
}

/// All notices that were not delivered yet.
#[derive(Debug, Default)]
pub struct Notices {
    stored: BTreeMap<u64, NoticeRecord>,
    next: u64,
    /// When those that failed are tried again.
    due: BTreeMap<u64, Millis>,
    /// The one that is being sent, and since when.
    sending: Option<(u64, Millis)>,
}

impl Notices {
    pub fn put(&mut self, record: &NoticeRecord) {
        self.next = self.next.max(record.number + 1);
        self.stored.insert(record.number, record.clone());
    }

    pub fn remove(&mut self, number: u64) {
        self.stored.remove(&number);
        self.due.remove(&number);
    }

    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&NoticeRecord> {
        self.stored.get(&number)
    }

    #[must_use]
    pub fn of_job(&self, job: JobId) -> Vec<u64> {
        self.stored.values().filter(|notice| notice.job == job).map(|notice| notice.number).collect()
    }

    /// Takes the next one that is due, unless one is on its way.
    pub fn send(&mut self, now: Millis) -> Option<&NoticeRecord> {
        if self.sending.is_some() {
            return None;
        }
        let is_due = |number: &u64| self.due.get(number).is_none_or(|&due| due <= now);
        let number = self.stored.keys().copied().find(is_due)?;
        self.sending = Some((number, now));
        self.stored.get(&number)
    }

    /// The command of this notice has ended; whether that one was awaited.
    pub fn ended(&mut self, number: u64) -> bool {
        self.sending.take_if(|(sending, _)| *sending == number).is_some()
    }

    /// The notice whose command did not end in time.
    #[must_use]
    pub fn overdue(&self, now: Millis) -> Option<u64> {
        self.sending.filter(|&(_, since)| now.since(since) >= BOUND).map(|(number, _)| number)
    }

    /// It is tried again at `at`.
    pub fn postpone(&mut self, number: u64, at: Millis) {
        self.due.insert(number, at);
    }

    /// How long from now until there is something to do, if ever.
    #[must_use]
    pub fn wait(&self, now: Millis) -> Option<Millis> {
        match self.sending {
            Some((_, since)) => Some((since + BOUND).since(now)),
            None => self.due.values().min().map(|due| due.since(now)),
        }
    }
}

/// What is done about a notice that failed so often, this time included.
pub fn after_failures(failures: u32) -> Next {
    restart::next(&AGAIN, failures.saturating_sub(1))
}

/// What the user's command is told of a story, if it is told: faults, degradation, safe aborts,
/// deadlines, and ends that a person must look at.
#[must_use]
pub fn notable(story: &Story) -> Option<String> {
    match story {
        Story::ProgramDied { .. }
        | Story::Dissent { .. }
        | Story::NoQuorum { .. }
        | Story::Straggler { .. }
        | Story::PrefixContradicted { .. }
        | Story::VoteVoided { .. }
        | Story::InputRefused { .. }
        | Story::CommitConflict { .. }
        | Story::SlotUnavailable { .. }
        | Story::Unclear { .. }
        | Story::ArmorDied { .. }
        | Story::ArmorMoved { .. }
        | Story::ArmorHung { .. } => Some(format!("fault: {story}")),
        Story::Diagnosed { .. } => Some(format!("diagnosis: {story}")),
        Story::Extended { .. }
        | Story::Varied { .. }
        | Story::LaneDropped { .. }
        | Story::Undecided { .. }
        | Story::ArmorLost { .. } => Some(format!("degraded: {story}")),
        Story::Ended(Outcome::Untrusted { .. } | Outcome::Deadline | Outcome::Unknown { .. }) => {
            Some(story.to_string())
        }
        Story::Ended(Outcome::Failed { .. }) => Some(format!("a person must look: {story}")),
        Story::Ended(Outcome::Result { .. } | Outcome::Cancelled { .. })
        | Story::Accepted
        | Story::StageBegan { .. }
        | Story::ProgramRecovered { .. }
        | Story::DiagnosisBegan { .. }
        | Story::LanePaused { .. }
        | Story::LaneResumed(_)
        | Story::Blocked { .. }
        | Story::Unconfined(..)
        | Story::Committed { .. }
        | Story::Injected { .. }
        | Story::ArmorRestored { .. }
        | Story::DaemonRestored { .. }
        | Story::Enrolled { .. }
        | Story::Revoked { .. }
        | Story::NotifyFailed { .. }
        | Story::Cost { .. }
        | Story::LeftOut { .. }
        | Story::Resolved(_)
        | Story::Masked(..)
        | Story::PolicyRefused { .. }
        | Story::Spread { .. }
        | Story::HostLost { .. }
        | Story::HostReturned { .. }
        | Story::HostSlow { .. }
        | Story::HostDrained { .. }
        | Story::ReignBegan(..)
        | Story::HostQuarantined { .. }
        | Story::HostOnParole { .. }
        | Story::HostTrusted { .. }
        | Story::HostTried { .. }
        | Story::ReviveFailed { .. }
        | Story::ArmorTransferred { .. }
        | Story::LinkCut { .. }
        | Story::LinkRestored { .. } => None,
    }
}

impl Ftm {
    /// Sends the next notice that is due, if none is on its way.
    pub(super) fn deliver(&mut self, now: Moment, step: &mut FtmStep) {
        if let Some(notice) = self.notices.send(now.boot) {
            let (number, command, text) = (notice.number, notice.command.clone(), notice.text.clone());
            step.then(Effect::Process(ProcessCommand::Notify { notice: number, command, text }));
            step.timer(Timer::Remind, BOUND);
        }
    }

    /// A user's command has ended: the notice goes, or is tried again.
    pub(super) fn notified(&mut self, now: Moment, number: u64, failure: Option<String>, step: &mut FtmStep) {
        if !self.notices.ended(number) {
            return;
        }
        if let Some(mut notice) = self.notices.get(number).cloned() {
            match failure {
                None => self.save(step, FtmRecord::NoticeGone(number)),
                Some(why) => {
                    notice.failures += 1;
                    self.not_notified(now, notice, &why, step);
                }
            }
        }
        self.deliver(now, step);
        if let Some(wait) = self.notices.wait(now.boot) {
            step.timer(Timer::Remind, wait);
        }
    }

    fn not_notified(&mut self, now: Moment, notice: NoticeRecord, why: &str, step: &mut FtmStep) {
        let (job, number) = (notice.job, notice.number);
        let next = after_failures(notice.failures);
        let then = match next {
            Next::After(wait) => format!("tried again after {wait}"),
            Next::GiveUp => format!("given up after {} attempts", notice.failures),
        };
        self.note(now, Some(job), Story::NotifyFailed { notice: number, why: format!("{why}; {then}") }, step);
        match next {
            Next::After(wait) => {
                self.save(step, FtmRecord::Notice(notice));
                self.notices.postpone(number, now.boot + wait);
            }
            Next::GiveUp => self.save(step, FtmRecord::NoticeGone(number)),
        }
    }

    /// Time to look after the notices.
    pub(super) fn remind(&mut self, now: Moment, step: &mut FtmStep) {
        match self.notices.overdue(now.boot) {
            Some(number) => {
                let why = format!("the command did not end within {}", BOUND);
                self.notified(now, number, Some(why), step);
            }
            None => self.deliver(now, step),
        }
    }
}
