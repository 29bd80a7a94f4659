//! What surrounds every ARMOR, the same in the simulator and on a real machine.
//!
//! The shell keeps the rule of D2: effects are released in the order of their steps, each when its
//! save has completed, while later events are handled meanwhile. It drops what a peer's earlier
//! incarnation still says, answers the daemon's pulse, and guards the daemon in turn. Of an ARMOR that has a Mirror, a
//! save has completed when that has it, too (see [`crate::elements::copying`]).

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Save, Step, Timer};
use crate::elements::copying::{Copying, News};
use crate::elements::guardian::Guardian;
use crate::message::{DaemonMessage, Datagram, Message, Vitals, may_say};
use crate::names::{ArmorName, HostId, Incarnation};
use crate::world::{FileEvent, ProcessEvent, SecondHome, SlotEvent};

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
    /// What it saves is saved by the Mirror of its job as well.
    pub mirror: Option<SecondHome>,
    /// Of a daemon: its host is one of several that may have the FTM, a candidate. Of an FTM: it was given its term by
    /// their store, and that is its incarnation.
    pub elected: bool,
}

#[cfg(test)]
impl Identity {
    /// Of a first life on a host with two CPUs, without a Mirror and given no term; for tests.
    pub fn of_test(name: ArmorName, host: HostId) -> Identity {
        Identity { name, incarnation: Incarnation(1), host, cores: 2, seed: [0; 32], mirror: None, elected: false }
    }
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
    copying: Option<Copying>,
    /// What waits for no save of an ARMOR with a Mirror: what is said to that, for which saves wait, and to the daemon, since
    /// to wait for another host is not to hang.
    aside: Vec<Effect>,
    /// What came while the copy was not open.
    early: Vec<Event<A::Message>>,
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
        let Shell { identity, armor, guardian, copying, aside, early, peers, links, waiting, next_save, handled: _ } =
            self;
        write!(f, "{identity:?} {armor:?} {guardian:?} {copying:?} {aside:?} {early:?} ")?;
        write!(f, "{peers:?} {links:?} {waiting:?} {next_save}")
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
        let homes = identity.name.job().zip(identity.mirror);
        let copying =
            homes.map(|(job, home)| Copying::new(identity.name, job, identity.incarnation, identity.host, home));
        Shell {
            identity,
            armor,
            guardian,
            copying,
            aside: Vec::new(),
            early: Vec::new(),
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
                let news = match &mut self.copying {
                    Some(copying) => copying.saved_here(number),
                    None => News::Completed(number),
                };
                return self.copied(now, news);
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
                if let (LinkEvent::Up { peer, .. }, Some(copying)) = (event, &self.copying) {
                    copying.up(peer, &mut self.aside);
                }
                return self.with(step, now, Event::Link(event));
            }
            Input::Timer(timer) => Event::Timer(timer),
            Input::Slot(event) => Event::Slot(event),
            Input::File(event) => Event::File(event),
            Input::Datagram { from, datagram } => Event::Datagram { from, datagram },
        };
        self.give(now, event)
    }

    /// Gives the ARMOR an event, once it knows all that it ever saved.
    fn give(&mut self, now: Moment, event: Event<A::Message>) -> Step<A::Record> {
        if self.copying.as_ref().is_none_or(Copying::is_open) {
            return self.armor.handle(now, event);
        }
        self.early.push(event);
        Step::none()
    }

    /// Does what follows from a word of the Mirror, or from a save of this host.
    fn copied(&mut self, now: Moment, news: News) -> Step<A::Record> {
        let mut step = Step::none();
        match news {
            News::Nothing => {}
            News::Completed(number) => self.saved(number),
            News::Opened(lacked) => {
                for bytes in lacked {
                    let record = minicbor::decode(&bytes).expect("what was saved elsewhere can be read here");
                    step.record_on_disk(&mut self.armor, record);
                }
                step.append(self.armor.resume(now));
                for event in std::mem::take(&mut self.early) {
                    step.append(self.armor.handle(now, event));
                }
            }
        }
        step
    }

    fn with(&mut self, mut step: Step<A::Record>, now: Moment, event: Event<A::Message>) -> Step<A::Record> {
        step.append(self.give(now, event));
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
            // It waits for another host, which is no fault of its own.
            if self.copying.as_ref().is_some_and(Copying::waits) {
                progress.pending = 0;
            }
            let vitals = Vitals { incarnation: self.identity.incarnation, beat: pulse.beat, progress };
            let pong = Effect::Send { to: from, message: DaemonMessage::Pong(vitals).into() };
            match &self.copying {
                Some(_) => self.aside.push(pong),
                None => step.then(pong),
            }
            return step;
        }
        self.handled += 1;
        if let (Message::Copy(message), Some(copying)) = (&message, &mut self.copying) {
            let news = copying.heard(message.clone(), &mut self.aside);
            return self.copied(now, news);
        }
        match message.try_into() {
            Ok(message) => self.give(now, Event::Message { from, message }),
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
        if let (Some(request), Some(copying)) = (&request, &mut self.copying) {
            let records = request.records.iter().map(|record| record.bytes.clone()).collect();
            copying.add(request.number, request.to_disk, records, &mut self.aside);
        }
        let mut effects = std::mem::take(&mut self.aside);
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
        if let Some(copying) = &mut self.copying {
            copying.restored(records);
        }
        Ok(())
    }

    fn resume(&mut self, now: Moment) -> Output {
        let mut step = self.guard(|guardian, effects| guardian.start(now, effects));
        match &self.copying {
            Some(copying) => copying.begin(&mut self.aside),
            None => step.append(self.armor.resume(now)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::armor::Progress;
    use crate::message::{CopyMessage, FtmMessage, MirrorMessage, RecordBytes, SurrogateMessage};
    use crate::names::{JobId, Millis};

    const JOB: JobId = JobId(1);
    const NOW: Moment = Moment { boot: Millis(0), unix_ms: 0 };

    /// Counts what it hears; says each number once that is saved.
    #[derive(Debug, Default)]
    struct Count(u64);

    impl Armor for Count {
        type Message = SurrogateMessage;
        type Record = u64;

        fn apply(&mut self, record: &u64) {
            self.0 = *record;
        }

        fn handle(&mut self, _now: Moment, event: Event<SurrogateMessage>) -> Step<u64> {
            let mut step = Step::none();
            if let Event::Message { .. } = event {
                step.record(self, self.0 + 1);
                step.send(ArmorName::Ftm, said(self.0));
            }
            step
        }

        fn resume(&mut self, _now: Moment) -> Step<u64> {
            Step::none()
        }

        fn progress(&self) -> Progress {
            Progress { done: self.0, pending: 1 }
        }
    }

    fn said(number: u64) -> FtmMessage {
        FtmMessage::Happened { job: JOB, first: number, occurrences: Vec::new() }
    }

    fn shell(mirror: Option<SecondHome>) -> Shell<Count> {
        let identity = Identity { cores: 1, mirror, ..Identity::of_test(ArmorName::Surrogate(JOB), HostId(1)) };
        let mut shell = Shell::new(identity, Count::default());
        shell.guardian = None;
        shell
    }

    fn with_mirror() -> Shell<Count> {
        let mut shell = shell(Some(SecondHome { host: HostId(2), moved: false }));
        let open = MirrorMessage::Open { life: Incarnation(1), have: 0, host: HostId(1) };
        assert_eq!(sent(&shell.resume(NOW)), [(ArmorName::Mirror(JOB), open.into())]);
        shell
    }

    fn tells(shell: &mut Shell<Count>, from: ArmorName, message: impl Into<Message>) -> Output {
        shell.handle(NOW, Input::Message { from, incarnation: Incarnation(1), message: message.into() })
    }

    fn hears(shell: &mut Shell<Count>) -> Output {
        tells(shell, ArmorName::Ftm, SurrogateMessage::EndKept)
    }

    fn copy(shell: &mut Shell<Count>, records: &[u64]) -> Output {
        let bytes = |record: &u64| RecordBytes(minicbor::to_vec(record).unwrap());
        let (count, records) = (records.len() as u64, records.iter().map(bytes).collect());
        let copy = CopyMessage::Copy { life: Incarnation(1), count, first: 0, records, needed: 0 };
        tells(shell, ArmorName::Mirror(JOB), copy)
    }

    fn kept(shell: &mut Shell<Count>, next: u64) -> Output {
        tells(shell, ArmorName::Mirror(JOB), CopyMessage::Kept { life: Incarnation(1), next })
    }

    fn keep(first: u64) -> (ArmorName, Message) {
        let records = vec![RecordBytes(minicbor::to_vec(first + 1).unwrap())];
        let keep = MirrorMessage::Keep { life: Incarnation(1), first, records, to_disk: false };
        (ArmorName::Mirror(JOB), keep.into())
    }

    fn again(first: u64) -> (ArmorName, Message) {
        let (mirror, message) = keep(first);
        let Message::Mirror(MirrorMessage::Keep { life, first, records, .. }) = message else { unreachable!() };
        (mirror, MirrorMessage::Keep { life, first, records, to_disk: true }.into())
    }

    fn sent(output: &Output) -> Vec<(ArmorName, Message)> {
        let send = |effect: &Effect| match effect {
            Effect::Send { to, message } => Some((*to, message.clone())),
            _ => None,
        };
        output.effects.iter().filter_map(send).collect()
    }

    fn to_ftm(number: u64) -> (ArmorName, Message) {
        (ArmorName::Ftm, said(number).into())
    }

    #[test]
    fn a_save_has_completed_when_both_hosts_have_it() {
        for mirror_is_first in [false, true] {
            let mut shell = with_mirror();
            assert_eq!(copy(&mut shell, &[]), Output::default());
            let output = hears(&mut shell);
            assert!(output.save.is_some());
            assert_eq!(sent(&output), [keep(0)], "at once, and nothing else");
            let here = |shell: &mut Shell<Count>| shell.handle(NOW, Input::Saved(0));
            let (first, second) = match mirror_is_first {
                true => (kept(&mut shell, 1), here(&mut shell)),
                false => (here(&mut shell), kept(&mut shell, 1)),
            };
            assert_eq!((sent(&first), sent(&second)), (vec![], vec![to_ftm(1)]));
        }
    }

    #[test]
    fn what_comes_before_the_copy_is_open_is_handled_with_all_that_was_saved() {
        let mut shell = with_mirror();
        assert_eq!(hears(&mut shell), Output::default());
        let output = copy(&mut shell, &[7, 8]);
        assert_eq!(shell.armor().0, 9);
        let save = output.save.clone().unwrap();
        assert_eq!((save.records.len(), save.to_disk), (3, true), "the next life here has all of it, too");
        assert_eq!(sent(&output).len(), 1, "of which the Mirror lacks one");
        assert_eq!(sent(&shell.handle(NOW, Input::Saved(0))), []);
        assert_eq!(sent(&kept(&mut shell, 3)), [to_ftm(9)]);
    }

    #[test]
    fn what_the_mirror_did_not_confirm_is_said_again_though_all_else_waits_for_it() {
        let mut shell = with_mirror();
        copy(&mut shell, &[]);
        hears(&mut shell);
        shell.handle(NOW, Input::Saved(0));
        let up = LinkEvent::Up { peer: ArmorName::Mirror(JOB), incarnation: Incarnation(2) };
        assert_eq!(sent(&shell.handle(NOW, Input::Link(up))), [again(0)]);
    }

    #[test]
    fn one_that_waits_for_its_mirror_does_not_stand_still() {
        let mut shell = with_mirror();
        let pending = |shell: &mut Shell<Count>| {
            let pulse = crate::message::Pulse { beat: 1 };
            match sent(&tells(shell, ArmorName::Daemon(HostId(1)), pulse)).pop() {
                Some((_, Message::Daemon(DaemonMessage::Pong(vitals)))) => vitals.progress.pending,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(pending(&mut shell), 0);
        copy(&mut shell, &[]);
        assert_eq!(pending(&mut shell), 1);
    }

    #[test]
    fn without_a_mirror_a_save_is_one_of_this_host() {
        let mut shell = shell(None);
        assert_eq!(shell.resume(NOW), Output::default());
        assert_eq!(sent(&hears(&mut shell)), []);
        assert_eq!(sent(&shell.handle(NOW, Input::Saved(0))), [to_ftm(1)]);
    }
}
