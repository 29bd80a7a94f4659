//! What lies between hosts: which reach which, what is lost on the way, and what waits to get through.
//!
//! A stream over a cut link stalls: what was sent before the cut arrives, what is sent later waits, in
//! order, until the link is whole again, as TCP's resends do. Neither end is told. Datagrams are lost.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::message::Datagram;
use chameleon_core::names::{ArmorName, HostId};
use chameleon_core::shell::Input;
use chameleon_core::world::{Knock, ProcessEvent};

use crate::process::{Arrival, Body, Condition, Pid};
use crate::world::{Next, World};

/// How long a datagram usually takes, and how long it takes to knock, in vain or not, in microseconds.
const DATAGRAM_US: u64 = 150;
const KNOCK_US: u64 = 300;
const KNOCK_IN_VAIN_US: u64 = 100_000;

/// How the hosts are connected.
#[derive(Debug, Default)]
pub struct Fabric {
    /// Links of which one direction is cut: from whom, to whom.
    cut: BTreeSet<(HostId, HostId)>,
    /// Hosts without power.
    down: BTreeSet<HostId>,
    /// Hosts of which every process is stopped.
    frozen: BTreeSet<HostId>,
    /// Datagrams that are lost, per mille, and how long the others take beyond the usual, in ms.
    pub loss_per_mille: u64,
    pub delay_ms: u64,
    /// The last beat between two hosts, and when it was said.
    beats: BTreeMap<(HostId, HostId), (u64, u64)>,
    /// What waits for a link to be whole, in order.
    held: BTreeMap<(HostId, HostId), Vec<(Pid, Arrival)>>,
}

impl Fabric {
    /// Whether what one host says reaches another. A user's machine, host 0, is not part of the system.
    #[must_use]
    pub fn carries(&self, from: HostId, to: HostId) -> bool {
        from == to || !(self.down.contains(&from) || self.down.contains(&to) || self.cut.contains(&(from, to)))
    }

    /// Whether a stream between the two goes on: both directions are needed for that.
    #[must_use]
    pub fn connects(&self, one: HostId, other: HostId) -> bool {
        self.carries(one, other) && self.carries(other, one)
    }

    #[must_use]
    pub fn is_down(&self, host: HostId) -> bool {
        self.down.contains(&host)
    }

    #[must_use]
    pub fn is_frozen(&self, host: HostId) -> bool {
        self.frozen.contains(&host)
    }

    /// Whether any host is away, or any link is cut.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.cut.is_empty() && self.down.is_empty() && self.frozen.is_empty()
    }

    /// Something waits until the link is whole.
    pub fn hold(&mut self, from: HostId, to: HostId, at: Pid, what: Arrival) {
        self.held.entry((from, to)).or_default().push((at, what));
    }

    /// Takes out what gets through by now.
    fn through(&mut self) -> Vec<(Pid, Arrival)> {
        let pairs: Vec<_> = self.held.keys().copied().filter(|&(from, to)| self.connects(from, to)).collect();
        pairs.into_iter().filter_map(|pair| self.held.remove(&pair)).flatten().collect()
    }
}

impl World {
    pub(crate) fn host_of(&self, pid: Pid) -> HostId {
        self.processes.get(&pid).map(|process| process.host).unwrap_or_default()
    }

    /// A Heartbeat tells that of another host; nobody knows whether it arrives.
    pub(crate) fn send_datagram(&mut self, pid: Pid, to: HostId, datagram: Datagram) {
        let from = self.host_of(pid);
        let lost = self.chance.per_mille(self.fabric.loss_per_mille);
        let Some(&at) = self.bound.get(&ArmorName::Heartbeat(to)) else { return };
        if lost || !self.fabric.carries(from, to) {
            return;
        }
        let beyond_us = self.chance.within(0, self.fabric.delay_ms * 1_000 + 1);
        let (now_us, takes_us) = (self.agenda.now_us(), DATAGRAM_US + beyond_us);
        let what = Arrival::Input(Input::Datagram { from, datagram });
        self.later(takes_us, Next::Arrive { at, what });
        match datagram {
            Datagram::Beat { number, .. } => drop(self.fabric.beats.insert((from, to), (number, now_us))),
            Datagram::Heard { number } => {
                if let Some((_, said_us)) = self.fabric.beats.get(&(to, from)).filter(|(beat, _)| *beat == number) {
                    let trip = ProcessEvent::RoundTrip { host: from, us: now_us + takes_us - said_us };
                    self.later(takes_us, Next::Arrive { at, what: Arrival::Input(Input::Process(trip)) });
                }
            }
            Datagram::Probe | Datagram::Answer => {}
        }
    }

    /// Somebody knocks at the door of another host's daemon.
    pub(crate) fn knock(&mut self, pid: Pid, host: HostId) {
        let daemon = self.bound.contains_key(&ArmorName::Daemon(host));
        let (knock, after_us) = match (self.fabric.connects(self.host_of(pid), host), daemon) {
            (false, _) => (Knock::Nothing, KNOCK_IN_VAIN_US),
            (true, false) => (Knock::Nobody, KNOCK_US),
            (true, true) => (Knock::Opens, KNOCK_US),
        };
        let event = Input::Process(ProcessEvent::Knocked { host, knock });
        self.later(after_us, Next::Arrive { at: pid, what: Arrival::Input(event) });
    }

    /// Lets through what waited, now that something was mended.
    fn mended(&mut self) {
        for (at, what) in self.fabric.through() {
            self.arrive(at, what);
        }
    }

    // ---- what strikes hosts ----

    /// The power of one host fails.
    pub(crate) fn host_dies(&mut self, host: HostId) {
        self.tell(|| format!("✗ {host} dies"));
        self.fabric.down.insert(host);
        self.fabric.frozen.remove(&host);
        self.kill_all_on(host);
    }

    /// Every process of a host is killed at once; its machine lives.
    pub(crate) fn host_is_killed(&mut self, host: HostId) {
        self.tell(|| format!("✗ all processes of {host} are killed"));
        self.kill_all_on(host);
    }

    fn kill_all_on(&mut self, host: HostId) {
        let all: Vec<Pid> = self.on(host).collect();
        all.into_iter().for_each(|pid| self.kill(pid));
    }

    fn on(&self, host: HostId) -> impl Iterator<Item = Pid> + '_ {
        self.processes.iter().filter(move |(_, process)| process.host == host).map(|(&pid, _)| pid)
    }

    /// The host is here again, with what is on its disk; the system's own unit starts its daemon.
    pub(crate) fn host_returns(&mut self, host: HostId) {
        self.tell(|| format!("{host} is here again"));
        if self.fabric.down.remove(&host) {
            self.hosts.entry(host).and_modify(|host| host.boots += 1);
        }
        self.mended();
        self.later(500, Next::Revive { host });
    }

    /// Every process of a host is stopped, or goes on.
    pub(crate) fn host_freezes(&mut self, host: HostId) {
        self.tell(|| format!("✗ {host} is frozen"));
        self.fabric.frozen.insert(host);
        let all: Vec<Pid> = self.on(host).collect();
        all.into_iter().for_each(|pid| self.fare(pid, Condition::Stopped));
    }

    pub(crate) fn host_thaws(&mut self, host: HostId) {
        if self.fabric.frozen.remove(&host) {
            self.tell(|| format!("{host} thaws"));
            let all: Vec<Pid> = self.on(host).collect();
            all.into_iter().for_each(|pid| self.fare(pid, Condition::Well));
        }
    }

    /// A process fares well again, unless its whole host is frozen.
    pub(crate) fn recover(&mut self, pid: Pid) {
        if !self.fabric.is_frozen(self.host_of(pid)) {
            self.fare(pid, Condition::Well);
        }
    }

    /// No process of the host gets the CPU for so long.
    pub(crate) fn host_starves(&mut self, host: HostId, ms: u64) {
        self.tell(|| format!("✗ {host} is starved for {ms} ms"));
        let all: Vec<Pid> = self.on(host).collect();
        for pid in all {
            let is_armor = self.processes.get(&pid).is_some_and(|process| matches!(process.body, Body::Armor(_)));
            if is_armor {
                self.fare(pid, Condition::Starved);
                self.after(ms * 1_000, Next::Recover { pid });
            }
        }
    }

    /// What one host says does not reach another any more; with `both`, neither way.
    pub(crate) fn cut_link(&mut self, from: HostId, to: HostId, both: bool) {
        self.tell(|| format!("✗ the link from {from} to {to} is cut{}", if both { ", and back" } else { "" }));
        self.fabric.cut.insert((from, to));
        if both {
            self.fabric.cut.insert((to, from));
        }
    }

    /// A host is cut off from all others.
    pub(crate) fn isolate(&mut self, host: HostId) {
        self.tell(|| format!("✗ {host} is cut off"));
        let others: Vec<HostId> = self.hosts.keys().copied().filter(|&other| other != host).collect();
        others.into_iter().for_each(|other| self.fabric.cut.extend([(host, other), (other, host)]));
    }

    /// All links are whole again.
    pub(crate) fn mend_links(&mut self) {
        self.tell(|| "all links are whole again".to_owned());
        self.fabric.cut.clear();
        self.mended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);

    #[test]
    fn a_link_that_is_cut_one_way_carries_datagrams_the_other_way_and_no_stream() {
        let mut fabric = Fabric::default();
        fabric.cut.insert((A, B));
        assert!(!fabric.carries(A, B) && fabric.carries(B, A) && !fabric.connects(B, A));
    }

    #[test]
    fn what_waits_gets_through_in_order_once_the_link_is_whole() {
        let mut fabric = Fabric::default();
        fabric.down.insert(B);
        let timer = |setting| Arrival::Timer { timer: chameleon_core::armor::Timer::Beat, setting };
        fabric.hold(A, B, Pid(1), timer(1));
        fabric.hold(A, B, Pid(1), timer(2));
        assert!(fabric.through().is_empty());
        fabric.down.clear();
        let settings = fabric.through().into_iter().map(|(_, arrival)| match arrival {
            Arrival::Timer { setting, .. } => setting,
            other => panic!("{other:?}"),
        });
        assert_eq!(settings.collect::<Vec<_>>(), [1, 2]);
    }
}
