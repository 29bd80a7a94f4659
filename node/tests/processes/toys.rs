//! Two small ARMORs: a counter that saves each number before it says how many there were, and a daemon
//! that keeps counters running. They go by the names of SMs, whom users may tell numbers; one goes by that of
//! the FTM, for which whoever starts a system waits.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step};
use chameleon_core::message::{DaemonMessage, SurrogateMessage, UserMessage};
use chameleon_core::names::{ArmorName, Incarnation, JobId};
use chameleon_core::shell::{Identity, Place, Running, Shell};
use chameleon_core::world::{ProcessCommand, ProcessEvent, ProcessMark};
use minicbor::{Decode, Encode};

/// How many counters the daemon keeps: three SMs by name, and an FTM.
pub const COUNTERS: usize = 4;

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
    type Message = SurrogateMessage;
    type Record = u64;

    fn apply(&mut self, number: &u64) {
        self.count += 1;
        self.last = *number;
    }

    fn handle(&mut self, _: Moment, event: Event<SurrogateMessage>) -> Step<u64> {
        let mut step = Step::none();
        match event {
            Event::Message { from, message: SurrogateMessage::Consumed { upto } } => {
                self.users.insert(from);
                match upto % 2 {
                    0 => step.record(self, upto),
                    _ => step.record_on_disk(self, upto),
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

/// What the daemon saves about a counter; its process once that has said that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    #[n(0)]
    pub name: ArmorName,
    #[n(1)]
    pub incarnation: Incarnation,
    #[n(2)]
    pub process: Option<ProcessMark>,
}

/// Installs the counters and restores those that die.
#[derive(Debug)]
struct Keeper {
    identity: Identity,
    kept: BTreeMap<ArmorName, Kept>,
    blanks: BTreeSet<u32>,
    wanted: BTreeSet<ArmorName>,
}

impl Keeper {
    fn new(identity: Identity) -> Keeper {
        let (kept, blanks) = Default::default();
        let wanted = (1..COUNTERS as u64).map(|job| ArmorName::Surrogate(JobId(job))).chain([ArmorName::Ftm]).collect();
        Keeper { identity, kept, blanks, wanted }
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

    fn process(&mut self, event: ProcessEvent, step: &mut Step<Kept>) {
        match event {
            ProcessEvent::Blank { process } => drop(self.blanks.insert(process.pid)),
            ProcessEvent::BlankLost { pid } => drop(self.blanks.remove(&pid)),
            ProcessEvent::Exited { name, incarnation } => {
                if self.kept.get(&name).is_some_and(|kept| kept.incarnation == incarnation) {
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
            | ProcessEvent::BackedUp { .. }
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
            }
            Event::Message { message: DaemonMessage::Stop, .. } => {
                step.then(Effect::Process(ProcessCommand::Stop));
            }
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
