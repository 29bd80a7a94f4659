//! Where ARMORs are to run: a pure function from what is known of the hosts to a plan that can be
//! printed, or to what each host lacks.
//!
//! The lanes of a job are spread first and balanced second, because a host that dies or
//! miscomputes should take one lane with it and not the quorum. A job's SM and Fanout go to its origin,
//! where its files are, if that is there. The others go where least runs; among equals, lanes that read inputs go nearest to
//! them, as far as that was measured. What a job wishes of its hosts
//! concerns its lanes only, and is kept to or the lane waits.
//!
//! Lanes are placed one after another, each on the best host that meets all conditions; if a later one
//! then finds none, an earlier one is tried elsewhere, up to a bound. Hosts that were only half looked through
//! could be missed beyond it; where wishes are about hosts, architectures and sites, it is never reached.

use std::collections::BTreeMap;

use crate::job::Wishes;
use crate::managers::ftm::links::Distance;
use crate::names::{ArmorName, HostId, Kind, LaneId};
use crate::profile::Profile;

/// Hosts that are tried before the search is given up.
const TRIES: u32 = 20_000;

/// What a host carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Load {
    /// Lanes of the job in question.
    pub lanes: u32,
    /// ARMORs in all.
    pub armors: u32,
}

/// A host, as far as places are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub host: HostId,
    pub load: Load,
    /// Why nothing can be placed there now, in words that go behind the host's name.
    pub closed: Option<&'a str>,
    /// Why no lanes can, and others only if no other host does.
    pub no_lanes: Option<&'a str>,
    /// `None`: it was not looked over yet.
    pub profile: Option<&'a Profile>,
}

/// Lanes of a job that have a host, and what is wished of the others.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// Where the job's files are.
    pub origin: HostId,
    pub wishes: &'a Wishes,
    /// Bytes that each lane needs.
    pub memory: Option<u64>,
    pub placed: &'a BTreeMap<LaneId, HostId>,
    /// Hosts that get a manager or a Mirror of the job only if no other does, the worse the higher.
    pub apart: &'a BTreeMap<HostId, u32>,
    /// How far each host is from what the lanes read, as far as it matters.
    pub distances: &'a BTreeMap<HostId, Distance>,
}

/// One decision: this ARMOR runs on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    pub name: ArmorName,
    pub host: HostId,
}

/// Hosts for some ARMORs, and why not for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub places: Vec<Placing>,
    /// For the first ARMOR without a place: what is wrong with each host.
    pub missing: Vec<Fault>,
}

/// Why a host does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub host: HostId,
    /// In words that go behind the host's name.
    pub why: String,
    /// It may do later.
    pub passes: bool,
}

impl Plan {
    /// What is wrong with the hosts, in a sentence's part such as `h2 is away, h3 runs lane l0`.
    #[must_use]
    pub fn why(&self) -> String {
        match self.missing.as_slice() {
            [] => "no host has joined".to_owned(),
            faults => faults.iter().map(|fault| format!("{} {}", fault.host, fault.why)).collect::<Vec<_>>().join(", "),
        }
    }
}

/// A host for each of these ARMORs of one job, in their order, as far as there are any.
#[must_use]
pub fn place(sites: &[Site<'_>], conditions: Conditions<'_>, names: &[ArmorName]) -> Plan {
    let fastest = sites.iter().filter_map(|site| site.profile).map(|profile| profile.speed).max().unwrap_or_default();
    let rooms = sites.iter().map(|site| Room { site: *site, quarters: quarters(site.profile, fastest), added: 0 });
    let mut rooms: Vec<Room<'_>> = rooms.collect();
    rooms.sort_by_key(|room| room.site.host);
    let mut search = Search { rooms, conditions, lanes: conditions.placed.clone(), tries: TRIES };
    let mut best = Vec::new();
    search.place_all(names, &mut Vec::new(), &mut best);
    let missing = match names.get(best.len()) {
        Some(&name) => search.faults(name, &best),
        None => Vec::new(),
    };
    Plan { places: best, missing }
}

/// Whether these lanes could ever be placed together: on hosts that are there or may come back.
///
/// # Errors
/// The plan as far as it goes, with what no host will ever meet.
pub fn feasible(sites: &[Site<'_>], conditions: Conditions<'_>, names: &[ArmorName]) -> Result<(), Plan> {
    let open: Vec<Site<'_>> = sites.iter().map(|site| Site { closed: None, no_lanes: None, ..*site }).collect();
    let plan = place(&open, conditions, names);
    let unknown = plan.missing.iter().any(|fault| fault.passes);
    if plan.missing.is_empty() || unknown || sites.is_empty() { Ok(()) } else { Err(plan) }
}

/// Speed in quarters of the fastest host's: a probe is too noisy for more.
fn quarters(profile: Option<&Profile>, fastest: u64) -> u32 {
    match profile.map(|profile| profile.speed).filter(|speed| *speed > 0) {
        Some(speed) => u32::try_from(speed.saturating_mul(4).div_ceil(fastest.max(1))).unwrap_or(4).clamp(1, 4),
        None => 4,
    }
}

/// A host while places are sought.
#[derive(Debug, Clone)]
struct Room<'a> {
    site: Site<'a>,
    quarters: u32,
    /// ARMORs placed there by this plan.
    added: u32,
}

struct Search<'a> {
    rooms: Vec<Room<'a>>,
    conditions: Conditions<'a>,
    /// With those of this plan.
    lanes: BTreeMap<LaneId, HostId>,
    tries: u32,
}

impl Search<'_> {
    /// Places what is left; keeps the longest plan that was found in `best`. True once all have a place.
    fn place_all(&mut self, names: &[ArmorName], so_far: &mut Vec<Placing>, best: &mut Vec<Placing>) -> bool {
        if so_far.len() > best.len() {
            best.clone_from(so_far);
        }
        let Some(&name) = names.get(so_far.len()) else { return true };
        for index in self.candidates(name) {
            if self.tries == 0 {
                return false;
            }
            self.tries -= 1;
            let host = self.rooms[index].site.host;
            self.put(name, index);
            so_far.push(Placing { name, host });
            if self.place_all(names, so_far, best) {
                return true;
            }
            so_far.pop();
            self.take_back(name, index);
        }
        false
    }

    fn put(&mut self, name: ArmorName, index: usize) {
        let room = &mut self.rooms[index];
        room.added += 1;
        if let ArmorName::Execution(_, lane) = name {
            self.lanes.insert(lane, room.site.host);
        }
    }

    fn take_back(&mut self, name: ArmorName, index: usize) {
        self.rooms[index].added -= 1;
        if let ArmorName::Execution(_, lane) = name {
            self.lanes.remove(&lane);
        }
    }

    /// Hosts that do, the best first.
    fn candidates(&self, name: ArmorName) -> Vec<usize> {
        let fit = (0..self.rooms.len()).filter(|&index| self.fault(&self.rooms[index], name).is_none());
        let mut fit: Vec<usize> = fit.collect();
        fit.sort_by_key(|&index| {
            let room = &self.rooms[index];
            let host = room.site.host;
            let lanes = self.lanes.values().filter(|other| **other == host).count();
            let armors = room.site.load.armors + room.added + 1;
            let belongs_there = matches!(name.kind(), Kind::Surrogate | Kind::Fanout);
            let is_away = belongs_there && host != self.conditions.origin;
            let spread = match name.kind() {
                Kind::Execution => lanes,
                Kind::Surrogate | Kind::Voter | Kind::Mirror => {
                    self.conditions.apart.get(&host).map_or(0, |&how| how as usize)
                }
                _ => 0,
            };
            let distance = self.conditions.distances.get(&host).filter(|_| name.kind() == Kind::Execution);
            (is_away, spread, room.site.no_lanes.is_some(), armors * 4 / room.quarters, armors, distance, host)
        });
        fit
    }

    /// What is wrong with each host once these have their places.
    fn faults(&mut self, name: ArmorName, places: &[Placing]) -> Vec<Fault> {
        for placing in places {
            if let ArmorName::Execution(_, lane) = placing.name {
                self.lanes.insert(lane, placing.host);
            }
        }
        self.rooms.iter().filter_map(|room| self.fault(room, name)).collect()
    }

    /// Why this host does not do for this ARMOR, if it does not.
    fn fault(&self, room: &Room<'_>, name: ArmorName) -> Option<Fault> {
        let host = room.site.host;
        let fault = |why: String, passes| Some(Fault { host, why, passes });
        if let Some(closed) = room.site.closed {
            return fault(closed.to_owned(), true);
        }
        if name.kind() != Kind::Execution {
            return None;
        }
        if let Some(why) = room.site.no_lanes {
            return fault(why.to_owned(), true);
        }
        let wishes = self.conditions.wishes;
        if !wishes.hosts.is_empty() && !wishes.hosts.iter().any(|wished| *wished == host.to_string()) {
            return fault("is not among the hosts that are wished for".to_owned(), false);
        }
        for (name, wanted) in &wishes.only {
            match self.known(room, name) {
                Some(is) if is == *wanted => {}
                Some(is) => return fault(format!("has {name} {is}, not {wanted}"), false),
                None => return fault(unknown(name, room), room.site.profile.is_none()),
            }
        }
        self.wrong_company(room).or_else(|| self.no_memory(room))
    }

    /// What the host has, or has not, in common with those of the other lanes.
    fn wrong_company(&self, room: &Room<'_>) -> Option<Fault> {
        let wishes = self.conditions.wishes;
        let wished =
            wishes.distinct.iter().map(|name| (name, true)).chain(wishes.same.iter().map(|name| (name, false)));
        for (name, distinct) in wished {
            let fault = |why, passes| Some(Fault { host: room.site.host, why, passes });
            let Some(is) = self.known(room, name) else {
                return fault(unknown(name, room), room.site.profile.is_none());
            };
            for (lane, other) in &self.lanes {
                let theirs = self.rooms.binary_search_by_key(other, |room| room.site.host).ok();
                let theirs = theirs.and_then(|index| self.known(&self.rooms[index], name));
                let alike = theirs.is_some_and(|theirs| theirs == is);
                match (distinct, alike) {
                    (true, true) if name == "host" => return fault(format!("runs lane {lane} already"), false),
                    (true, true) => return fault(format!("has the {name} of lane {lane}, {is}"), false),
                    (false, false) => return fault(format!("has not the {name} of lane {lane}, but {is}"), false),
                    (true, false) | (false, true) => {}
                }
            }
        }
        None
    }

    fn no_memory(&self, room: &Room<'_>) -> Option<Fault> {
        let (needed, all) = (self.conditions.memory?, room.site.profile?.memory);
        let here = self.lanes.values().filter(|host| **host == room.site.host).count() as u64;
        let taken = needed.saturating_mul(here);
        let why = || format!("has {} MiB of memory for lanes that need {} MiB each", all >> 20, needed >> 20);
        let too_little = taken.saturating_add(needed) > all;
        too_little.then(|| Fault { host: room.site.host, why: why(), passes: false })
    }

    /// What a trait of this host is.
    fn known(&self, room: &Room<'_>, name: &str) -> Option<String> {
        match name {
            "host" => Some(room.site.host.to_string()),
            name => room.site.profile?.trait_of(name).map(str::to_owned),
        }
    }
}

fn unknown(name: &str, room: &Room<'_>) -> String {
    match room.site.profile {
        None => "is not looked over yet".to_owned(),
        Some(_) => format!("has no {name}"),
    }
}

#[cfg(test)]
mod tests;
