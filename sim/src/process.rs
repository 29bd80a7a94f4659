//! Invented processes: what runs in each, how it fares, and what waits to be looked at by it.

use std::collections::{BTreeMap, VecDeque};

use chameleon_core::armor::Timer;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::{Identity, Input, Running, SaveRequest};
use chameleon_core::world::{ProcessMark, ProcessSample};

use crate::cluster::Caller;
use crate::network::Connection;
use crate::user::Command;

/// A process, known by a number that is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// What runs in a process.
pub enum Body {
    /// Nothing yet: it waits for a name.
    Blank,
    /// It has its name and reads what its earlier lives saved.
    Restoring(Identity),
    Armor(Box<dyn Running>),
    /// A user's command that brings a job, and one that asks something else.
    User(Box<Command>),
    Caller(Box<Caller>),
}

/// How a process fares. Only one that is well looks at what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Well,
    /// Stopped by a signal.
    Stopped,
    /// Uses the CPU and does nothing with it.
    Spinning,
    /// Wants the CPU and does not get it.
    Starved,
    /// Works, but its links are read no more.
    Deaf,
}

impl Condition {
    /// The word a story uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Condition::Well => "well",
            Condition::Stopped => "stopped",
            Condition::Spinning => "spinning",
            Condition::Starved => "starved",
            Condition::Deaf => "deaf",
        }
    }
}

/// A save on its way to the disk.
#[derive(Debug)]
pub struct Saving {
    pub request: SaveRequest,
    /// Its position in the journal, once it is written.
    pub position: Option<usize>,
    pub synced: bool,
}

impl Saving {
    /// Whether the ARMOR may be told.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.position.is_some() && (self.synced || !self.request.to_disk)
    }
}

/// Something that reaches a process.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A peer's greeting, the first on a connection.
    Hello { from: Pid, connection: Connection },
    /// The answer to a greeting of its own.
    Welcome { connection: Connection, incarnation: Incarnation },
    /// A message, encoded.
    Frame { from: ArmorName, incarnation: Incarnation, connection: Connection, frame: u64, bytes: Vec<u8> },
    /// A connection of its own is broken.
    Broke { to: ArmorName, connection: Connection },
    /// The earlier lives' records are read.
    Restored,
    /// A timer, with the number of its setting.
    Timer { timer: Timer, setting: u64 },
    /// All else.
    Input(Input),
}

impl Arrival {
    /// Whether it comes over a link.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Arrival::Hello { .. } | Arrival::Welcome { .. } | Arrival::Frame { .. })
    }
}

/// A process.
pub struct Process {
    pub host: HostId,
    pub mark: ProcessMark,
    pub body: Body,
    /// The daemon that made it or watches it since.
    pub watcher: Option<Pid>,
    pub condition: Condition,
    /// Since when it fares so, in microseconds.
    pub since_us: u64,
    /// What arrived while it was not well.
    pub held: VecDeque<Arrival>,
    /// The timers that are set, with the number of their setting.
    pub timers: BTreeMap<Timer, u64>,
    /// Saves under way, in order.
    pub saves: VecDeque<Saving>,
    /// Saves that it has not been told of as completed.
    pub unsaved: Vec<u64>,
    /// When the last save is written, in microseconds.
    pub written_us: u64,
    /// When the last report of a slot arrives, in microseconds.
    pub reported_us: u64,
    /// Used and wanted so far, in microseconds.
    pub cpu_us: u64,
    pub starved_us: u64,
}

impl Process {
    #[must_use]
    pub fn new(host: HostId, mark: ProcessMark, body: Body, watcher: Option<Pid>, now_us: u64) -> Self {
        Process {
            host,
            mark,
            body,
            watcher,
            condition: Condition::Well,
            since_us: now_us,
            held: VecDeque::new(),
            timers: BTreeMap::new(),
            saves: VecDeque::new(),
            unsaved: Vec::new(),
            written_us: 0,
            reported_us: 0,
            cpu_us: 0,
            starved_us: 0,
        }
    }

    /// Who it is, once it is somebody.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match &self.body {
            Body::Blank => None,
            Body::Restoring(identity) => Some(identity),
            Body::Armor(armor) => Some(armor.identity()),
            Body::User(command) => Some(command.identity()),
            Body::Caller(caller) => Some(caller.identity()),
        }
    }

    #[must_use]
    pub fn name(&self) -> Option<ArmorName> {
        self.identity().map(|identity| identity.name)
    }

    /// Whether it can be spoken to.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        matches!(self.body, Body::Armor(_) | Body::User(_) | Body::Caller(_))
    }

    /// Whether it would look at this now.
    #[must_use]
    pub fn looks_at(&self, arrival: &Arrival) -> bool {
        match self.condition {
            Condition::Well => true,
            Condition::Deaf => !arrival.is_remote(),
            Condition::Stopped | Condition::Spinning | Condition::Starved => false,
        }
    }

    /// It fares differently from now on.
    pub fn fare(&mut self, condition: Condition, now_us: u64) {
        self.settle(now_us);
        self.condition = condition;
    }

    /// What the system says of it now.
    pub fn sample(&mut self, now_us: u64) -> ProcessSample {
        self.settle(now_us);
        ProcessSample {
            stopped: self.condition == Condition::Stopped,
            cpu_us: self.cpu_us,
            starved_us: self.starved_us,
        }
    }

    fn settle(&mut self, now_us: u64) {
        let passed_us = now_us - self.since_us;
        match self.condition {
            Condition::Spinning => self.cpu_us += passed_us,
            Condition::Starved => self.starved_us += passed_us,
            Condition::Well | Condition::Stopped | Condition::Deaf => {}
        }
        self.since_us = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_a_spinning_process_from_a_starved_one() {
        let sample = |condition| {
            let mut process = Process::new(HostId(1), ProcessMark::default(), Body::Blank, None, 0);
            process.fare(condition, 1_000);
            process.sample(9_000)
        };
        assert_eq!(sample(Condition::Spinning), ProcessSample { stopped: false, cpu_us: 8_000, starved_us: 0 });
        assert_eq!(sample(Condition::Starved), ProcessSample { stopped: false, cpu_us: 0, starved_us: 8_000 });
        assert!(sample(Condition::Stopped).stopped);
    }
}
