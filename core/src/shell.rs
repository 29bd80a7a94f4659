//! What surrounds every ARMOR, the same in the simulator and on a real machine.
//!
//! The shell keeps the rule of D2: effects are released in the order of their steps, each when its
//! save has completed, while later events are handled meanwhile. It drops what a peer's earlier
//! incarnation still says, answers the daemon's pulse, and guards the daemon in turn.

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Save, Step, Timer};
use crate::elements::guardian::Guardian;
use crate::message::{DaemonMessage, Datagram, Message, Vitals, may_say};
use crate::names::{ArmorName, HostId, Incarnation};
use crate::world::{FileEvent, ProcessEvent, SlotEvent};

/// Who an ARMOR is, given to it at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: ArmorName,
    pub incarnation: Incarnation,
    pub host: HostId,
    /// CPUs of the host.
    pub cores: u16,
    /// Random, from which the ARMOR's signing key is made; another one in each life.
    pub seed: [u8; 32],
}

/// What reaches an ARMOR from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Message {
        from: ArmorName,
        incarnation: Incarnation,
        message: Message,
    },
    Timer(Timer),
    Slot(SlotEvent),
    Process(ProcessEvent),
    File(FileEvent),
    Link(LinkEvent),
    Datagram {
        from: HostId,
        datagram: Datagram,
    },
    /// The save of this number has completed, and so have all before it.
    Saved(u64),
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    pub save: Option<SaveRequest>,
    pub effects: Vec<Effect>,
}

/// Records to be saved; answered by [`Input::Saved`] with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveRequest {
    pub number: u64,
    /// Synced to the disk, and not only written.
    pub to_disk: bool,
    pub records: Vec<Saved>,
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub place: Place,
    /// The record, encoded; empty for a deletion.
    pub bytes: Vec<u8>,
}

/// How a record relates to earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Behind all others: a journal.
    Append,
    /// Instead of the one of the same key: a store. Restored in order of keys.
    Put(String),
    /// The one of this key goes.
    Delete(String),
}

/// A record that cannot be read: the save is damaged or of a newer version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of {name} cannot be read: {why}")]
pub struct BadRecord {
    pub name: ArmorName,
    pub index: usize,
    pub why: String,
}

/// An ARMOR of any kind in its shell. How it debugs is how it stands: two that debug alike do alike.
pub trait Running: std::fmt::Debug + Send {
    /// Applies the records of earlier lives, in order, before anything else.
    ///
    /// # Errors
    /// The first record that cannot be read; the ARMOR must then not be used.
    fn restore(&mut self, records: &[Vec<u8>]) -> Result<(), BadRecord>;
    /// Called once after restoring, before any input.
    fn resume(&mut self, now: Moment) -> Output;
    fn handle(&mut self, now: Moment, input: Input) -> Output;
    fn identity(&self) -> &Identity;
}

/// The shell of one ARMOR.
pub struct Shell<A: Armor> {
    identity: Identity,
    armor: A,
    guardian: Option<Guardian>,
    peers: BTreeMap<ArmorName, Incarnation>,
    /// The lives of peers to which a link is up.
    links: BTreeMap<ArmorName, Incarnation>,
    waiting: VecDeque<Waiting>,
    next_save: u64,
    /// Inputs handled: progress that the ARMOR itself does not count.
    handled: u64,
}

/// Without how much it handled: that is told in pulses, and decides nothing.
impl<A: Armor> std::fmt::Debug for Shell<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shell { identity, armor, guardian, peers, links, waiting, next_save, handled: _ } = self;
        write!(f, "{identity:?} {armor:?} {guardian:?} {peers:?} {links:?} {waiting:?} {next_save}")
    }
}

#[derive(Debug)]
struct Waiting {
    /// `None`: nothing of its own to wait for, only its turn.
    save: Option<u64>,
    effects: Vec<Effect>,
}

impl<A: Armor> Shell<A>
where
    A::Record: Encode<()> + for<'b> Decode<'b, ()>,
{
    /// An ARMOR with no past, guarding its host's daemon unless it is that daemon.
    pub fn new(identity: Identity, armor: A) -> Self {
        let daemon = ArmorName::Daemon(identity.host);
        let guardian = (identity.name != daemon).then(|| Guardian::new(daemon));
        Shell {
            identity,
            armor,
            guardian,
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_save: 0,
            handled: 0,
        }
    }

    /// The ARMOR inside, for tests and invariants.
    pub fn armor(&self) -> &A {
        &self.armor
    }

    fn event(&mut self, now: Moment, input: Input) -> Step<A::Record> {
        let event = match input {
            Input::Message { from, incarnation, message } => return self.message(now, from, incarnation, message),
            Input::Saved(number) => {
                self.saved(number);
                return Step::none();
            }
            Input::Timer(Timer::Guard) => return self.guard(|guardian, step| guardian.look(now, step)),
            Input::Process(event) => {
                let step = self.guard(|guardian, step| guardian.process(now, &event, step));
                return self.with(step, now, Event::Process(event));
            }
            Input::Link(event) => {
                match event {
                    LinkEvent::Up { peer, incarnation } => {
                        let known = self.peers.entry(peer).or_default();
                        *known = incarnation.max(*known);
                        self.links.insert(peer, incarnation);
                    }
                    LinkEvent::Down { peer } => drop(self.links.remove(&peer)),
                }
                let step = self.guard(|guardian, step| guardian.link(now, event, step));
                return self.with(step, now, Event::Link(event));
            }
            Input::Timer(timer) => Event::Timer(timer),
            Input::Slot(event) => Event::Slot(event),
            Input::File(event) => Event::File(event),
            Input::Datagram { from, datagram } => Event::Datagram { from, datagram },
        };
        self.armor.handle(now, event)
    }

    fn with(&mut self, mut step: Step<A::Record>, now: Moment, event: Event<A::Message>) -> Step<A::Record> {
        step.append(self.armor.handle(now, event));
        step
    }

    fn guard(&mut self, act: impl FnOnce(&mut Guardian, &mut Vec<Effect>)) -> Step<A::Record> {
        let mut step = Step::none();
        if let Some(guardian) = &mut self.guardian {
            act(guardian, &mut step.then);
        }
        step
    }

    /// A peer speaks whose earlier life our own link still leads to, on a host that may be frozen or cut
    /// off and never closes it: another link is made.
    fn follow(&mut self, from: ArmorName, incarnation: Incarnation, step: &mut Step<A::Record>) {
        if self.links.get(&from).is_some_and(|linked| *linked < incarnation) {
            self.links.remove(&from);
            step.then(Effect::Renew { peer: from });
        }
    }

    fn message(&mut self, now: Moment, from: ArmorName, incarnation: Incarnation, message: Message) -> Step<A::Record> {
        if !may_say(from, &message) {
            return Step::none();
        }
        let mut step = Step::none();
        self.follow(from, incarnation, &mut step);
        step.append(self.hear(now, from, incarnation, message));
        step
    }

    fn hear(&mut self, now: Moment, from: ArmorName, incarnation: Incarnation, message: Message) -> Step<A::Record> {
        let known = self.peers.entry(from).or_default();
        if incarnation < *known && !message.counts_late() {
            return Step::none();
        }
        *known = incarnation.max(*known);
        if let Message::Pulse(pulse) = message {
            let mut step = self.guard(|guardian, _| guardian.heard(now));
            let mut progress = self.armor.progress();
            progress.done += self.handled;
            let vitals = Vitals { incarnation: self.identity.incarnation, beat: pulse.beat, progress };
            step.send(from, DaemonMessage::Pong(vitals));
            return step;
        }
        self.handled += 1;
        match message.try_into() {
            Ok(message) => self.armor.handle(now, Event::Message { from, message }),
            Err(_misdelivered) => Step::none(),
        }
    }

    /// Queues a step behind those that still wait, and releases what may go.
    fn queue(&mut self, step: Step<A::Record>) -> Output {
        let request = step.save.map(|save| self.request(save));
        let number = request.as_ref().map(|request| request.number);
        if number.is_some() || !step.then.is_empty() {
            self.waiting.push_back(Waiting { save: number, effects: step.then });
        }
        let mut effects = Vec::new();
        while self.waiting.front().is_some_and(|first| first.save.is_none()) {
            effects.extend(self.waiting.pop_front().into_iter().flat_map(|first| first.effects));
        }
        Output { save: request, effects }
    }

    fn request(&mut self, save: Save<A::Record>) -> SaveRequest {
        let (to_disk, records) = match save {
            Save::Process(records) => (false, records),
            Save::Disk(records) => (true, records),
        };
        let number = self.next_save;
        self.next_save += 1;
        let saved = |record: &A::Record| match A::place(record) {
            Place::Delete(key) => Saved { place: Place::Delete(key), bytes: Vec::new() },
            place => Saved { place, bytes: minicbor::to_vec(record).expect("writing to memory cannot fail") },
        };
        SaveRequest { number, to_disk, records: records.iter().map(saved).collect() }
    }

    fn saved(&mut self, number: u64) {
        for waiting in &mut self.waiting {
            if waiting.save.is_some_and(|save| save <= number) {
                waiting.save = None;
            }
        }
    }
}

impl<A: Armor + Send> Running for Shell<A>
where
    A::Record: Encode<()> + for<'b> Decode<'b, ()>,
{
    fn restore(&mut self, records: &[Vec<u8>]) -> Result<(), BadRecord> {
        for (index, bytes) in records.iter().enumerate() {
            let record = minicbor::decode(bytes).map_err(|error| BadRecord {
                name: self.identity.name,
                index,
                why: error.to_string(),
            })?;
            self.armor.apply(&record);
        }
        Ok(())
    }

    fn resume(&mut self, now: Moment) -> Output {
        let mut step = self.guard(|guardian, effects| guardian.start(now, effects));
        step.append(self.armor.resume(now));
        self.queue(step)
    }

    fn handle(&mut self, now: Moment, input: Input) -> Output {
        let step = self.event(now, input);
        self.queue(step)
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }
}
