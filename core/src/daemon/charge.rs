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
use crate::world::ProcessMark;

/// A durable change of what a daemon knows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DaemonRecord {
    /// The highest term seen.
    #[n(0)]
    Term(#[n(0)] Term),
    /// This ARMOR is to run here, from this incarnation on, up to the granted one. An earlier life
    /// that still runs must end first.
    #[n(1)]
    Installed {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        granted: Incarnation,
    },
    /// This incarnation runs, or ran, as this process.
    #[n(2)]
    Assigned {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        process: ProcessMark,
    },
    #[n(3)]
    Retiring {
        #[n(0)]
        name: ArmorName,
    },
    #[n(4)]
    Retired {
        #[n(0)]
        name: ArmorName,
    },
    /// It could not be kept running, and is not tried again unless it is installed again.
    #[n(5)]
    Lost {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        why: String,
    },
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
    /// It was judged hung; its end is awaited.
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
    /// It is to go for good; the end of its process, if it has one, is awaited.
    Retiring {
        process: Option<ProcessMark>,
    },
    Lost {
        why: String,
    },
}

impl Charge {
    #[must_use]
    pub fn new(incarnation: Incarnation, granted: Incarnation) -> Self {
        Charge { incarnation, floor: incarnation, granted, short_lives: 0, died: None, state: State::Waiting }
    }

    /// It is installed again: a life that runs must end first.
    pub fn install(&mut self, incarnation: Incarnation, granted: Incarnation) {
        self.floor = self.floor.max(incarnation);
        self.granted = self.granted.max(granted);
        match self.state {
            State::Waiting | State::Resting | State::Lost { .. } => {
                *self = Charge { died: self.died, ..Charge::new(self.floor, self.granted) };
            }
            State::Starting { .. }
            | State::Running { .. }
            | State::Killed { .. }
            | State::Adopting { .. }
            | State::Retiring { .. } => {}
        }
    }

    /// Its process, unless it has none now.
    #[must_use]
    pub fn process(&self) -> Option<&ProcessMark> {
        match &self.state {
            State::Starting { process, .. }
            | State::Running { process, .. }
            | State::Killed { process, .. }
            | State::Adopting { process } => Some(process),
            State::Retiring { process } => process.as_ref(),
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
