//! The daemon: one a host. It gives blank processes their names, watches what runs, restarts what
//! dies or hangs, and ends what the FTM retires. It decides nothing about jobs.
//!
//! What it may do alone it was granted in advance (D7): it restarts an ARMOR in place up to the
//! granted incarnation, also while the FTM is away; beyond that the FTM decides. The FTM itself is an
//! ARMOR like any other here, except that nobody could be told of giving it up: it never is.
//!
//! What the FTM must know is state, and is said again whenever the link to it comes up: what runs
//! ([`FtmMessage::Joined`]), what is lost, and what was observed and not acknowledged.

mod charge;
mod hospitality;
mod lease;
mod lives;
mod pulse;
mod reign;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::{BTreeMap, VecDeque};

pub use charge::{Charge, ChargeRecord, DaemonRecord, Grant, Kept, State};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step, Timer};
use crate::elements::candidacy::Candidacy;
use crate::elements::outbox::Outbox;
use crate::message::{DaemonMessage, FtmMessage, Occurrence, Story, Unit};
use crate::names::{ArmorName, HostId, Incarnation, Millis, Term};
use crate::policy::Policy;
use crate::shell::{Identity, Place};
use crate::world::{ProcessCommand, ProcessEvent, ProcessMark};

/// The host on which the FTM lives, if there are no candidates for it.
pub const FTM_HOST: HostId = HostId(1);
/// Blank processes kept in stock: enough for the managers of a job to start without waiting for one.
pub const STOCK: u16 = 4;
/// The stock is refilled when nothing was started for this long: a start is not to compete with it.
pub const REFILL_AFTER: Millis = Millis(300);

/// The daemon of a host.
#[derive(Debug)]
pub struct Daemon {
    host: HostId,
    name: ArmorName,
    incarnation: Incarnation,
    term: Term,
    charges: BTreeMap<ArmorName, Charge>,

    /// Its own process; 0 until it has said so itself.
    pid: u32,
    blanks: VecDeque<ProcessMark>,
    beat: u64,
    last_beat: Millis,
    last_start: Millis,
    ftm_linked: bool,
    /// What the FTM is told of where other machines reach this host.
    listening: Option<FtmMessage>,
    /// Since when the FTM has been out of reach in this life, and over the daemon's own death.
    unheard: Option<Millis>,
    cut_off: Option<Millis>,
    /// Since when no other host hears this one, though this one may hear them.
    muted: Option<Millis>,
    /// When any other process was heard last, in this life.
    heard: Option<Millis>,
    observed: Outbox<(ArmorName, Occurrence)>,
    homecoming: Option<Homecoming>,
    /// The last that was heard of an FTM that several candidates may have: the term and when.
    reign_heard: Option<(Term, Millis)>,
    /// `None`: this host is no candidate.
    candidacy: Option<Candidacy>,
    /// The host's own, or why it cannot be read.
    policy: Result<Policy, String>,
}

/// What a new life of the daemon finds of the last one.
#[derive(Debug, Clone, Copy, Default)]
struct Homecoming {
    unknown: usize,
    adopted: u64,
    restarted: u64,
}

type DaemonStep = Step<DaemonRecord>;

impl Daemon {
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Daemon {
            host: identity.host,
            name: ArmorName::Daemon(identity.host),
            incarnation: identity.incarnation,
            term: Term::default(),
            charges: BTreeMap::new(),
            pid: 0,
            blanks: VecDeque::new(),
            beat: 0,
            last_beat: Millis::default(),
            last_start: Millis::default(),
            ftm_linked: false,
            listening: None,
            unheard: None,
            cut_off: None,
            muted: None,
            heard: None,
            observed: Outbox::default(),
            homecoming: None,
            reign_heard: None,
            candidacy: identity.elected.then(|| Candidacy::new(identity.host, &identity.seed)),
            policy: Ok(Policy::default()),
        }
    }

    /// The ARMORs that this daemon answers for.
    #[must_use]
    pub fn charges(&self) -> &BTreeMap<ArmorName, Charge> {
        &self.charges
    }

    /// The highest term that it has obeyed.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    fn save(&mut self, step: &mut DaemonStep, record: DaemonRecord) {
        step.record(self, record);
    }

    fn message(&mut self, now: Moment, from: ArmorName, message: DaemonMessage, step: &mut DaemonStep) {
        if from != self.name {
            self.heard = Some(now.boot);
        }
        match message {
            DaemonMessage::Install { term, name, incarnation, granted, bid, mirror } => {
                if self.obeys(term, step) {
                    match self.admits(now, name, bid.as_deref()) {
                        Ok(()) => self.install(now, name, Grant { incarnation, granted, mirror }, step),
                        Err(why) => self.tell(FtmMessage::Lost { name, incarnation, why }, step),
                    }
                }
            }
            DaemonMessage::Retire { term, name } => {
                if self.obeys(term, step) {
                    self.retire(name, step);
                }
            }
            DaemonMessage::Clean { term, job } => {
                if self.obeys(term, step) {
                    step.then(Effect::Process(ProcessCommand::Clean { name: None, job: Some(job) }));
                }
            }
            DaemonMessage::Ready { name, incarnation, process } => self.ready(now, name, incarnation, process, step),
            DaemonMessage::Pong(vitals) => self.answered(now, from, &vitals, step),
            DaemonMessage::Stop => step.then(Effect::Process(ProcessCommand::Stop)),
            DaemonMessage::Listening { name, address, key } => {
                self.listening = Some(FtmMessage::Reachable { name, address, key });
                self.tell_reachable(step);
            }
            DaemonMessage::Book { term, book } => {
                if self.obeys(term, step) {
                    step.then(Effect::Process(ProcessCommand::KeepBook(book)));
                }
            }
            DaemonMessage::ObservedKept { below } => {
                self.observed.kept(below.saturating_sub(self.first_number()));
            }
            DaemonMessage::Unheard { silent } if from == ArmorName::Heartbeat(self.host) => {
                self.unheard(now, silent, step);
            }
            // Of other hosts theirs are told.
            DaemonMessage::Unheard { .. } => {}
            DaemonMessage::Report { term } => {
                if self.obeys(term, step) {
                    self.tell_all(step);
                }
            }
            DaemonMessage::Reigns { term, fellows } => {
                if self.obeys(term, step) {
                    self.reigns(now, term, fellows);
                }
            }
            DaemonMessage::StepsDown { term } => {
                if self.obeys(term, step) {
                    self.steps_down(now, term, step);
                }
            }
            DaemonMessage::Inquire { .. } => self.tell_reign(now, from, step),
            DaemonMessage::HeardReign { term, ago } => {
                if let Some(candidacy) = &mut self.candidacy {
                    candidacy.told(now.boot, term, ago);
                }
            }
        }
    }

    /// Whether a command of this term counts. One of a lower term comes from an FTM that was replaced.
    fn obeys(&mut self, term: Term, step: &mut DaemonStep) -> bool {
        if term > self.term {
            self.save(step, DaemonRecord::Term(term));
        }
        term == self.term
    }

    fn install(&mut self, now: Moment, name: ArmorName, grant: Grant, step: &mut DaemonStep) {
        let incarnation = grant.incarnation;
        let Some(charge) = self.charges.get(&name) else {
            self.keep(name, Charge::new(grant), step);
            return self.start_waiting(now, step);
        };
        if incarnation > charge.incarnation {
            return self.install_anew(now, name, grant, step);
        }
        match &charge.state {
            State::Running { .. } => self.tell(FtmMessage::Running(charge.unit(name)), step),
            State::Lost { why } => {
                let lost = FtmMessage::Lost { name, incarnation: charge.incarnation, why: why.clone() };
                self.tell(lost, step);
            }
            // It is on its way, or goes for good.
            State::Waiting
            | State::Starting { .. }
            | State::Killed { .. }
            | State::Resting
            | State::Adopting { .. }
            | State::Retiring { .. } => {}
        }
    }

    /// The FTM gives an ARMOR new lives: the one that it is in, if any, must end first.
    fn install_anew(&mut self, now: Moment, name: ArmorName, grant: Grant, step: &mut DaemonStep) {
        let Some(mut charge) = self.charges.get(&name).cloned() else { return };
        match charge.state {
            State::Retiring { .. } => {}
            State::Waiting | State::Resting | State::Lost { .. } => {
                step.then(Effect::CancelTimer { timer: Timer::Restore(name) });
                let died = charge.died;
                self.keep(name, Charge { died, ..Charge::new(grant) }, step);
                self.start_waiting(now, step);
            }
            State::Starting { .. } | State::Running { .. } | State::Killed { .. } | State::Adopting { .. } => {
                let lower = charge.incarnation;
                (charge.floor, charge.granted, charge.mirror) = (grant.incarnation, grant.granted, grant.mirror);
                // That it ends is decided, and nothing that anybody need be told of as a death.
                if let State::Starting { process, .. } | State::Running { process, .. } = &charge.state {
                    charge.state = State::Killed { process: process.clone(), lived: charge.lived(now.boot) };
                }
                self.keep(name, charge, step);
                step.then(Effect::Process(ProcessCommand::Kill { name, incarnation: lower }));
            }
        }
    }

    /// An ARMOR is as `charge` says from now on, also for the next life of this daemon.
    fn keep(&mut self, name: ArmorName, charge: Charge, step: &mut DaemonStep) {
        self.save(step, DaemonRecord::Charge(charge.record(name)));
        self.charges.insert(name, charge);
    }

    fn retire(&mut self, name: ArmorName, step: &mut DaemonStep) {
        let Some(charge) = self.charges.get(&name) else { return self.gone(name, step) };
        if matches!(charge.state, State::Retiring { .. }) {
            return;
        }
        let incarnation = charge.incarnation;
        let Some(process) = charge.process().cloned() else { return self.retired(name, step) };
        self.keep(name, Charge { state: State::Retiring { process }, ..charge.clone() }, step);
        step.then(Effect::Process(ProcessCommand::Kill { name, incarnation }));
    }

    /// The process of a retiring ARMOR is gone.
    fn retired(&mut self, name: ArmorName, step: &mut DaemonStep) {
        self.save(step, DaemonRecord::Retired { name });
        step.then(Effect::CancelTimer { timer: Timer::Restore(name) });
        self.gone(name, step);
    }

    fn gone(&self, name: ArmorName, step: &mut DaemonStep) {
        step.then(Effect::Process(ProcessCommand::Clean { name: Some(name), job: None }));
        step.then(Effect::Forget { peer: name });
        self.tell(FtmMessage::Gone { name }, step);
    }

    /// Tells the FTM, if it can be reached; if not, it learns it when it can.
    fn tell(&self, message: FtmMessage, step: &mut DaemonStep) {
        step.send(ArmorName::Ftm, message);
    }

    /// Where other machines reach this host, if they can.
    fn tell_reachable(&self, step: &mut DaemonStep) {
        if let Some(reachable) = self.listening.clone().filter(|_| self.ftm_linked) {
            self.tell(reachable, step);
        }
    }

    /// The FTM can be reached (again): all that it must know.
    fn tell_all(&mut self, step: &mut DaemonStep) {
        self.tell(FtmMessage::Joined { host: self.host, units: self.units() }, step);
        for (&name, charge) in &self.charges {
            if let State::Lost { why } = &charge.state {
                let lost = FtmMessage::Lost { name, incarnation: charge.incarnation, why: why.clone() };
                self.tell(lost, step);
            }
        }
        if self.candidacy.is_some() {
            self.tell(FtmMessage::Candidate { host: self.host }, step);
        }
        self.tell_reachable(step);
        self.observed.repeat();
        self.tell_observed(step);
    }

    /// What runs here or is about to, this daemon first.
    fn units(&self) -> Vec<Unit> {
        let own = Unit { name: self.name, incarnation: self.incarnation, pid: self.pid, restored_after_ms: None };
        let kept = self.charges.iter().filter(|(_, charge)| !matches!(charge.state, State::Lost { .. }));
        std::iter::once(own).chain(kept.map(|(&name, charge)| charge.unit(name))).collect()
    }

    fn observe(&mut self, now: Moment, name: ArmorName, story: Story, step: &mut DaemonStep) {
        let occurrence = Occurrence { unix_ms: now.unix_ms, boot: now.boot, noticed_by: self.name, story };
        self.observed.push((name, occurrence));
        self.tell_observed(step);
    }

    fn tell_observed(&mut self, step: &mut DaemonStep) {
        while self.ftm_linked {
            let Some((first, observed)) = self.observed.say(1) else { break };
            for (name, occurrence) in observed {
                let number = self.first_number() + first;
                self.tell(FtmMessage::Observed { name, occurrence, number }, step);
            }
        }
    }

    /// The number of the first thing this life observes: higher than all of its earlier lives.
    fn first_number(&self) -> u64 {
        u64::from(self.incarnation.0) << 32
    }

    fn link(&mut self, now: Moment, event: LinkEvent, step: &mut DaemonStep) {
        match event {
            LinkEvent::Up { peer: ArmorName::Ftm, .. } => {
                self.ftm_linked = true;
                self.heard_ftm(now, true, step);
                self.tell_all(step);
            }
            LinkEvent::Down { peer: ArmorName::Ftm } => {
                self.ftm_linked = false;
                self.heard_ftm(now, false, step);
            }
            // An ARMOR that cannot be reached does not answer, and is judged by that.
            LinkEvent::Up { .. } | LinkEvent::Down { .. } => {}
        }
    }

    fn process(&mut self, now: Moment, event: ProcessEvent, step: &mut DaemonStep) {
        match event {
            ProcessEvent::Blank { process } => {
                self.blanks.push_back(process);
                self.start_waiting(now, step);
            }
            ProcessEvent::BlankLost { pid } => {
                self.blanks.retain(|blank| blank.pid != pid);
                self.start_waiting(now, step);
            }
            ProcessEvent::Adopted { name, incarnation } => self.adopted(now, name, incarnation, step),
            ProcessEvent::Exited { name, incarnation } => self.exited(now, name, incarnation, step),
            ProcessEvent::Sampled { name, incarnation, sample } => self.looked(now, name, incarnation, &sample, step),
            ProcessEvent::OwnerGone => step.then(Effect::Process(ProcessCommand::Stop)),
            ProcessEvent::PolicyRead(text) => self.policy_read(now, text, step),
            ProcessEvent::Notified { .. } | ProcessEvent::Knocked { .. } => {}
            ProcessEvent::RoundTrip { .. } | ProcessEvent::Transfers(_) | ProcessEvent::Summoned { .. } => {}
            ProcessEvent::Profiled(_) | ProcessEvent::Signed { .. } | ProcessEvent::BackedUp { .. } => {}
            ProcessEvent::ReignSeen(sight) => self.reign_seen(now, &sight, step),
        }
    }
}

impl Armor for Daemon {
    type Message = DaemonMessage;
    type Record = DaemonRecord;

    fn apply(&mut self, record: &DaemonRecord) {
        match record {
            DaemonRecord::Term(term) => self.term = *term,
            DaemonRecord::Charge(record) => {
                self.charges.entry(record.name).or_insert_with(|| Charge::new(record.grant())).restore(record);
            }
            DaemonRecord::CutOff(since) => self.cut_off = *since,
            DaemonRecord::Retired { name } => {
                self.charges.remove(name);
            }
        }
    }

    fn handle(&mut self, now: Moment, event: Event<DaemonMessage>) -> DaemonStep {
        let mut step = Step::none();
        match event {
            Event::Message { from, message } => self.message(now, from, message, &mut step),
            Event::Timer(Timer::Beat) => self.beat(now, &mut step),
            Event::Timer(Timer::Restore(name)) => self.rested(now, name, &mut step),
            Event::Process(event) => self.process(now, event, &mut step),
            Event::Link(event) => self.link(now, event, &mut step),
            // Timers, slots and files of other ARMORs.
            Event::Timer(_) | Event::Slot(_) | Event::File(_) | Event::Datagram { .. } => {}
        }
        step
    }

    fn resume(&mut self, now: Moment) -> DaemonStep {
        let mut step = Step::none();
        self.come_home(now, &mut step);
        let sole = self.candidacy.is_none() && self.host == FTM_HOST;
        if sole && !self.charges.contains_key(&ArmorName::Ftm) {
            // A host that has forgotten its FTMs had no more daemons than that.
            let grant = Grant { incarnation: self.incarnation, granted: Incarnation(u32::MAX), mirror: None };
            self.keep(ArmorName::Ftm, Charge::new(grant), &mut step);
        }
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.excuse(now.boot);
        }
        if !sole {
            self.tell(FtmMessage::Joined { host: self.host, units: self.units() }, &mut step);
        }
        let waiting = u16::try_from(self.waiting().count()).unwrap_or(u16::MAX);
        step.then(Effect::Process(ProcessCommand::Stock { blanks: waiting.saturating_add(STOCK) }));
        self.last_beat = now.boot;
        self.last_start = now.boot;
        self.unheard = Some(now.boot);
        step.timer(Timer::Beat, watch::BEAT);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.beat, pending: 0 }
    }

    fn place(record: &DaemonRecord) -> Place {
        record.place()
    }
}
