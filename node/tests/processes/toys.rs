//! Two small ARMORs: a counter that saves each number before it says how many there were, and a daemon
//! that keeps counters running.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step};
use chameleon_core::message::{ArmorRow, ArmorState, DaemonMessage, UserMessage, VoterMessage};
use chameleon_core::names::{ArmorName, Incarnation, JobId};
use chameleon_core::shell::{Identity, Place, Running, Shell};
use chameleon_core::world::{ProcessCommand, ProcessEvent, ProcessMark};
use minicbor::{Decode, Encode};

/// How many counters the daemon keeps.
pub const COUNTERS: u64 = 3;

pub fn raise(identity: Identity) -> Option<Box<dyn Running>> {
    Some(match identity.name {
        ArmorName::Daemon(_) => Box::new(Shell::new(identity.clone(), Keeper::new(identity))),
        _ => Box::new(Shell::new(identity, Counter::default())),
    })
}

/// Told a number, it saves it, and tells the user how many it has saved and the last one.
#[derive(Debug, Default)]
struct Counter {
    count: u64,
    last: u64,
    users: BTreeSet<ArmorName>,
}

impl Counter {
    fn answer(&self, to: ArmorName, step: &mut Step<u64>) {
        step.send(to, UserMessage::Refused { why: format!("{} {}", self.count, self.last) });
    }
}

impl Armor for Counter {
    type Message = VoterMessage;
    type Record = u64;

    fn apply(&mut self, number: &u64) {
        self.count += 1;
        self.last = *number;
    }

    fn handle(&mut self, _: Moment, event: Event<VoterMessage>) -> Step<u64> {
        let mut step = Step::none();
        match event {
            Event::Message { from, message: VoterMessage::VerdictsKept { below, .. } } => {
                self.users.insert(from);
                match below % 2 {
                    0 => step.record(self, below),
                    _ => step.record_on_disk(self, below),
                }
                self.answer(from, &mut step);
            }
            Event::Link(LinkEvent::Up { peer, .. }) if self.users.contains(&peer) => self.answer(peer, &mut step),
            _ => {}
        }
        step
    }

    fn resume(&mut self, _: Moment) -> Step<u64> {
        Step::none()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

#[derive(Debug, Clone, Encode, Decode)]
struct Kept {
    #[n(0)]
    name: ArmorName,
    #[n(1)]
    incarnation: Incarnation,
    #[n(2)]
    process: Option<ProcessMark>,
}

/// Installs the counters and restores those that die.
#[derive(Debug)]
struct Keeper {
    identity: Identity,
    kept: BTreeMap<ArmorName, Kept>,
    blanks: BTreeSet<u32>,
    wanted: BTreeSet<ArmorName>,
    ready: BTreeSet<ArmorName>,
}

impl Keeper {
    fn new(identity: Identity) -> Keeper {
        let (kept, blanks, ready) = Default::default();
        let wanted = (1..=COUNTERS).map(|job| ArmorName::Voter(JobId(job))).collect();
        Keeper { identity, kept, blanks, wanted, ready }
    }

    fn assign(&mut self, step: &mut Step<Kept>) {
        while let (Some(&name), Some(&pid)) = (self.wanted.first(), self.blanks.first()) {
            let last = self.kept.get(&name).map_or(0, |kept| kept.incarnation.0);
            let incarnation = Incarnation(last + 1);
            step.record(self, Kept { name, incarnation, process: None });
            step.then(Effect::Process(ProcessCommand::Assign { pid, name, incarnation, mirror: None }));
            self.blanks.remove(&pid);
        }
        step.then(Effect::Process(ProcessCommand::Stock { blanks: 2 }));
    }

    fn rows(&self) -> Vec<ArmorRow> {
        let row = |kept: &Kept| ArmorRow {
            name: kept.name,
            host: self.identity.host,
            pid: kept.process.as_ref().map_or(0, |process| process.pid),
            incarnation: kept.incarnation,
            state: if self.ready.contains(&kept.name) { ArmorState::Running } else { ArmorState::Installing },
        };
        self.kept.values().map(row).collect()
    }

    fn process(&mut self, event: ProcessEvent, step: &mut Step<Kept>) {
        match event {
            ProcessEvent::Blank { process } => drop(self.blanks.insert(process.pid)),
            ProcessEvent::BlankLost { pid } => drop(self.blanks.remove(&pid)),
            ProcessEvent::Exited { name, incarnation } => {
                if self.kept.get(&name).is_some_and(|kept| kept.incarnation == incarnation) {
                    self.ready.remove(&name);
                    self.wanted.insert(name);
                }
            }
            ProcessEvent::OwnerGone => step.then(Effect::Process(ProcessCommand::Stop)),
            ProcessEvent::Adopted { .. }
            | ProcessEvent::Sampled { .. }
            | ProcessEvent::Notified { .. }
            | ProcessEvent::PolicyRead(_)
            | ProcessEvent::Knocked { .. }
            | ProcessEvent::Signed { .. }
            | ProcessEvent::RoundTrip { .. }
            | ProcessEvent::Summoned { .. }
            | ProcessEvent::Transfers(_)
            | ProcessEvent::Profiled(_)
            | ProcessEvent::ReignSeen(_) => {}
        }
    }
}

impl Armor for Keeper {
    type Message = DaemonMessage;
    type Record = Kept;

    fn apply(&mut self, kept: &Kept) {
        self.wanted.remove(&kept.name);
        self.kept.insert(kept.name, kept.clone());
    }

    fn handle(&mut self, _: Moment, event: Event<DaemonMessage>) -> Step<Kept> {
        let mut step = Step::none();
        match event {
            Event::Process(event) => self.process(event, &mut step),
            Event::Message { message: DaemonMessage::Ready { name, incarnation, process }, .. }
                if name != self.identity.name =>
            {
                step.record(self, Kept { name, incarnation, process: Some(process) });
                self.ready.insert(name);
            }
            Event::Message { message: DaemonMessage::Stop, .. } => {
                step.then(Effect::Process(ProcessCommand::Stop));
            }
            Event::Message { from, message: DaemonMessage::Pong(_) } => {
                step.send(from, UserMessage::Armors(self.rows()));
            }
            Event::Link(LinkEvent::Up { peer, .. }) => step.send(peer, UserMessage::Armors(self.rows())),
            _ => {}
        }
        self.assign(&mut step);
        step
    }

    fn resume(&mut self, _: Moment) -> Step<Kept> {
        let mut step = Step::none();
        for Kept { name, incarnation, process } in self.kept.values().cloned() {
            match process {
                Some(process) => step.then(Effect::Process(ProcessCommand::Adopt { name, incarnation, process })),
                None => drop(self.wanted.insert(name)),
            }
        }
        step.then(Effect::Process(ProcessCommand::Stock { blanks: 2 }));
        step
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn place(record: &Kept) -> Place {
        Place::Put(record.name.to_string())
    }
}
