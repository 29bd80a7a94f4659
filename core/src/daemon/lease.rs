//! The host's lease: whether the FTM was heard lately enough for what may run at most once to go on.

use crate::armor::Moment;
use crate::daemon::{Daemon, DaemonRecord, DaemonStep, State};
use crate::lease::LEASE;
use crate::message::ExecutionMessage;
use crate::names::{ArmorName, Millis};

/// The FTM that is away for longer is more than restarted: the next life of the daemon must know.
const NOTED_AFTER: Millis = Millis(1_000);

impl Daemon {
    /// The link to the FTM came up, or broke.
    pub(super) fn heard_ftm(&mut self, now: Moment, linked: bool, step: &mut DaemonStep) {
        self.unheard = (!linked).then_some(now.boot);
        if linked && self.cut_off.is_some() {
            self.save(step, DaemonRecord::CutOff(None));
        }
    }

    /// Ends what may run at most once, when the host was cut off, or stood still, for too long.
    pub(super) fn mind_lease(&mut self, now: Moment, stood_still: Millis, step: &mut DaemonStep) {
        let since = self.cut_off.or(self.unheard);
        let cut_off = since.map_or(Millis(0), |since| now.boot.since(since));
        if cut_off >= NOTED_AFTER && self.cut_off.is_none() {
            self.save(step, DaemonRecord::CutOff(since));
        }
        if cut_off.max(stood_still) < LEASE {
            return;
        }
        for (&name, charge) in &self.charges {
            if matches!((name, &charge.state), (ArmorName::Execution(..), State::Running { .. })) {
                step.send(name, ExecutionMessage::LeaseEnded);
            }
        }
    }
}
