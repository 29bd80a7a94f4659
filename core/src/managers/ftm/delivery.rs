//! How notices are delivered: one at a time, and one that fails again later.

use crate::armor::{Effect, Moment, Timer};
use crate::managers::ftm::notices::{self, NoticeRecord};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::Story;
use crate::restart::Next;
use crate::world::ProcessCommand;

impl Ftm {
    /// Sends the next notice that is due, if none is on its way.
    pub(super) fn deliver(&mut self, now: Moment, step: &mut FtmStep) {
        if let Some(notice) = self.notices.send(now.boot) {
            let (number, command, text) = (notice.number, notice.command.clone(), notice.text.clone());
            step.then(Effect::Process(ProcessCommand::Notify { notice: number, command, text }));
            step.timer(Timer::Remind, notices::BOUND);
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
        let next = notices::after_failures(notice.failures);
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
                let why = format!("the command did not end within {}", notices::BOUND);
                self.notified(now, number, Some(why), step);
            }
            None => self.deliver(now, step),
        }
    }
}
