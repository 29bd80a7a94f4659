//! The one shape of every ARMOR: an event comes in, a step comes out.
//!
//! A step says what must be saved and what is done once it is saved (D2: save before you speak).
//! Durable state changes only in [`Armor::apply`], so that an ARMOR restored from its records is the
//! ARMOR that died. What was not saved was never said, so nobody misses it.
//!
//! Links forget: a message to a peer whose link is not up vanishes. When a link comes up
//! ([`Event::Link`]), an ARMOR says again what that peer must know. Every message therefore may come
//! twice, and every handler is idempotent. The alternative, queues that survive both ends, would be
//! a second journal that could disagree with the first.

use crate::message::{Datagram, Message, PairKey};
use crate::names::{ArmorName, HostId, Incarnation, Millis, StageId, TaskId};
use crate::shell::Place;
use crate::world::{FileCommand, FileEvent, ProcessCommand, ProcessEvent, SlotCommand, SlotEvent};

/// The time, as an input. Decisions use differences of `boot`; `unix` only dates what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Since the host booted, the same for all its processes; goes on during suspend.
    pub boot: Millis,
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
}

/// One unit with one purpose. `M` is what others tell it, `R` what it saves.
pub trait Armor: std::fmt::Debug {
    /// What this ARMOR can be told, a closed enum of its own.
    type Message: TryFrom<Message> + std::fmt::Debug + Send;
    /// One durable change of its state.
    type Record;

    /// Makes a durable change. Called when a step is taken and again, in the same order, when the
    /// ARMOR is restored; must depend on nothing but the state and the record.
    fn apply(&mut self, record: &Self::Record);

    /// Decides what an event means.
    fn handle(&mut self, now: Moment, event: Event<Self::Message>) -> Step<Self::Record>;

    /// Called once after the records of an earlier life were applied (none at a first start), before
    /// any event: starts what must be running, such as timers and unfinished work.
    fn resume(&mut self, now: Moment) -> Step<Self::Record>;

    /// What there is to do and how much was done, for whoever watches this ARMOR.
    fn progress(&self) -> Progress;

    /// Where a record is kept: behind the others unless said otherwise.
    #[must_use]
    fn place(_record: &Self::Record) -> Place {
        Place::Append
    }
}

/// What can happen to an ARMOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<M> {
    Message {
        from: ArmorName,
        message: M,
    },
    Timer(Timer),
    /// Something about a program in a slot; Execution only.
    Slot(SlotEvent),
    /// Something about another process of this host; the daemon and the FTM only.
    Process(ProcessEvent),
    File(FileEvent),
    Link(LinkEvent),
    /// Another host's Heartbeat says something; Heartbeat only.
    Datagram {
        from: HostId,
        datagram: Datagram,
    },
}

/// The state of the link to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// The peer can be spoken to from now on; it may have forgotten or missed anything said before.
    Up { peer: ArmorName, incarnation: Incarnation },
    /// The peer cannot be reached; the link is tried again until it is up.
    Down { peer: ArmorName },
}

/// What an ARMOR wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tells a peer. If no link to it is up, one is established and the message vanishes:
    /// [`LinkEvent::Up`] is the time to say it.
    Send {
        to: ArmorName,
        message: Message,
    },
    /// Raises the timer after this long; a timer of the same name is replaced.
    SetTimer {
        timer: Timer,
        after: Millis,
    },
    CancelTimer {
        timer: Timer,
    },
    Slot(SlotCommand),
    Process(ProcessCommand),
    File(FileCommand),
    /// This peer is on this host: links to it go there from now on.
    Locate {
        name: ArmorName,
        host: HostId,
    },
    /// Closes the link to a peer for good and stops trying.
    Forget {
        peer: ArmorName,
    },
    /// The peer lives elsewhere now: the link to its earlier life, which may look alive, is closed and
    /// another one established.
    Renew {
        peer: ArmorName,
    },
    /// Datagrams to and from this host are authenticated by this key from now on.
    Acquaint {
        host: HostId,
        key: PairKey,
    },
    /// Tells another host's Heartbeat; may be lost, and nobody says so.
    Datagram {
        to: HostId,
        datagram: Datagram,
    },
}

/// A timer is a named intention: one of a name at a time, harmless if it comes late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The daemon asks every ARMOR how it fares; an Execution asks every slot; a Heartbeat beats.
    Beat,
    /// The job's time is up.
    Deadline,
    /// A task that ended abnormally is started again.
    Restart(StageId, TaskId),
    /// The lanes still running after a decided vote have had their time.
    Patience(StageId, TaskId),
    /// A lane held back by our own quota has waited long enough for the others.
    Backpressure,
    /// An ARMOR that died is started again.
    Restore(ArmorName),
    /// What was decided but not acknowledged is said again.
    Remind,
    /// Small things that were waiting to be sent together.
    Flush,
    /// Every ARMOR looks whether the daemon of its host is well.
    Guard,
    /// It is time to decide what the silence of a host means.
    Judge(HostId),
    /// Hosts that have joined are to be looked over.
    Profile,
    /// An FTM that several candidates may have is to say that it reigns.
    Reign,
    /// A host in quarantine is to be tested, or its test took too long.
    Parole(HostId),
    /// A lost host is to be tried.
    Revive(HostId),
}

/// What must be saved, and what is done once it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<R> {
    pub save: Option<Save<R>>,
    pub then: Vec<Effect>,
}

/// Records, and how much must survive them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Save<R> {
    /// Written: survives the death of every process, not a loss of power.
    Process(Vec<R>),
    /// Synced to the disk: survives a loss of power.
    Disk(Vec<R>),
}

/// What an ARMOR answers when it is asked how it fares. It lives but does not work when `pending` is
/// not zero and `done` stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Progress {
    /// Grows with every piece of work done; starts anywhere.
    #[n(0)]
    pub done: u64,
    /// Pieces of work that this ARMOR could do now, waiting for nobody.
    #[n(1)]
    pub pending: u64,
}

impl<R> Default for Step<R> {
    fn default() -> Self {
        Step { save: None, then: Vec::new() }
    }
}

impl<R> Step<R> {
    /// Nothing to save, nothing to do.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an effect.
    pub fn then(&mut self, effect: Effect) {
        self.then.push(effect);
    }

    /// Adds a message.
    pub fn send(&mut self, to: ArmorName, message: impl Into<Message>) {
        self.then.push(Effect::Send { to, message: message.into() });
    }

    /// Adds a timer.
    pub fn timer(&mut self, timer: Timer, after: Millis) {
        self.then.push(Effect::SetTimer { timer, after });
    }

    /// Adds a datagram.
    pub fn datagram(&mut self, to: HostId, datagram: Datagram) {
        self.then.push(Effect::Datagram { to, datagram });
    }

    /// Applies a record to the ARMOR and notes it for saving; it survives the death of the process.
    pub fn record<A: Armor<Record = R>>(&mut self, armor: &mut A, record: R) {
        armor.apply(&record);
        match &mut self.save {
            Some(Save::Process(records) | Save::Disk(records)) => records.push(record),
            None => self.save = Some(Save::Process(vec![record])),
        }
    }

    /// As [`Step::record`], and the whole step waits until the disk has it.
    pub fn record_on_disk<A: Armor<Record = R>>(&mut self, armor: &mut A, record: R) {
        self.record(armor, record);
        if let Some(Save::Process(records)) = self.save.take_if(|save| matches!(save, Save::Process(_))) {
            self.save = Some(Save::Disk(records));
        }
    }

    /// Adds all of another step behind this one.
    pub fn append(&mut self, other: Step<R>) {
        self.then.extend(other.then);
        self.save = match (self.save.take(), other.save) {
            (None, save) | (save, None) => save,
            (Some(Save::Process(mut first)), Some(Save::Process(second))) => {
                first.extend(second);
                Some(Save::Process(first))
            }
            (
                Some(Save::Process(mut first) | Save::Disk(mut first)),
                Some(Save::Process(second) | Save::Disk(second)),
            ) => {
                first.extend(second);
                Some(Save::Disk(first))
            }
        };
    }
}
