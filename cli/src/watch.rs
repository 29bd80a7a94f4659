//! Following one job to its end: the follower decides, the session speaks, the hands print, spool
//! and draw. Everything is waited for in one place.

use std::time::{Duration, Instant};

use chameleon_core::armor::LinkEvent;
use chameleon_core::follower::{Act, Ending, Follower, Input};
use chameleon_core::message::{LaneRow, Release};
use chameleon_core::names::{ArmorName, JobId, StageId};

use crate::failure::{FAILED, Failure};
use crate::session::{Heard, Session};

/// How long a cancelled job may take to end before its end is no longer waited for.
const CANCELLING: Duration = Duration::from_secs(10);
/// How long the FTM may be out of reach: the system heals itself many times faster.
const UNREACHABLE: Duration = Duration::from_secs(30);

/// What is done for a follower that is not said.
pub trait Hands {
    /// The job is on disk.
    fn accepted(&mut self, job: JobId) -> Result<(), Failure>;
    /// Copies standard input to the job's spool, heard as [`Heard::Spooled`].
    fn spool(&mut self, job: JobId);
    /// Prints a piece, heard as [`Heard::Printed`].
    fn print(&mut self, release: Release);
    /// Prints what is left, heard as [`Heard::RestPrinted`].
    fn print_rest(&mut self, length: u64);
    /// Shows how the lanes fare.
    fn show(&mut self, stage: StageId, decided: u64, tasks: u64, lanes: &[LaneRow]);
}

/// How following ended.
#[derive(Debug)]
pub enum Watched {
    /// The job ended; `broken` says why its output could not all be shown.
    Ended { ending: Ending, broken: Option<Failure> },
    /// It was never accepted.
    Refused { why: String },
    /// The person wants no more waiting, or there was nothing left to wait for; the job may go on.
    Abandoned { code: u8, job: Option<JobId>, broken: Option<Failure> },
}

/// One job being followed.
pub struct Watch<'a> {
    session: &'a mut dyn Session,
    hands: &'a mut dyn Hands,
    follower: Follower,
    /// Since when the FTM has been out of reach.
    cut_off: Option<Instant>,
    /// Since when the job has been asked to end, and with which code.
    ending: Option<(Instant, u8)>,
    broken: Option<Failure>,
}

impl<'a> Watch<'a> {
    pub fn new(session: &'a mut dyn Session, hands: &'a mut dyn Hands, follower: Follower) -> Self {
        Watch { session, hands, follower, cut_off: Some(Instant::now()), ending: None, broken: None }
    }

    /// Follows the job to its end.
    pub fn run(mut self) -> Watched {
        let acts = self.follower.start();
        let mut over = self.perform(acts);
        while over.is_none() {
            over = match self.session.next(self.patience()) {
                Some(heard) => self.hear(heard),
                None => self.give_up(),
            };
        }
        over.expect("the loop ends when it is over")
    }

    /// How long to wait for the next thing: until the first bound is reached.
    fn patience(&self) -> Duration {
        let left = |since: Instant, bound: Duration| bound.saturating_sub(since.elapsed());
        let cut_off = self.cut_off.map(|since| left(since, UNREACHABLE));
        let ending = self.ending.map(|(since, _)| left(since, CANCELLING));
        cut_off.into_iter().chain(ending).min().unwrap_or(UNREACHABLE)
    }

    fn give_up(&mut self) -> Option<Watched> {
        if let Some((since, code)) = self.ending {
            return (since.elapsed() >= CANCELLING).then(|| self.abandoned(code));
        }
        let silent = self.cut_off.is_some_and(|since| since.elapsed() >= UNREACHABLE);
        silent.then(|| {
            let why = format!("no FTM could be reached for {} s", UNREACHABLE.as_secs());
            self.broken.get_or_insert(Failure::System(why));
            self.abandoned(FAILED)
        })
    }

    fn abandoned(&mut self, code: u8) -> Watched {
        Watched::Abandoned { code, job: self.follower.job(), broken: self.broken.take() }
    }

    fn hear(&mut self, heard: Heard) -> Option<Watched> {
        let input = match heard {
            Heard::Link(link) => {
                self.note_link(link);
                Input::Link(link)
            }
            Heard::Message(message) => Input::Message(message),
            Heard::Spooled { length, end } => Input::Spooled { length, end },
            Heard::Printed { upto } => Input::Printed { upto },
            Heard::RestPrinted { upto } => Input::RestPrinted { upto },
            Heard::Broken(failure) => {
                let code = failure.exit_code();
                self.ending.get_or_insert((Instant::now(), code));
                self.broken.get_or_insert(failure);
                Input::Unprintable { code }
            }
            Heard::Signal(number) => {
                let code = 128u8.saturating_add(number);
                if self.ending.is_some() {
                    return Some(self.abandoned(code));
                }
                self.ending = Some((Instant::now(), code));
                Input::Interrupted { code }
            }
        };
        let acts = self.follower.handle(input);
        self.perform(acts)
    }

    fn note_link(&mut self, link: LinkEvent) {
        match link {
            LinkEvent::Up { peer: ArmorName::Ftm, .. } => self.cut_off = None,
            LinkEvent::Down { peer: ArmorName::Ftm } => {
                self.cut_off.get_or_insert_with(Instant::now);
            }
            LinkEvent::Up { .. } | LinkEvent::Down { .. } => {}
        }
    }

    fn perform(&mut self, acts: Vec<Act>) -> Option<Watched> {
        for act in acts {
            match act {
                Act::Send { to, message } => self.session.send(to, message),
                Act::Renew { peer } => self.session.renew(peer),
                Act::Accepted { job } => {
                    if let Err(failure) = self.hands.accepted(job) {
                        return self.hear(Heard::Broken(failure));
                    }
                }
                Act::Spool { job } => self.hands.spool(job),
                Act::Print(release) => self.hands.print(release),
                Act::PrintRest { length, .. } => self.hands.print_rest(length),
                Act::Show { stage, decided, tasks, lanes } => self.hands.show(stage, decided, tasks, &lanes),
                Act::Refused { why } => return Some(Watched::Refused { why }),
                Act::Done(ending) => return Some(Watched::Ended { ending, broken: self.broken.take() }),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
