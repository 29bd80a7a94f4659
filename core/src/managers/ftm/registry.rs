//! The registry: which ARMORs there are to be, and where. Only the FTM changes it (D7).
//!
//! ```text
//!                 placed             its daemon says so
//!   Requested ───────────► Installing ─────────────────► Running
//!       │                   │  ▲   │                       │
//!       │     on another host  └───┤◄── the host lost it ──┤
//!       │                          ▼                       │
//!       │                         Lost                     │
//!       │ Retire                   │ Retire                │ Retire
//!       ▼                          ▼                       ▼
//!    Retired ◄──── gone ──────── Retiring ◄────────────────┘
//! ```
//!
//! What the FTM decides is durable: an [`Entry`] a name. That an ARMOR runs is not decided but seen:
//! daemons say it again whenever they can ([`FtmMessage::Joined`]), so it is not saved. A retired
//! ARMOR has no entry any more; its name is never given again.
//!
//! [`FtmMessage::Joined`]: crate::message::FtmMessage::Joined

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::managers::ftm::placement::Load;
use crate::message::{ArmorState, Unit};
use crate::names::{ArmorName, HostId, Incarnation, JobId, Kind};

/// Lives that a daemon may give an ARMOR without asking again.
pub const LIVES: u32 = 1_000;

/// What was decided about one ARMOR.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    #[n(0)]
    pub name: ArmorName,
    /// Hosts that could not keep it running.
    #[n(1)]
    pub tried: Vec<HostId>,
    #[n(2)]
    pub decided: Decided,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Decided {
    /// Somebody needs it; no host was found yet.
    #[n(0)]
    Requested,
    /// This host is to run it, from this incarnation on, up to the granted one.
    #[n(1)]
    Installing {
        #[n(0)]
        host: HostId,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        granted: Incarnation,
        /// It had lives on another host, and knows of them what its Mirror knows.
        #[n(60)]
        #[cbor(default)]
        moved: bool,
    },
    /// This host is to end it for good.
    #[n(2)]
    Retiring {
        #[n(0)]
        host: HostId,
    },
    /// No host can keep it running.
    #[n(3)]
    Lost {
        #[n(0)]
        host: HostId,
        #[n(1)]
        why: String,
    },
}

impl Decided {
    /// The host that has to do with it, if one has.
    #[must_use]
    pub fn host(&self) -> Option<HostId> {
        match self {
            Decided::Requested => None,
            Decided::Installing { host, .. } | Decided::Retiring { host } | Decided::Lost { host, .. } => Some(*host),
        }
    }
}

impl Entry {
    #[must_use]
    pub fn requested(name: ArmorName) -> Self {
        Entry { name, tried: Vec::new(), decided: Decided::Requested }
    }

    /// The entry once it is placed on this host: with lives that no host has used before.
    #[must_use]
    pub fn installing(&self, host: HostId) -> Self {
        let used = match &self.decided {
            Decided::Installing { granted, .. } => granted.0,
            Decided::Requested | Decided::Retiring { .. } | Decided::Lost { .. } => 0,
        };
        self.installing_after(host, used)
    }

    /// The entry once it is placed on this host, with lives beyond those that were used.
    #[must_use]
    pub fn installing_after(&self, host: HostId, used: u32) -> Self {
        let (incarnation, granted) = (Incarnation(used.saturating_add(1)), Incarnation(used.saturating_add(LIVES)));
        let moved = self.is_moved();
        Entry { decided: Decided::Installing { host, incarnation, granted, moved }, ..self.clone() }
    }

    /// The host that is to run it, if one is.
    #[must_use]
    pub fn placed(&self) -> Option<HostId> {
        match self.decided {
            Decided::Installing { host, .. } => Some(host),
            Decided::Requested | Decided::Retiring { .. } | Decided::Lost { .. } => None,
        }
    }

    /// Whether it had lives before those that it is to have.
    #[must_use]
    pub fn is_later_life(&self) -> bool {
        matches!(self.decided, Decided::Installing { incarnation, .. } if incarnation > Incarnation(1))
    }

    /// Whether it had lives on another host and knows of them what its Mirror knows.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        matches!(self.decided, Decided::Installing { moved: true, .. })
    }

    /// The entry of one that goes on elsewhere with what its Mirror knows.
    #[must_use]
    pub fn from_copy(mut self) -> Self {
        if let Decided::Installing { moved, .. } = &mut self.decided {
            *moved = true;
        }
        self
    }

    /// The entry once this host has lost it and another shall have it.
    #[must_use]
    pub fn moved(&self, from: HostId, to: HostId) -> Self {
        let mut moved = self.installing(to);
        moved.tried.push(from);
        moved
    }

    /// The entry once it is given up.
    #[must_use]
    pub fn lost(&self, host: HostId, why: String) -> Self {
        Entry { decided: Decided::Lost { host, why }, ..self.clone() }
    }

    /// The entry once this host is to end it.
    #[must_use]
    pub fn retiring(&self, host: HostId) -> Self {
        Entry { decided: Decided::Retiring { host }, ..self.clone() }
    }
}

/// What is known of an ARMOR that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    pid: u32,
    incarnation: Incarnation,
}

/// What a daemon's word about a unit means to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// It runs where it should, and did not before.
    Began,
    /// It is where it should be.
    Known,
    /// It should not be on that host: it is to be retired there.
    Stray,
}

/// All ARMORs that serve jobs.
#[derive(Debug, Default)]
pub struct Registry {
    entries: BTreeMap<ArmorName, Entry>,
    seen: BTreeMap<ArmorName, Seen>,
    /// Those of which an earlier life may have run, and the present one was not heard of.
    inherited: BTreeSet<ArmorName>,
}

impl Registry {
    /// Makes a decision durable.
    pub fn put(&mut self, entry: &Entry) {
        if !matches!(entry.decided, Decided::Installing { .. }) || self.host(entry.name) != entry.decided.host() {
            self.seen.remove(&entry.name);
        }
        self.inherited.remove(&entry.name);
        self.entries.insert(entry.name, entry.clone());
    }

    /// It is retired.
    pub fn remove(&mut self, name: ArmorName) {
        self.entries.remove(&name);
        self.seen.remove(&name);
        self.inherited.remove(&name);
    }

    /// All entries come from an earlier FTM: whether those that have a host ran is not known.
    pub fn inherit(&mut self) {
        let placed = self.entries.values().filter(|entry| entry.decided.host().is_some());
        self.inherited = placed.map(|entry| entry.name).collect();
    }

    #[must_use]
    pub fn get(&self, name: ArmorName) -> Option<&Entry> {
        self.entries.get(&name)
    }

    /// All entries, in order of names.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Those of one job.
    pub fn of_job(&self, job: JobId) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.name.job() == Some(job))
    }

    /// Those that have to do with one host.
    pub fn on_host(&self, host: HostId) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.decided.host() == Some(host))
    }

    fn host(&self, name: ArmorName) -> Option<HostId> {
        self.entries.get(&name).and_then(|entry| entry.decided.host())
    }

    /// Whether it runs, as far as is known.
    #[must_use]
    pub fn runs(&self, name: ArmorName) -> bool {
        self.seen.contains_key(&name)
    }

    /// Whether it may have done something: it runs, or an earlier FTM may have seen it run.
    #[must_use]
    pub fn may_have_run(&self, name: ArmorName) -> bool {
        self.runs(name) || self.inherited.contains(&name)
    }

    /// Whether it could begin on another host with no memory of this one. What an SM or a Voter knows
    /// lies in its journal: once it ran, it can only go on where that is, or a copy of it.
    #[must_use]
    pub fn can_move(&self, name: ArmorName) -> bool {
        match name.kind() {
            Kind::Surrogate | Kind::Voter => !self.may_have_run(name) || self.mirror_of(name).is_some(),
            Kind::Fanout | Kind::Execution | Kind::Mirror => true,
            Kind::Ftm | Kind::Daemon | Kind::User | Kind::Heartbeat | Kind::Init => false,
        }
    }

    /// The Mirror that has, or is to have, a copy of what this ARMOR saves, and its host.
    #[must_use]
    pub fn mirror_of(&self, name: ArmorName) -> Option<(&Entry, HostId)> {
        let saves = matches!(name.kind(), Kind::Surrogate | Kind::Voter);
        let mirror = name.job().filter(|_| saves).and_then(|job| self.get(ArmorName::Mirror(job)))?;
        mirror.placed().map(|host| (mirror, host))
    }

    /// A daemon says that this unit is in its charge.
    pub fn sight(&mut self, host: HostId, unit: &Unit) -> Sighting {
        match self.entries.get(&unit.name).map(|entry| &entry.decided) {
            Some(Decided::Installing { host: expected, incarnation, .. }) if *expected == host => {
                // It does not run, or is to end for a later life.
                if unit.pid == 0 || unit.incarnation < *incarnation {
                    return Sighting::Known;
                }
                let seen = Seen { pid: unit.pid, incarnation: unit.incarnation };
                self.inherited.remove(&unit.name);
                match self.seen.insert(unit.name, seen) {
                    Some(_) => Sighting::Known,
                    None => Sighting::Began,
                }
            }
            Some(Decided::Retiring { host: expected }) if *expected == host => Sighting::Known,
            Some(Decided::Requested | Decided::Installing { .. } | Decided::Retiring { .. } | Decided::Lost { .. })
            | None => Sighting::Stray,
        }
    }

    /// Those that ran on this host and are not among these units: the host has forgotten them.
    #[must_use]
    pub fn missing(&self, host: HostId, units: &[Unit]) -> Vec<ArmorName> {
        let here = |name: &ArmorName| self.host(*name) == Some(host);
        let listed = |name: &ArmorName| units.iter().any(|unit| unit.name == *name);
        self.seen.keys().filter(|name| here(name) && !listed(name)).copied().collect()
    }

    /// Its life ends for a later one where it is: it is not known to run, and may have run before.
    pub fn ends_for_later(&mut self, name: ArmorName, has_past: bool) {
        self.unsee(name);
        if has_past {
            self.inherited.insert(name);
        }
    }

    /// It is not known to run any more.
    pub fn unsee(&mut self, name: ArmorName) {
        self.seen.remove(&name);
    }

    /// Where an ARMOR is in its life; `Retired` if there is none of this name.
    #[must_use]
    pub fn state(&self, name: ArmorName) -> ArmorState {
        match self.entries.get(&name).map(|entry| &entry.decided) {
            None => ArmorState::Retired,
            Some(Decided::Requested) => ArmorState::Requested,
            Some(Decided::Installing { .. }) if self.runs(name) => ArmorState::Running,
            Some(Decided::Installing { .. }) => ArmorState::Installing,
            Some(Decided::Retiring { .. }) => ArmorState::Retiring,
            Some(Decided::Lost { .. }) => ArmorState::Lost,
        }
    }

    /// Its process and its life, as far as known; 0 and the first decided one if not.
    #[must_use]
    pub fn process(&self, name: ArmorName) -> (u32, Incarnation) {
        if let Some(seen) = self.seen.get(&name) {
            return (seen.pid, seen.incarnation);
        }
        match self.entries.get(&name).map(|entry| &entry.decided) {
            Some(Decided::Installing { incarnation, .. }) => (0, *incarnation),
            Some(Decided::Requested | Decided::Retiring { .. } | Decided::Lost { .. }) | None => {
                (0, Incarnation::default())
            }
        }
    }

    /// ARMORs on each of these hosts, and how many of them are lanes of this job.
    #[must_use]
    pub fn loads(&self, hosts: impl IntoIterator<Item = HostId>, job: JobId) -> BTreeMap<HostId, Load> {
        let mut loads: BTreeMap<_, Load> = hosts.into_iter().map(|host| (host, Default::default())).collect();
        for entry in self.entries.values() {
            let Some(load) = entry.decided.host().and_then(|host| loads.get_mut(&host)) else { continue };
            load.armors += 1;
            load.lanes += u32::from(entry.name.kind() == Kind::Execution && entry.name.job() == Some(job));
        }
        loads
    }
}
