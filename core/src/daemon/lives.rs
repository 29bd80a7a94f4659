//! How an ARMOR gets a process, loses it, and gets the next one.

use crate::armor::{Effect, Moment, Timer};
use crate::daemon::watch::{self, BEAT, Watch};
use crate::daemon::{Charge, Daemon, DaemonStep, Grant, Homecoming, State};
use crate::message::{FtmMessage, Story};
use crate::names::{ArmorName, Incarnation, Millis};
use crate::restart::{self, Next};
use crate::strategy::Restart;
use crate::world::{ProcessCommand, ProcessMark};

/// An ARMOR that was ready for this long, a beat, has paid for its restart: the next one is immediate.
pub const STEADY: Millis = BEAT;
/// What is done about short lives in a row, beyond the first, which costs no wait.
pub const SHORT_LIVES: Restart = Restart { limit: 10, backoff: Millis(20), backoff_most: Millis(2_000) };

impl Daemon {
    pub(super) fn waiting(&self) -> impl Iterator<Item = ArmorName> {
        self.charges.iter().filter(|(_, charge)| charge.state == State::Waiting).map(|(&name, _)| name)
    }

    /// Gives blank processes to the ARMORs that wait for one, and asks for more if they do not suffice.
    pub(super) fn start_waiting(&mut self, now: Moment, step: &mut DaemonStep) {
        let waiting: Vec<ArmorName> = self.waiting().collect();
        let mut without = 0u16;
        for name in waiting {
            match self.blanks.pop_front() {
                Some(process) => self.start(now, name, process, step),
                None => without = without.saturating_add(1),
            }
        }
        if without > 0 {
            step.then(Effect::Process(ProcessCommand::Stock { blanks: without }));
        }
    }

    fn start(&mut self, now: Moment, name: ArmorName, process: ProcessMark, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get(&name).cloned() else { return };
        let (pid, incarnation, mirror) = (process.pid, charge.incarnation, charge.mirror);
        self.keep(name, Charge { state: self.starting(now, process), ..charge }, step);
        step.then(Effect::Process(ProcessCommand::Assign { pid, name, incarnation, mirror }));
        self.last_start = now.boot;
    }

    fn starting(&self, now: Moment, process: ProcessMark) -> State {
        State::Starting { process, since: now.boot, watch: Watch::new(now.boot, self.beat, watch::STARTING) }
    }

    /// An ARMOR says that it has restored its state and can be reached.
    pub(super) fn ready(
        &mut self,
        now: Moment,
        name: ArmorName,
        incarnation: Incarnation,
        process: ProcessMark,
        step: &mut DaemonStep,
    ) {
        if name == self.name {
            self.pid = process.pid;
            return;
        }
        let Some(charge) = self.charges.get(&name) else { return self.stranger(now, name, incarnation, process, step) };
        if charge.incarnation != incarnation {
            return;
        }
        if let State::Starting { process, .. } | State::Adopting { process } = &charge.state {
            let process = process.clone();
            self.runs(now, name, process, step);
        }
    }

    /// An ARMOR runs here of which no record is left. It is watched like the others; the FTM is told,
    /// and retires it unless it knows it.
    fn stranger(
        &mut self,
        now: Moment,
        name: ArmorName,
        incarnation: Incarnation,
        process: ProcessMark,
        step: &mut DaemonStep,
    ) {
        let state = State::Adopting { process: process.clone() };
        let grant = Grant { incarnation, granted: incarnation, mirror: None };
        self.keep(name, Charge { state, ..Charge::new(grant) }, step);
        step.then(Effect::Process(ProcessCommand::Adopt { name, incarnation, process: process.clone() }));
        self.runs(now, name, process, step);
    }

    fn runs(&mut self, now: Moment, name: ArmorName, process: ProcessMark, step: &mut DaemonStep) {
        let watch = Watch::new(now.boot, self.beat, watch::RUNNING);
        let Some(charge) = self.charges.get_mut(&name) else { return };
        let restored_after = charge.died.take().map(|died| now.boot.since(died));
        charge.state = State::Running { process, since: now.boot, watch, restored_after };
        let (incarnation, unit) = (charge.incarnation, charge.unit(name));
        if let Some(after) = restored_after {
            self.observe(now, name, Story::ArmorRestored { name, incarnation, after }, step);
        }
        if name == ArmorName::Ftm {
            self.tell(FtmMessage::Joined { host: self.host, units: self.units() }, step);
        } else {
            self.tell(FtmMessage::Running(unit), step);
        }
    }

    /// A process ended, by itself or killed.
    pub(super) fn exited(&mut self, now: Moment, name: ArmorName, incarnation: Incarnation, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get(&name).filter(|charge| charge.incarnation == incarnation) else { return };
        match charge.state {
            _ if name == ArmorName::Ftm && self.candidacy.is_some() => self.reign_ended(now, step),
            State::Retiring { .. } => self.retired(name, step),
            State::Killed { .. } => self.died(now, name, step),
            State::Starting { .. } | State::Running { .. } | State::Adopting { .. } => {
                let found_by_look_up = matches!(charge.state, State::Adopting { .. });
                self.observe(now, name, Story::ArmorDied { name, incarnation }, step);
                self.died(now, name, step);
                if found_by_look_up {
                    self.found(now, |home| home.restarted += 1, step);
                }
            }
            State::Waiting | State::Resting | State::Lost { .. } => {}
        }
    }

    /// Decides what follows a death: the next life now, later, or never.
    fn died(&mut self, now: Moment, name: ArmorName, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get_mut(&name) else { return };
        charge.short_lives = if charge.lived(now.boot) >= STEADY { 0 } else { charge.short_lives + 1 };
        charge.died = charge.died.or(Some(now.boot));
        let next = Incarnation(charge.incarnation.0.saturating_add(1)).max(charge.floor);
        if next > charge.granted {
            let why = format!("it used up the {} lives it was granted on {}", charge.granted.0, self.host);
            return self.lost(name, why, step);
        }
        match next_life(name, charge.short_lives) {
            Next::After(wait) => {
                charge.incarnation = next;
                charge.state = State::Resting;
                if wait == Millis(0) {
                    self.rested(now, name, step);
                } else {
                    step.timer(Timer::Restore(name), wait);
                }
            }
            Next::GiveUp => {
                let why = format!("it died {} times in a row on {} within {STEADY}", charge.short_lives, self.host);
                self.lost(name, why, step);
            }
        }
    }

    fn lost(&mut self, name: ArmorName, why: String, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get(&name).cloned() else { return };
        let incarnation = charge.incarnation;
        self.keep(name, Charge { state: State::Lost { why: why.clone() }, ..charge }, step);
        step.then(Effect::Forget { peer: name });
        self.tell(FtmMessage::Lost { name, incarnation, why }, step);
    }

    /// The wait before the next life is over.
    pub(super) fn rested(&mut self, now: Moment, name: ArmorName, step: &mut DaemonStep) {
        if let Some(charge) = self.charges.get_mut(&name).filter(|charge| charge.state == State::Resting) {
            charge.state = State::Waiting;
            self.start_waiting(now, step);
        }
    }

    /// A new life of the daemon: looks up everything that the last one left running.
    pub(super) fn come_home(&mut self, now: Moment, step: &mut DaemonStep) {
        let mut home = Homecoming::default();
        for (&name, charge) in &self.charges {
            let Some(process) = charge.process().cloned() else { continue };
            home.unknown += usize::from(matches!(charge.state, State::Adopting { .. }));
            let incarnation = charge.incarnation;
            step.then(Effect::Process(ProcessCommand::Adopt { name, incarnation, process }));
        }
        if self.incarnation > Incarnation(1) {
            self.homecoming = Some(home);
            self.tell_homecoming(now, step);
        }
    }

    /// A process of the last life still runs.
    pub(super) fn adopted(&mut self, now: Moment, name: ArmorName, incarnation: Incarnation, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get(&name).filter(|charge| charge.incarnation == incarnation) else { return };
        match &charge.state {
            State::Adopting { process } => {
                let state = self.starting(now, process.clone());
                self.charges.insert(name, Charge { state, ..charge.clone() });
                self.found(now, |home| home.adopted += 1, step);
            }
            State::Running { .. } => self.found(now, |home| home.adopted += 1, step),
            State::Retiring { .. } => step.then(Effect::Process(ProcessCommand::Kill { name, incarnation })),
            State::Waiting | State::Starting { .. } | State::Killed { .. } | State::Resting | State::Lost { .. } => {}
        }
    }

    fn found(&mut self, now: Moment, count: impl FnOnce(&mut Homecoming), step: &mut DaemonStep) {
        if let Some(home) = &mut self.homecoming {
            home.unknown = home.unknown.saturating_sub(1);
            count(home);
            self.tell_homecoming(now, step);
        }
    }

    /// Once it is known of every ARMOR whether it still runs, people are told.
    fn tell_homecoming(&mut self, now: Moment, step: &mut DaemonStep) {
        if let Some(Homecoming { adopted, restarted, .. }) = self.homecoming.take_if(|home| home.unknown == 0) {
            self.observe(now, self.name, Story::DaemonRestored { adopted, restarted }, step);
        }
    }
}

/// When the next life begins after so many short ones in a row. The FTM is never given up: nobody
/// would be there to be told.
fn next_life(name: ArmorName, short_lives: u32) -> Next {
    let limit = if name == ArmorName::Ftm { u32::MAX } else { SHORT_LIVES.limit };
    match short_lives {
        0 | 1 => Next::After(Millis(0)),
        more => restart::next(&Restart { limit, ..SHORT_LIVES }, more - 2),
    }
}
