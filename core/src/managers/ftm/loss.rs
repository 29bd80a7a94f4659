//! Hosts that fall silent: suspected, judged, lost, and here again; and what becomes of their ARMORs.
//!
//! A host that is taken for lost may still run. What its ARMORs say is of a lower incarnation than
//! their next lives elsewhere, and has no effect (D10); when it is heard again it is told what to retire.

use std::collections::BTreeSet;

use crate::armor::{Effect, Moment, Timer};
use crate::elements::detector::FIRST;
use crate::managers::ftm::record::{Standing, StandingRecord};
use crate::managers::ftm::registry::{Decided, Entry};
use crate::managers::ftm::ring::{self, Watching};
use crate::managers::ftm::suspicion::{Finding, JUDGED_AFTER, Suspicion};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{DaemonMessage, Hearing, HeartbeatMessage, HostFault, Incident, PairKey, Story};
use crate::names::{ArmorName, HostId, Millis};

impl Ftm {
    // ---- who watches whom ----

    pub(super) fn is_lost(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|known| matches!(known.standing, Standing::Lost { .. }))
    }

    fn serving(&self) -> BTreeSet<HostId> {
        self.hosts.keys().copied().filter(|&host| !self.is_lost(host)).collect()
    }

    /// Hosts came or went: those whom it concerns are told whom to watch.
    pub(super) fn watch_hosts(&mut self, step: &mut FtmStep) {
        if self.hosts.len() < 2 {
            return;
        }
        for (host, watching) in ring::watching(&self.serving(), self.hosts.keys().copied()) {
            if self.registry.get(ArmorName::Heartbeat(host)).is_none() {
                let entry = Entry::requested(ArmorName::Heartbeat(host)).installing_after(host, self.past.lives);
                self.save(step, FtmRecord::Armor(entry.clone()));
                self.install(&entry, step);
            }
            let Some(known) = self.hosts.get_mut(&host) else { continue };
            if known.watching != watching {
                known.watching = watching;
                self.tell_heartbeat(host, step);
            }
        }
    }

    pub(super) fn tell_heartbeat(&self, host: HostId, step: &mut FtmStep) {
        let name = ArmorName::Heartbeat(host);
        if let Some(known) = self.hosts.get(&host).filter(|_| self.registry.runs(name)) {
            let Watching { beat_to, watch } = known.watching.clone();
            let peers: BTreeSet<HostId> = beat_to.iter().chain(&watch).copied().collect();
            let keys = peers.into_iter().map(|peer| (peer, self.pair_key(host, peer))).collect();
            step.send(name, HeartbeatMessage::Watch { term: self.term, beat_to, watch, keys });
        }
    }

    /// The key that two hosts share, the same whichever is named first.
    fn pair_key(&self, one: HostId, other: HostId) -> PairKey {
        let mut pair = [0; 8];
        pair[..4].copy_from_slice(&one.min(other).0.to_le_bytes());
        pair[4..].copy_from_slice(&one.max(other).0.to_le_bytes());
        PairKey(*blake3::keyed_hash(&self.secret, &pair).as_bytes())
    }

    // ---- suspicion ----

    /// One host says how it hears another.
    pub(super) fn hears(&mut self, now: Moment, by: ArmorName, host: HostId, hearing: Hearing, step: &mut FtmStep) {
        let ArmorName::Heartbeat(observer) = by else { return };
        self.heard_of(observer);
        if let Some(suspicion) = self.suspicions.get_mut(&observer) {
            suspicion.answered(host, hearing.hears());
        }
        if hearing.hears() && self.cut_links.remove(&(host, observer)) {
            self.note(now, None, Story::LinkRestored { from: host, to: observer }, step);
            self.unsuspect(host, step);
        }
        if self.is_lost(host) {
            if hearing.hears() {
                step.send(ArmorName::Daemon(host), DaemonMessage::Report { term: self.term });
            }
            return;
        }
        let observers = ring::observers(&self.serving(), host);
        let is_suspect = self.suspicions.contains_key(&host);
        if !observers.contains(&observer) || (!is_suspect && (hearing.hears() || self.is_of_before(now, host, hearing)))
        {
            return;
        }
        if !is_suspect {
            self.suspect(now, host, observer, &observers, step);
        }
        if let Some(suspicion) = self.suspicions.get_mut(&host) {
            suspicion.said(observer, hearing);
        }
        self.judge(now, host, step);
    }

    /// A host is silent for one observer: the others are asked, and so is it.
    fn suspect(&mut self, now: Moment, host: HostId, observer: HostId, observers: &[HostId], step: &mut FtmStep) {
        self.suspicions.insert(host, Suspicion::new(now.boot));
        step.timer(Timer::Judge(host), JUDGED_AFTER);
        for &other in observers.iter().filter(|&&other| other != observer) {
            step.send(ArmorName::Heartbeat(other), HeartbeatMessage::Ask { host });
        }
        step.send(ArmorName::Heartbeat(host), HeartbeatMessage::Ask { host: observer });
        step.send(ArmorName::Daemon(host), DaemonMessage::Report { term: self.term });
    }

    /// Something came from this host: it lives.
    pub(super) fn heard_of(&mut self, host: HostId) {
        if let Some(suspicion) = self.suspicions.get_mut(&host) {
            suspicion.heard();
        }
    }

    /// Decides what the silence of a host means, once enough is known.
    pub(super) fn judge(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        let observers = ring::observers(&self.serving(), host);
        let Some(suspicion) = self.suspicions.get(&host) else { return };
        let words = suspicion.words();
        match suspicion.finding(now.boot, &observers) {
            Finding::Open => return step.timer(Timer::Judge(host), JUDGED_AFTER),
            Finding::Slow { observer, hearing } => {
                self.note(now, None, Story::HostSlow { host, observer, hearing }, step);
            }
            Finding::Mute => {}
            Finding::LinkCut { to, hearing, heard_by, one_way } => {
                if self.cut_links.insert((host, to)) {
                    self.note(now, None, Story::LinkCut { from: host, to, hearing, heard_by, one_way }, step);
                }
            }
            Finding::Lost(fault) => self.lose(now, host, fault, words, step),
        }
        self.unsuspect(host, step);
    }

    fn unsuspect(&mut self, host: HostId, step: &mut FtmStep) {
        if self.suspicions.remove(&host).is_some() {
            step.then(Effect::CancelTimer { timer: Timer::Judge(host) });
        }
    }

    /// Whether this speaks of a silence that began before the host joined, which has just been.
    fn is_of_before(&self, now: Moment, host: HostId, hearing: Hearing) -> bool {
        let joined = self.hosts.get(&host).and_then(|known| known.joined);
        joined.is_some_and(|joined| hearing.silent >= now.boot.since(joined) && now.boot.since(joined) < FIRST)
    }

    // ---- loss and return ----

    /// A host is lost: what is needed of what ran there is installed elsewhere.
    fn lose(&mut self, now: Moment, host: HostId, fault: HostFault, heard: Vec<(HostId, Hearing)>, step: &mut FtmStep) {
        self.stand(host, Standing::Lost { since_unix_ms: now.unix_ms }, step);
        if let Some(known) = self.hosts.get_mut(&host) {
            known.daemon = None;
            self.links.forget(host);
        }
        let here: Vec<Entry> =
            self.registry.entries().filter(|entry| entry.decided.host() == Some(host)).cloned().collect();
        let is_moved = |entry: &&Entry| matches!(entry.decided, Decided::Installing { .. }) && self.needs(entry.name);
        let moved = here.iter().filter(is_moved).filter(|entry| entry.name.job().is_some()).count() as u64;
        let why = format!("{host} is lost: {fault}");
        self.note(now, None, Story::HostLost { host, fault, heard, moved }, step);
        self.charge(now, host, Incident::Lost(fault), step);
        self.revive_later(host, step);
        for entry in here {
            self.lose_armor(now, &entry, &why, step);
        }
        self.recover(now, step);
        self.watch_hosts(step);
    }

    fn lose_armor(&mut self, now: Moment, entry: &Entry, why: &str, step: &mut FtmStep) {
        match entry.decided {
            // Its turn comes.
            Decided::Installing { .. } if self.is_stranded(entry) => {}
            // It waits for its host, which it serves.
            Decided::Installing { .. } if entry.name.job().is_none() => self.registry.unsee(entry.name),
            Decided::Installing { .. } if self.needs(entry.name) => {
                self.relocate(now, entry, why, &[], step);
            }
            // What is lost is fenced: its daemon is told to end it if it is ever heard again.
            Decided::Installing { .. } | Decided::Retiring { .. } => self.retired(entry.name, step),
            Decided::Requested | Decided::Lost { .. } => {}
        }
    }

    /// An ARMOR gets its next lives on another host, which is told; its lives on the lost one count no more. It is given up if
    /// no host can have it, and stays where it is if only hosts could that are too busy now.
    pub(super) fn relocate(
        &mut self,
        now: Moment,
        entry: &Entry,
        why: &str,
        busy: &[HostId],
        step: &mut FtmStep,
    ) -> Option<HostId> {
        let (name, from) = (entry.name, entry.placed()?);
        let not_on: Vec<HostId> = entry.tried.iter().chain(busy).copied().collect();
        let Some(to) = self.other_host(name, &not_on) else {
            if busy.is_empty() || self.other_host(name, &entry.tried).is_none() {
                self.give_up(now, from, entry, why, step);
            }
            return None;
        };
        let story = Story::ArmorMoved { name, from, to, why: self.why_there(name, to, why) };
        self.go_on(now, entry, to, story, step);
        Some(to)
    }

    /// A host that can have an ARMOR which may go on elsewhere, and is none of these.
    pub(super) fn other_host(&self, name: ArmorName, not_on: &[HostId]) -> Option<HostId> {
        let job = name.job().filter(|_| self.can_move(name))?;
        self.plan(job, &[name], not_on).places.first().map(|placing| placing.host)
    }

    /// A lost host has joined again.
    pub(super) fn welcome_back(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        let Some(Standing::Lost { since_unix_ms }) = self.hosts.get(&host).map(|known| known.standing.clone()) else {
            return;
        };
        let after = Millis(now.unix_ms.saturating_sub(since_unix_ms));
        self.stand(host, Standing::Serving, step);
        self.note(now, None, Story::HostReturned { host, after }, step);
        step.then(Effect::CancelTimer { timer: Timer::Revive(host) });
    }

    fn stand(&mut self, host: HostId, standing: Standing, step: &mut FtmStep) {
        self.save(step, FtmRecord::Standing(StandingRecord { host, standing }));
    }
}
