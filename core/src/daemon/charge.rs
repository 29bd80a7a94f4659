//! An ARMOR in a daemon's charge, and what the daemon saves of it.
//!
//! ```text
//!                     blank there            Ready
//!   Install ─► Waiting ──────────► Starting ───────► Running
//!                 ▲                 │   ▲               │
//!                 │ wait over       │   │ Adopted       ├─ hung: Kill ─► Killed
//!              Resting ◄── Exited ──┴───┼───────────────┴────── Exited ────┘
//!                 │                     │
//!                 └─ limit ─► Lost   Adopting ◄─ the daemon's next life
//!
//!   any ── Retire ─► Retiring ── Exited ─► cleaned and forgotten
//! ```

use minicbor::{Decode, Encode};

use crate::daemon::watch::Watch;
use crate::message::Unit;
use crate::names::{ArmorName, Incarnation, Millis, Term};
use crate::shell::Place;
use crate::world::{ProcessMark, SecondHome};

/// A durable change of what a daemon knows. There is one living record an ARMOR: a host on which a
/// million jobs ran remembers those that are there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DaemonRecord {
    /// The highest term seen.
    #[n(0)]
    Term(#[n(0)] Term),
    #[n(1)]
    Charge(#[n(0)] ChargeRecord),
    #[n(2)]
    Retired {
        #[n(0)]
        name: ArmorName,
    },
    /// Since when, after boot, the FTM has been out of reach.
    #[n(120)]
    CutOff(#[n(0)] Option<Millis>),
}

impl DaemonRecord {
    #[must_use]
    pub fn place(&self) -> Place {
        let armor = |name: &ArmorName| format!("armor/{name}");
        match self {
            DaemonRecord::CutOff(_) => Place::Put("cut-off".to_owned()),
            DaemonRecord::Term(_) => Place::Put("term".to_owned()),
            DaemonRecord::Charge(record) => Place::Put(armor(&record.name)),
            DaemonRecord::Retired { name } => Place::Delete(armor(name)),
        }
    }
}

/// What the next life of the daemon must know of an ARMOR.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ChargeRecord {
    #[n(0)]
    pub name: ArmorName,
    #[n(1)]
    pub incarnation: Incarnation,
    #[n(2)]
    pub floor: Incarnation,
    #[n(3)]
    pub granted: Incarnation,
    #[n(4)]
    pub kept: Kept,
    #[n(61)]
    pub mirror: Option<SecondHome>,
}

impl ChargeRecord {
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant { incarnation: self.incarnation, granted: self.granted, mirror: self.mirror }
    }
}

/// What the FTM grants with an ARMOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Its next life, and the last one that it may be given without asking.
    pub incarnation: Incarnation,
    pub granted: Incarnation,
    /// What it saves is saved by the Mirror of its job as well.
    pub mirror: Option<SecondHome>,
}

/// The states that outlive the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Kept {
    /// It is to run.
    #[n(0)]
    Installed,
    /// Its incarnation runs, or ran, as this process.
    #[n(1)]
    Assigned(#[n(0)] ProcessMark),
    /// This process of it is to go, and then all that it kept.
    #[n(2)]
    Retiring(#[n(0)] ProcessMark),
    /// It could not be kept running, and is not tried again unless it is installed again.
    #[n(3)]
    Lost(#[n(0)] String),
}

/// An ARMOR that this daemon answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The life it is in, or the next one if no process has it.
    pub incarnation: Incarnation,
    /// The next life is at least this one.
    pub floor: Incarnation,
    /// The last life that it may be given without asking.
    pub granted: Incarnation,
    /// What it saves is saved by the Mirror of its job as well.
    pub mirror: Option<SecondHome>,
    /// Short lives in a row.
    pub short_lives: u32,
    /// When the last death was noticed, until the ARMOR is ready again.
    pub died: Option<Millis>,
    pub state: State,
}

/// Where an ARMOR is in its life on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// For a blank process.
    Waiting,
    /// It was given its name and restores its state.
    Starting {
        process: ProcessMark,
        since: Millis,
        watch: Watch,
    },
    /// It can be reached and is asked how it fares.
    Running {
        process: ProcessMark,
        since: Millis,
        watch: Watch,
        restored_after: Option<Millis>,
    },
    /// It was judged hung, or is to have another life; its end is awaited.
    Killed {
        process: ProcessMark,
        lived: Millis,
    },
    /// It died too soon too often, and waits to be started again.
    Resting,
    /// An earlier life of the daemon started it; whether it still runs is being looked up.
    Adopting {
        process: ProcessMark,
    },
    /// It is to go for good; the end of its process is awaited.
    Retiring {
        process: ProcessMark,
    },
    Lost {
        why: String,
    },
}

impl Charge {
    /// One that was just installed.
    #[must_use]
    pub fn new(grant: Grant) -> Self {
        let Grant { incarnation, granted, mirror } = grant;
        let state = State::Waiting;
        Charge { incarnation, floor: incarnation, granted, mirror, short_lives: 0, died: None, state }
    }

    /// What is kept of it as it stands.
    #[must_use]
    pub fn record(&self, name: ArmorName) -> ChargeRecord {
        let (incarnation, floor, granted, mirror) = (self.incarnation, self.floor, self.granted, self.mirror);
        ChargeRecord { name, incarnation, floor, granted, mirror, kept: self.kept() }
    }

    fn kept(&self) -> Kept {
        match &self.state {
            State::Waiting | State::Resting => Kept::Installed,
            State::Starting { process, .. }
            | State::Running { process, .. }
            | State::Killed { process, .. }
            | State::Adopting { process } => Kept::Assigned(process.clone()),
            State::Retiring { process } => Kept::Retiring(process.clone()),
            State::Lost { why } => Kept::Lost(why.clone()),
        }
    }

    /// Takes over a record. Where that says nothing new about the state, what is known beyond it stays.
    pub fn restore(&mut self, record: &ChargeRecord) {
        (self.incarnation, self.floor, self.granted) = (record.incarnation, record.floor, record.granted);
        self.mirror = record.mirror;
        if self.kept() != record.kept {
            self.state = match &record.kept {
                Kept::Installed => State::Waiting,
                Kept::Assigned(process) => State::Adopting { process: process.clone() },
                Kept::Retiring(process) => State::Retiring { process: process.clone() },
                Kept::Lost(why) => State::Lost { why: why.clone() },
            };
        }
    }

    /// Its process, unless it has none now.
    #[must_use]
    pub fn process(&self) -> Option<&ProcessMark> {
        match &self.state {
            State::Starting { process, .. }
            | State::Running { process, .. }
            | State::Killed { process, .. }
            | State::Adopting { process }
            | State::Retiring { process } => Some(process),
            State::Waiting | State::Resting | State::Lost { .. } => None,
        }
    }

    /// As the FTM is told of it; with pid 0 while it does not run.
    #[must_use]
    pub fn unit(&self, name: ArmorName) -> Unit {
        let (pid, restored_after) = match &self.state {
            State::Running { process, restored_after, .. } => (process.pid, *restored_after),
            _ => (0, None),
        };
        Unit { name, incarnation: self.incarnation, pid, restored_after_ms: restored_after.map(|after| after.0) }
    }

    /// How long it was ready before it ended at `now`.
    #[must_use]
    pub fn lived(&self, now: Millis) -> Millis {
        match &self.state {
            State::Running { since, .. } => now.since(*since),
            State::Killed { lived, .. } => *lived,
            State::Waiting
            | State::Starting { .. }
            | State::Resting
            | State::Adopting { .. }
            | State::Retiring { .. }
            | State::Lost { .. } => Millis(0),
        }
    }
}
