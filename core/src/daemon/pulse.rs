//! The pulse: every ARMOR is asked how it fares, and one that lives but does not work is ended.

use crate::armor::{Effect, Moment, Timer};
use crate::daemon::{Daemon, DaemonStep, REFILL_AFTER, STOCK, State, watch};
use crate::message::{Evidence, Pulse, Story, Vitals};
use crate::names::{ArmorName, Incarnation};
use crate::world::{ProcessCommand, ProcessSample};

impl Daemon {
    /// Asks every ARMOR how it fares, and looks at those that did not answer.
    pub(super) fn beat(&mut self, now: Moment, step: &mut DaemonStep) {
        step.timer(Timer::Beat, watch::BEAT);
        let stood_still = now.boot.since(self.last_beat);
        let held_up = stood_still >= watch::LATE;
        self.mind_lease(now, stood_still, step);
        self.mind_reign(now, held_up, step);
        self.last_beat = now.boot;
        self.beat += 1;
        for (&name, charge) in &mut self.charges {
            let incarnation = charge.incarnation;
            let silent = match &mut charge.state {
                State::Starting { watch, since, .. } => {
                    if held_up {
                        watch.excuse();
                    }
                    now.boot.since(*since) >= watch::START_LOOK
                }
                State::Running { watch, .. } => {
                    if held_up {
                        watch.excuse();
                    }
                    step.send(name, Pulse { beat: self.beat });
                    watch.is_silent(self.beat)
                }
                State::Waiting
                | State::Killed { .. }
                | State::Resting
                | State::Adopting { .. }
                | State::Retiring { .. }
                | State::Lost { .. } => false,
            };
            if silent && !held_up {
                step.then(Effect::Process(ProcessCommand::Sample { name, incarnation }));
            }
        }
        self.restock(now, step);
    }

    /// Asks again for blank processes that are missing, and refills the stock when all is quiet.
    fn restock(&mut self, now: Moment, step: &mut DaemonStep) {
        let idle = now.boot.since(self.last_start) >= REFILL_AFTER;
        if self.waiting().next().is_some() {
            self.start_waiting(now, step);
        } else if idle && self.blanks.len() < usize::from(STOCK) {
            step.then(Effect::Process(ProcessCommand::Stock { blanks: STOCK }));
        }
    }

    /// An ARMOR answered its pulse.
    pub(super) fn answered(&mut self, now: Moment, name: ArmorName, vitals: &Vitals, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get_mut(&name) else { return };
        if charge.incarnation != vitals.incarnation {
            return;
        }
        let State::Running { watch, .. } = &mut charge.state else { return };
        if let Some(evidence) = watch.answered(now.boot, vitals) {
            self.hung(now, name, evidence, step);
        }
    }

    /// What the system says of the process of an ARMOR that did not answer.
    pub(super) fn looked(
        &mut self,
        now: Moment,
        name: ArmorName,
        incarnation: Incarnation,
        sample: &ProcessSample,
        step: &mut DaemonStep,
    ) {
        let Some(charge) = self.charges.get_mut(&name).filter(|charge| charge.incarnation == incarnation) else {
            return;
        };
        let evidence = match &mut charge.state {
            State::Starting { watch, .. } => watch.looked(now.boot, sample),
            State::Running { watch, .. } if watch.is_silent(self.beat) => watch.looked(now.boot, sample),
            _ => None,
        };
        match evidence {
            Some(Evidence::Silent) if self.hears_nobody(now) => {
                let (name, incarnation) = (self.name, self.incarnation);
                step.then(Effect::Process(ProcessCommand::Kill { name, incarnation }));
            }
            Some(evidence) => self.hung(now, name, evidence, step),
            None => {}
        }
    }

    /// Whether this daemon heard others before and has heard nobody since: then it is itself that is
    /// deaf, and a new one, which finds all ARMORs alive, is the smaller loss.
    fn hears_nobody(&self, now: Moment) -> bool {
        self.heard.is_some_and(|heard| now.boot.since(heard) >= watch::RUNNING.silent)
    }

    /// An ARMOR that lives but does not work is ended; its next life begins when its process is gone.
    fn hung(&mut self, now: Moment, name: ArmorName, evidence: Evidence, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get_mut(&name) else { return };
        let (incarnation, lived) = (charge.incarnation, charge.lived(now.boot));
        let (process, silent) = match &charge.state {
            State::Starting { process, watch, .. } | State::Running { process, watch, .. } => match evidence {
                Evidence::NoProgress => (process.clone(), watch::NO_PROGRESS_FOR),
                _ => (process.clone(), watch.silent(now.boot)),
            },
            _ => return,
        };
        charge.state = State::Killed { process, lived };
        charge.died = Some(now.boot);
        self.observe(now, name, Story::ArmorHung { name, incarnation, evidence, silent }, step);
        step.then(Effect::Process(ProcessCommand::Kill { name, incarnation }));
    }
}
