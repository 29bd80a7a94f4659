//! The invented world: it drives the real ARMORs, event by event, and looks at each step they take.
//!
//! Everything that happens is an entry of the [`Agenda`]: something arrives at a process, a save is
//! written, a program does its next deed, a fault strikes. Delays are drawn from the seed, so that the
//! same seed is the same run. The world decides nothing about fault tolerance: it carries out what the
//! ARMORs ask for, as a real machine would, and tells them what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use chameleon_core::armor::Effect;
use chameleon_core::names::{ArmorName, HostId};
use chameleon_core::shell::{Identity, Input, Output, Running};

use crate::chance::Chance;
use crate::clock::Agenda;
use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::fabric::Fabric;
use crate::faults::{Fault, Standing};
use crate::files::{FileDone, Files};
use crate::history::{Fact, Moment};
use crate::host::Host;
use crate::invariants::{self, Invariant, Violation};
use crate::lanes::Lanes;
use crate::liveness;
use crate::network::{Connection, Network};
use crate::polls::{self, Polls};
use crate::process::{Arrival, Body, Pid, Process};
use crate::script::Trigger;
use crate::tell;
use crate::trace::{Detail, Trace};
use crate::user::User;

/// Makes an ARMOR of any kind; `None` for what is none.
pub type Raise = fn(Identity) -> Option<Box<dyn Running>>;

/// What happens next.
#[derive(Debug)]
pub enum Next {
    Arrive {
        at: Pid,
        what: Arrival,
    },
    Dial {
        from: Pid,
        to: ArmorName,
    },
    /// Whoever dialled was not welcomed, and waits no longer.
    Tire {
        from: Pid,
        to: ArmorName,
        connection: Connection,
    },
    /// A save is written; a save is synced.
    Written {
        by: Pid,
        number: u64,
    },
    Synced {
        by: Pid,
        number: u64,
    },
    /// A blank process has started.
    Blank {
        host: HostId,
        watcher: Pid,
    },
    /// A daemon starts, unless there is one.
    Revive {
        host: HostId,
    },
    /// A slot is made; a program does its next deed; a killed one ends.
    SlotReady {
        opening: u64,
        of: Pid,
        slot: chameleon_core::names::SlotId,
    },
    Program {
        of: Pid,
        slot: chameleon_core::names::SlotId,
        run: u64,
    },
    /// The file system has done what it was asked for.
    File {
        of: Pid,
        done: FileDone,
    },
    Fault(Fault),
    /// A fault drawn from what is there.
    RandomFault,
    /// The system's own unit looks after hosts where nobody is well.
    Unit,
    /// Those linked to the FTM look whether it is where it was.
    FollowReign,
    /// A process that was starved, stopped or deaf is well again.
    Recover {
        pid: Pid,
    },
    /// A user's command starts; prints the next piece; gets more standard input.
    UserComes {
        number: u64,
    },
    UserPrints {
        number: u64,
    },
    UserTypes {
        number: u64,
    },
    /// A host's processes learn who is let in no more.
    ShutOut {
        host: HostId,
        revoked: BTreeSet<HostId>,
    },
    /// What a candidate asked the store for takes effect there; it waits no longer for the answer.
    Polled {
        by: Pid,
        question: polls::Question,
        heard: bool,
    },
    Unanswered {
        by: Pid,
    },
}

/// The world.
pub struct World {
    pub agenda: Agenda<Next>,
    pub chance: Chance,
    pub disk: Disk,
    pub files: Files,
    pub network: Network,
    pub fabric: Fabric,
    pub hosts: BTreeMap<HostId, Host>,
    pub processes: BTreeMap<Pid, Process>,
    /// Who can be reached by which name.
    pub bound: BTreeMap<ArmorName, Pid>,
    pub lanes: Lanes,
    pub users: BTreeMap<u64, User>,
    pub trace: Trace,
    pub triggers: Vec<Trigger>,
    /// Faults that last.
    pub standing: Standing,
    /// `None`: all hosts are of one home, and nobody joins.
    pub cluster: Option<Cluster>,
    /// `None`: there are no candidates for the FTM, and the first host has it.
    pub polls: Option<Polls>,
    /// Policies of hosts that have one.
    pub policies: BTreeMap<HostId, String>,
    /// Hosts whose programs get a copy of the run directory and are kept from nothing else.
    pub posix: BTreeSet<HostId>,
    pub broken: Option<Violation>,
    /// How many inputs were handled.
    pub handled: u64,
    raise: Raise,
    invariants: Vec<Box<dyn Invariant>>,
    settings: u64,
}

impl World {
    /// A machine with so many hosts, their daemons about to start.
    #[must_use]
    pub fn new(seed: u64, hosts: u32, raise: Raise, detail: Detail) -> Self {
        let mut world = World {
            agenda: Agenda::default(),
            chance: Chance::of(seed),
            disk: Disk::default(),
            files: Files::default(),
            network: Network::default(),
            fabric: Fabric::default(),
            hosts: (1..=hosts).map(|number| (HostId(number), Host::default())).collect(),
            processes: BTreeMap::new(),
            bound: BTreeMap::new(),
            lanes: Lanes::default(),
            users: BTreeMap::new(),
            trace: Trace::new(detail),
            triggers: Vec::new(),
            standing: Standing::default(),
            cluster: None,
            polls: None,
            policies: BTreeMap::new(),
            posix: BTreeSet::new(),
            broken: None,
            handled: 0,
            raise,
            invariants: invariants::all(),
            settings: 0,
        };
        for number in 1..=hosts {
            world.later(500, Next::Revive { host: HostId(number) });
        }
        world
    }

    /// Lets the world go on until `done` says so, something is broken, or nothing happens until `until_us`.
    pub fn run(&mut self, until_us: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        while self.broken.is_none() && !done(self) {
            let Some(next) = self.agenda.next(until_us) else {
                self.agenda.skip_to(until_us);
                return done(self);
            };
            self.happen(next);
        }
        self.broken.is_none()
    }

    fn happen(&mut self, next: Next) {
        match next {
            Next::Arrive { at, what } => self.arrive(at, what),
            Next::Dial { from, to } => self.dial(from, to),
            Next::Tire { from, to, connection } => self.tire(from, to, connection),
            Next::Written { by, number } => self.written(by, number),
            Next::Synced { by, number } => self.synced(by, number),
            Next::Blank { host, watcher } => self.blank(host, watcher),
            Next::Revive { host } => self.revive(host),
            Next::SlotReady { of, slot, opening } => self.slot_ready(of, slot, opening),
            Next::Program { of, slot, run } => self.program(of, slot, run),
            Next::File { of, done } => self.file_done(of, done),
            Next::Fault(fault) => self.strike(&fault),
            Next::RandomFault => liveness::random_fault(self),
            Next::Unit => self.unit(),
            Next::FollowReign => self.follow_reign(),
            Next::Recover { pid } => self.recover(pid),
            Next::UserComes { number } => self.user_comes(number),
            Next::UserPrints { number } => self.user_prints(number),
            Next::UserTypes { number } => self.user_types(number),
            Next::ShutOut { host, revoked } => self.shut_out(host, revoked),
            Next::Polled { by, question, heard } => self.polled(by, question, heard),
            Next::Unanswered { by } => self.unanswered_by_store(by),
        }
    }

    // ---- time ----

    /// Lets something happen after about so long, in microseconds.
    pub fn later(&mut self, usual_us: u64, what: Next) {
        let delay_us = self.chance.delay_us(usual_us);
        self.after(delay_us, what);
    }

    /// Lets something happen after exactly so long, in microseconds.
    pub fn after(&mut self, delay_us: u64, what: Next) {
        let at_us = self.agenda.now_us() + delay_us;
        self.agenda.at(at_us, &mut self.chance, what);
    }

    /// Writes a line of the story.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        self.trace.line(self.agenda.now_us(), text);
    }

    // ---- what reaches a process ----

    /// Something reaches a process: it looks at it now, or once it is well again.
    pub fn arrive(&mut self, pid: Pid, what: Arrival) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if !process.looks_at(&what) {
            process.held.push_back(what);
            return;
        }
        match what {
            Arrival::Hello { from, connection } => self.greeted(pid, from, connection),
            Arrival::Welcome { connection, incarnation } => self.welcomed(pid, connection, incarnation),
            Arrival::Frame { from, incarnation, connection, frame, bytes } => {
                if self.network.arrives(connection, frame) {
                    self.trace.mix(&[self.agenda.now_us(), u64::from(pid.0)], &bytes);
                    let message = minicbor::decode(&bytes).expect("what was encoded can be decoded");
                    self.feed(pid, Input::Message { from, incarnation, message });
                }
            }
            Arrival::Broke { to, connection } => self.broke(pid, to, connection),
            Arrival::Restored => self.restored(pid),
            Arrival::Timer { timer, setting } => {
                if process.timers.get(&timer) == Some(&setting) {
                    process.timers.remove(&timer);
                    self.feed(pid, Input::Timer(timer));
                }
            }
            Arrival::Input(input) => self.feed(pid, input),
        }
    }

    /// Lets an ARMOR handle an input, and does what it asks for.
    pub(crate) fn feed(&mut self, pid: Pid, input: Input) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let moment = self.agenda.moment();
        self.handled += 1;
        self.trace.mix(&[self.agenda.now_us(), u64::from(pid.0), tell::number(&input)], &[]);
        let Some(identity) = process.identity().cloned() else { return };
        if let Input::Saved(number) = input {
            process.unsaved.retain(|&unsaved| unsaved > number);
        }
        let unsaved = process.unsaved.len();
        self.trace.detail(self.agenda.now_us(), || format!("{} ← {}", identity.name, tell::input(&input)));
        self.observe(&Fact::Handles { who: &identity, pid, input: &input });
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let output = match &mut process.body {
            Body::Armor(armor) => catch_unwind(AssertUnwindSafe(|| armor.handle(moment, input.clone()))),
            Body::User(command) => Ok(command.handle(input.clone())),
            Body::Caller(caller) => Ok(caller.handle(input.clone())),
            Body::Blank | Body::Restoring(_) => return,
        };
        match output {
            Ok(output) => self.take_step(pid, &identity, &input, unsaved, output),
            Err(_panic) => {
                let text = format!("{} panicked when it handled {}", identity.name, tell::input(&input));
                self.violate("an ARMOR breaks none of its own rules", text);
            }
        }
    }

    /// An ARMOR took a step: `unsaved` saves that it asked for before were under way.
    pub fn take_step(&mut self, pid: Pid, who: &Identity, input: &Input, unsaved: usize, output: Output) {
        self.observe(&Fact::Stepped { who, pid, input, output: &output, unsaved });
        if let Some(request) = output.save {
            tell::noted(self, who.name, &request);
            self.save(pid, request);
        }
        for effect in output.effects {
            if !self.perform(pid, who, effect) {
                return;
            }
        }
        self.when(Moment::Hears, who.name, || tell::word_of_input(input));
        self.serve_user(pid);
        self.serve_caller(pid);
    }

    // ---- what an ARMOR asks for ----

    /// Carries out an effect; false if the process did not live to see it done.
    fn perform(&mut self, pid: Pid, who: &Identity, effect: Effect) -> bool {
        self.when(Moment::About, who.name, || tell::word_of_effect(&effect));
        if !self.processes.contains_key(&pid) {
            return false;
        }
        self.trace.detail(self.agenda.now_us(), || format!("{} → {}", who.name, tell::effect(&effect)));
        self.observe(&Fact::Asks { who, pid, effect: &effect });
        let word = if self.triggers.is_empty() { String::new() } else { tell::word_of_effect(&effect) };
        match effect {
            Effect::Send { to, message } => self.send(pid, to, message),
            Effect::SetTimer { timer, after } => {
                self.settings += 1;
                let setting = self.settings;
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.timers.insert(timer, setting);
                }
                let late_us = self.chance.within(0, 500);
                self.after(
                    after.0 * 1_000 + late_us,
                    Next::Arrive { at: pid, what: Arrival::Timer { timer, setting } },
                );
            }
            Effect::CancelTimer { timer } => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.timers.remove(&timer);
                }
            }
            Effect::Slot(command) => self.slot_command(pid, command),
            Effect::Process(command) => self.process_command(pid, command),
            Effect::File(command) => self.file_command(pid, command),
            // The invented network finds everybody.
            Effect::Locate { .. } => {}
            Effect::Forget { peer } => self.network.forget(pid, peer),
            Effect::Renew { peer } => {
                self.network.forget(pid, peer);
                self.network.open(pid, peer);
                self.later(100, Next::Dial { from: pid, to: peer });
            }
            Effect::Acquaint { .. } => {}
            Effect::Datagram { to, datagram } => self.send_datagram(pid, to, datagram),
        }
        self.when(Moment::Says, who.name, || word);
        self.processes.contains_key(&pid)
    }

    /// Strikes with what was to happen at this moment of a story.
    fn when(&mut self, moment: Moment, who: ArmorName, word: impl FnOnce() -> String) {
        if self.triggers.is_empty() {
            return;
        }
        let word = word();
        let due: Vec<Fault> =
            self.triggers.iter_mut().filter_map(|trigger| trigger.strikes(moment, who, &word)).collect();
        for fault in due {
            self.strike(&fault);
        }
    }

    // ---- what is looked at ----

    /// Shows every invariant what happened.
    pub fn observe(&mut self, fact: &Fact<'_>) {
        if self.broken.is_some() {
            return;
        }
        let now_us = self.agenda.now_us();
        for invariant in &mut self.invariants {
            if let Err(text) = invariant.verify(fact) {
                self.broken = Some(Violation { invariant: invariant.name(), at_us: now_us, text });
                return;
            }
            invariant.learn(fact);
        }
    }

    /// Something holds no more.
    pub fn violate(&mut self, invariant: &'static str, text: String) {
        let at_us = self.agenda.now_us();
        self.broken.get_or_insert(Violation { invariant, at_us, text });
    }

    /// Makes an ARMOR of any kind.
    #[must_use]
    pub fn raise(&self, identity: Identity) -> Option<Box<dyn Running>> {
        (self.raise)(identity)
    }
}
