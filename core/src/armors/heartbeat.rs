//! Heartbeat: tells some other hosts that this one lives, and notices when one of those that it watches
//! falls silent.
//!
//! ```text
//!         silent beyond the bound          no answer to any probe
//!   Calm ────────────────────────► Probing ──────────────────────► Told (and again, ever later)
//!    ▲                                │                              │
//!    └────────── heard again ─────────┴────────── heard again ───────┘ (told, too)
//! ```
//!
//! Silence alone proves nothing: the bound follows what was measured ([`Detector`]), what this host
//! slept through itself is not counted, the suspect is probed, and its machine is knocked at. What the
//! silence means is decided by the FTM, which asks the others that watch the same host.

use std::collections::{BTreeMap, BTreeSet};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step, Timer};
use crate::elements::detector::{Detector, FIRST, PERIOD};
use crate::elements::echo::{self, Echo};
use crate::message::{DaemonMessage, Datagram, FtmMessage, Hearing, HeartbeatMessage, Measured};
use crate::names::{ArmorName, HostId, Incarnation, Millis, Term};
use crate::shell::Identity;
use crate::world::{Knock, ProcessCommand, ProcessEvent};

/// How often it looks: twice a beat.
pub const TICK: Millis = Millis(PERIOD.0 / 2);
/// How long a suspect is probed, at every tick, before the FTM is told.
pub const PROBED_FOR: Millis = Millis(125);
/// When the FTM is told again of a host that stays silent: ever later, up to the most.
pub const TOLD_AGAIN: (Millis, Millis) = (Millis(1_000), Millis(30_000));

/// A host that nobody hears for so long tells its daemon, and how often, in ticks.
const UNHEARD: (Millis, u64) = (Millis(2_000), 10);
/// The FTM is told of round trips, loss and bandwidth at this of so many ticks.
const MEASURED_AT: (u64, u64) = (40, 200);

/// The Heartbeat of a host.
#[derive(Debug)]
pub struct Heartbeat {
    host: HostId,
    incarnation: Incarnation,
    /// The highest term that said whom to watch. Durable.
    term: Term,
    beat_to: Vec<HostId>,
    watched: BTreeMap<HostId, Watched>,
    /// When hosts that are not watched were heard last.
    others: BTreeMap<HostId, Millis>,
    /// Whether those that it beats to hear it.
    echo: Echo,
    /// The daemon may think that nobody does.
    told_unheard: bool,
    /// Ticks of this life, and when the last one was.
    ticks: u64,
    ticked: Millis,
    /// How late a tick was, at most, since the last beat.
    late: Millis,
}

#[derive(Debug)]
struct Watched {
    detector: Detector,
    alarm: Alarm,
    knock: Option<Knock>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Calm,
    Probing { since: Millis },
    Told { at: Millis, wait: Millis },
}

impl Heartbeat {
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Heartbeat {
            host: identity.host,
            incarnation: identity.incarnation,
            term: Term::default(),
            beat_to: Vec::new(),
            watched: BTreeMap::new(),
            others: BTreeMap::new(),
            echo: Echo::default(),
            told_unheard: false,
            ticks: 0,
            ticked: Millis::default(),
            late: Millis::default(),
        }
    }

    fn watch(&mut self, now: Moment, term: Term, beat_to: Vec<HostId>, watch: &[HostId], step: &mut Step<Term>) {
        if term > self.term {
            step.record(self, term);
        }
        if self.beat_to.is_empty() {
            self.echo.heard(now.boot);
        }
        self.echo.keep(&beat_to);
        self.beat_to = beat_to;
        self.watched.retain(|host, _| watch.contains(host));
        for &host in watch {
            let fresh = || Watched { detector: Detector::new(now.boot), alarm: Alarm::Calm, knock: None };
            let hearing = self.watched.entry(host).or_insert_with(fresh).hearing(now.boot);
            step.send(ArmorName::Ftm, FtmMessage::Hears { host, hearing });
        }
    }

    /// Time to beat and to look. A tick that is late by a beat was slept through, here and not there.
    fn tick(&mut self, now: Moment, step: &mut Step<Term>) {
        step.timer(Timer::Beat, TICK);
        let late = now.boot.since(self.ticked + TICK);
        self.ticked = now.boot;
        self.ticks += 1;
        self.late = self.late.max(late);
        if late >= PERIOD {
            self.watched.values_mut().for_each(|watched| watched.detector.excuse(late));
        }
        if self.ticks.is_multiple_of(2) {
            let late = std::mem::take(&mut self.late);
            let beat = Datagram::Beat { life: self.incarnation, number: self.ticks / 2, late };
            self.beat_to.iter().for_each(|&to| step.datagram(to, beat));
        }
        for (&host, watched) in &mut self.watched {
            watched.look(now.boot, host, step);
        }
        self.look_back(now, step);
        if self.ticks % MEASURED_AT.1 == MEASURED_AT.0 {
            step.then(Effect::Process(ProcessCommand::Transfers));
        }
    }

    /// Tells the daemon if nobody hears this host, whose own links may not show it.
    fn look_back(&mut self, now: Moment, step: &mut Step<Term>) {
        let silent = if self.beat_to.is_empty() { Millis(0) } else { self.echo.silent(now.boot) };
        let is_unheard = silent >= UNHEARD.0;
        if is_unheard && self.ticks.is_multiple_of(UNHEARD.1) {
            self.told_unheard = true;
            step.send(ArmorName::Daemon(self.host), DaemonMessage::Unheard { silent });
        } else if !is_unheard && self.told_unheard {
            self.told_unheard = false;
            step.send(ArmorName::Daemon(self.host), DaemonMessage::Unheard { silent: Millis(0) });
        }
    }

    /// Tells the FTM what was measured, now that it is known how fast bytes came.
    fn tell_measured(&self, transfers: &[(HostId, u64)], step: &mut Step<Term>) {
        let fetched = transfers.iter().map(|(host, _)| host);
        let hosts: BTreeSet<HostId> = self.beat_to.iter().chain(self.watched.keys()).chain(fetched).copied().collect();
        let measured = hosts.into_iter().map(|host| {
            let detector = self.watched.get(&host).map(|watched| &watched.detector);
            Measured {
                host,
                round_trip_us: self.echo.round_trip_us(host),
                loss_per_mille: detector.filter(|detector| detector.has_measured()).map(Detector::loss_per_mille),
                bytes_per_s: transfers.iter().find(|(from, _)| *from == host).map(|(_, speed)| *speed),
            }
        });
        let measured: Vec<Measured> = measured.collect();
        if !measured.is_empty() {
            step.send(ArmorName::Ftm, FtmMessage::Links(measured));
        }
    }

    fn datagram(&mut self, now: Moment, from: HostId, datagram: Datagram, step: &mut Step<Term>) {
        match self.watched.get_mut(&from) {
            Some(watched) => match datagram {
                Datagram::Beat { life, number, late } => {
                    watched.detector.beat(now.boot, life, number, late);
                    if number.is_multiple_of(echo::EVERY) {
                        step.datagram(from, Datagram::Heard { number });
                    }
                }
                Datagram::Probe | Datagram::Answer | Datagram::Heard { .. } => watched.detector.alive(now.boot),
            },
            None => drop(self.others.insert(from, now.boot)),
        }
        match datagram {
            Datagram::Probe => step.datagram(from, Datagram::Answer),
            Datagram::Heard { .. } if self.beat_to.contains(&from) => self.echo.heard(now.boot),
            Datagram::Heard { .. } | Datagram::Beat { .. } | Datagram::Answer => {}
        }
    }

    fn hearing(&self, now: Millis, host: HostId) -> Hearing {
        match (self.watched.get(&host), self.others.get(&host)) {
            (Some(watched), _) => watched.hearing(now),
            (None, heard) => {
                let silent = heard.map_or(Millis(u64::MAX), |&heard| now.since(heard));
                Hearing { silent, bound: FIRST, late: Millis(0), loss_per_mille: 0, knock: None }
            }
        }
    }
}

impl Watched {
    fn hearing(&self, now: Millis) -> Hearing {
        Hearing {
            silent: self.detector.silent(now),
            bound: self.detector.bound(),
            late: self.detector.late(),
            loss_per_mille: self.detector.loss_per_mille(),
            knock: self.knock,
        }
    }

    /// Looks whether the host is still heard, and does what follows.
    fn look(&mut self, now: Millis, host: HostId, step: &mut Step<Term>) {
        let tell = |watched: &Self, step: &mut Step<Term>| {
            step.send(ArmorName::Ftm, FtmMessage::Hears { host, hearing: watched.hearing(now) });
        };
        if !self.detector.is_suspect(now) {
            self.knock = None;
            if matches!(self.alarm, Alarm::Told { .. }) {
                tell(self, step);
            }
            self.alarm = Alarm::Calm;
            return;
        }
        step.datagram(host, Datagram::Probe);
        match self.alarm {
            Alarm::Calm => {
                self.alarm = Alarm::Probing { since: now };
                step.then(Effect::Process(ProcessCommand::Knock { host }));
            }
            Alarm::Probing { since } if now.since(since) >= PROBED_FOR => {
                self.alarm = Alarm::Told { at: now, wait: TOLD_AGAIN.0 };
                tell(self, step);
            }
            Alarm::Told { at, wait } if now.since(at) >= wait => {
                self.alarm = Alarm::Told { at: now, wait: TOLD_AGAIN.1.min(TOLD_AGAIN.0.max(wait + wait)) };
                step.then(Effect::Process(ProcessCommand::Knock { host }));
                tell(self, step);
            }
            Alarm::Probing { .. } | Alarm::Told { .. } => {}
        }
    }
}

impl Armor for Heartbeat {
    type Message = HeartbeatMessage;
    type Record = Term;

    fn apply(&mut self, record: &Term) {
        self.term = *record;
    }

    fn handle(&mut self, now: Moment, event: Event<HeartbeatMessage>) -> Step<Term> {
        let mut step = Step::none();
        match event {
            Event::Message {
                from: ArmorName::Ftm,
                message: HeartbeatMessage::Watch { term, beat_to, watch, keys },
            } if term >= self.term => {
                step.then.extend(keys.into_iter().map(|(host, key)| Effect::Acquaint { host, key }));
                self.watch(now, term, beat_to, &watch, &mut step);
            }
            Event::Message { from, message: HeartbeatMessage::Ask { host } } => {
                step.send(from, FtmMessage::Hears { host, hearing: self.hearing(now.boot, host) });
            }
            Event::Timer(Timer::Beat) => self.tick(now, &mut step),
            Event::Datagram { from, datagram } => self.datagram(now, from, datagram, &mut step),
            Event::Process(ProcessEvent::Knocked { host, knock }) => {
                if let Some(watched) = self.watched.get_mut(&host) {
                    watched.knock = Some(knock);
                }
            }
            Event::Process(ProcessEvent::RoundTrip { host, us }) if self.beat_to.contains(&host) => {
                self.echo.round_trip(host, us);
            }
            Event::Process(ProcessEvent::Transfers(transfers)) => self.tell_measured(&transfers, &mut step),
            // It may have missed that somebody hears this host.
            Event::Link(LinkEvent::Up { peer: ArmorName::Daemon(_), .. }) => self.told_unheard = true,
            // The FTM may have missed what it was told: it is told at the next look.
            Event::Link(LinkEvent::Up { peer: ArmorName::Ftm, .. }) => {
                for watched in self.watched.values_mut() {
                    if let Alarm::Told { wait, .. } = &mut watched.alarm {
                        *wait = Millis(0);
                    }
                }
            }
            Event::Message { .. }
            | Event::Link(_)
            | Event::Timer(_)
            | Event::Slot(_)
            | Event::Process(_)
            | Event::File(_) => {}
        }
        step
    }

    fn resume(&mut self, now: Moment) -> Step<Term> {
        let mut step = Step::none();
        self.ticked = now.boot;
        step.timer(Timer::Beat, TICK);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.ticks, pending: 0 }
    }
}
