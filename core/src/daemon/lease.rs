//! The host's lease: whether this host and the others heard each other lately enough for what may run at most once to go on.
//!
//! A link that is cut breaks. One that is cut only in the direction away from here does not, as far as this host can tell: what
//! the others say still arrives. That nobody hears this host it learns from its Heartbeat, whose beats nobody answers.

use crate::armor::Moment;
use crate::daemon::{Daemon, DaemonRecord, DaemonStep, State};
use crate::lease::LEASE;
use crate::message::ExecutionMessage;
use crate::names::{ArmorName, Millis};

/// The FTM that is away for longer is more than restarted: the next life of the daemon must know.
const NOTED_AFTER: Millis = Millis(1_000);
/// While it lasts that a lease has ended, lanes are told at every so many beats: what they are told to start meanwhile
/// ends, too.
const TOLD_AGAIN: u64 = 10;

impl Daemon {
    /// The link to the FTM came up, or broke.
    pub(super) fn heard_ftm(&mut self, now: Moment, linked: bool, step: &mut DaemonStep) {
        self.unheard = (!linked).then_some(now.boot);
        if linked && self.cut_off.is_some() {
            self.save(step, DaemonRecord::CutOff(None));
        }
    }

    /// The Heartbeat says for how long no other host heard this one.
    pub(super) fn unheard(&mut self, now: Moment, silent: Millis, step: &mut DaemonStep) {
        self.muted = (silent > Millis(0)).then(|| Millis(now.boot.since(silent).0));
        if self.muted.is_none() && self.ftm_linked && self.cut_off.is_some() {
            self.save(step, DaemonRecord::CutOff(None));
        }
    }

    /// Ends what may run at most once, when the host was cut off, or stood still, for too long.
    pub(super) fn mind_lease(&mut self, now: Moment, stood_still: Millis, step: &mut DaemonStep) {
        let since = [self.cut_off, self.unheard, self.muted].into_iter().flatten().min();
        let cut_off = since.map_or(Millis(0), |since| now.boot.since(since));
        if cut_off >= NOTED_AFTER && self.cut_off.is_none() {
            self.save(step, DaemonRecord::CutOff(since));
        }
        let is_cut_off = cut_off >= LEASE && self.beat.is_multiple_of(TOLD_AGAIN);
        if !is_cut_off && stood_still < LEASE {
            return;
        }
        for (&name, charge) in &self.charges {
            if matches!((name, &charge.state), (ArmorName::Execution(..), State::Running { .. })) {
                step.send(name, ExecutionMessage::LeaseEnded);
            }
        }
    }
}
