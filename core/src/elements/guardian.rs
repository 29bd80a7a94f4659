//! Guards the daemon: the ARMORs of a host see to it that the one who watches them is well.
//!
//! A daemon that died is replaced by whoever takes its lock first. A daemon that is silent is looked
//! at before it is touched: only one that was stopped, or had the CPU and said nothing, is killed.
//! A host too busy to run its daemon is no reason to kill it.

use crate::armor::{Effect, LinkEvent, Moment, Timer};
use crate::names::{ArmorName, Incarnation, Millis};
use crate::world::{ProcessCommand, ProcessEvent, ProcessSample};

/// How often an ARMOR looks whether its daemon is well.
pub const LOOK_EVERY: Millis = Millis(500);
/// How soon it looks again while the link is down. A daemon that has just died may hold its lock still, through a process
/// that it was starting, so that nobody could replace it at once.
pub const REVIVE_AGAIN: Millis = Millis(10);
const REVIVE_AGAIN_MOST: Millis = Millis(80);
/// CPU that a silent daemon may use up: with so much of it, it could have answered on any host, however crowded.
const SPINNING: Millis = Millis(3_000);
/// Silence after which the daemon is looked at.
pub const SILENCE: Millis = Millis(1_000);
/// Silence after which a daemon that sleeps is ended. One that is well replaces a deaf ARMOR sooner, so
/// that the deaf cannot end the hearing; one that hears nobody ends itself.
pub const ASLEEP: Millis = Millis(15_000);

/// What an ARMOR knows of the daemon of its host.
#[derive(Debug)]
pub struct Guardian {
    daemon: ArmorName,
    incarnation: Incarnation,
    linked: bool,
    /// Until the next look.
    pause: Millis,
    heard: Millis,
    /// The first look during this silence.
    looked: Option<(Millis, ProcessSample)>,
}

impl Guardian {
    #[must_use]
    pub fn new(daemon: ArmorName) -> Self {
        let (incarnation, heard) = (Incarnation::default(), Millis::default());
        Guardian { daemon, incarnation, linked: false, pause: LOOK_EVERY, heard, looked: None }
    }

    /// The ARMOR starts: from now on silence counts.
    pub fn start(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.heard = now.boot;
        effects.push(Effect::SetTimer { timer: Timer::Guard, after: LOOK_EVERY });
    }

    /// The daemon said something.
    pub fn heard(&mut self, now: Moment) {
        self.heard = now.boot;
        self.looked = None;
    }

    /// The link to the daemon changed.
    pub fn link(&mut self, now: Moment, event: LinkEvent, effects: &mut Vec<Effect>) {
        match event {
            LinkEvent::Up { peer, incarnation } if peer == self.daemon => {
                self.linked = true;
                self.pause = LOOK_EVERY;
                self.incarnation = incarnation;
                self.heard(now);
            }
            LinkEvent::Down { peer } if peer == self.daemon => {
                self.linked = false;
                self.pause = REVIVE_AGAIN;
                self.revive(effects);
            }
            LinkEvent::Up { .. } | LinkEvent::Down { .. } => {}
        }
    }

    /// Has another daemon started unless one holds the lock, and looks again, ever later, until there is a link.
    fn revive(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Process(ProcessCommand::Revive));
        effects.push(Effect::SetTimer { timer: Timer::Guard, after: self.pause });
        self.pause = REVIVE_AGAIN_MOST.min(self.pause + self.pause);
    }

    /// Time to look.
    pub fn look(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.linked {
            true => effects.push(Effect::SetTimer { timer: Timer::Guard, after: LOOK_EVERY }),
            false => self.revive(effects),
        }
        if now.boot.since(self.heard) < SILENCE {
            return;
        }
        // One that holds its lock and answers no greeting is as hung as one that stopped answering.
        effects.push(Effect::Process(ProcessCommand::Sample { name: self.daemon, incarnation: self.suspect() }));
    }

    /// The life of the daemon that is looked at: the linked one, else whichever there is.
    fn suspect(&self) -> Incarnation {
        if self.linked { self.incarnation } else { Incarnation::default() }
    }

    /// What the system says of the daemon's process.
    pub fn process(&mut self, now: Moment, event: &ProcessEvent, effects: &mut Vec<Effect>) {
        let ProcessEvent::Sampled { name, incarnation, sample } = event else { return };
        if *name != self.daemon || *incarnation != self.suspect() || now.boot.since(self.heard) < SILENCE {
            return;
        }
        let Some((since, first)) = self.looked else {
            self.looked = Some((now.boot, *sample));
            return;
        };
        let window = now.boot.since(since);
        let asleep = !sample.stopped && !sample.spun(&first, window);
        let long_enough = !asleep || now.boot.since(self.heard) >= ASLEEP;
        let had_enough = sample.used(&first, SPINNING);
        if had_enough || (long_enough && sample.could_have_answered(&first, window)) {
            // The next daemon has as much time.
            self.heard(now);
            effects.push(Effect::Process(ProcessCommand::Kill { name: *name, incarnation: *incarnation }));
        }
    }
}

/// A daemon that no ARMOR guards: as it starts, and as its system ends.
#[derive(Debug)]
pub struct Unguarded {
    first: ProcessSample,
    last: Option<ProcessSample>,
}

impl Unguarded {
    /// One that was just started.
    #[must_use]
    pub const fn newborn() -> Self {
        Unguarded { first: ProcessSample { stopped: false, cpu_us: 0, starved_us: 0 }, last: None }
    }

    /// One that lived when it was looked at first.
    #[must_use]
    pub const fn living(first: ProcessSample) -> Self {
        Unguarded { first, last: Some(first) }
    }

    /// Whether it will never get ready: it is stopped at two looks, or has used so much of the CPU.
    pub fn hangs(&mut self, now: ProcessSample) -> bool {
        let stays_stopped = now.stopped && self.last.is_some_and(|last| last.stopped);
        self.last = Some(now);
        stays_stopped || now.used(&self.first, SPINNING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON: ArmorName = ArmorName::Daemon(crate::names::HostId(1));

    fn at(ms: u64) -> Moment {
        Moment { boot: Millis(ms), unix_ms: 0 }
    }

    fn sampled(stopped: bool, cpu_us: u64, starved_us: u64) -> ProcessEvent {
        let sample = ProcessSample { stopped, cpu_us, starved_us };
        ProcessEvent::Sampled { name: DAEMON, incarnation: Incarnation(1), sample }
    }

    /// Looks at a daemon that is silent for so long twice, 500 ms apart, and says whether it is killed.
    fn killed(silent_ms: u64, first: &ProcessEvent, second: &ProcessEvent) -> bool {
        let mut guardian = Guardian::new(DAEMON);
        let mut effects = Vec::new();
        guardian.start(at(0), &mut effects);
        guardian.link(at(0), LinkEvent::Up { peer: DAEMON, incarnation: Incarnation(1) }, &mut effects);
        guardian.process(at(silent_ms - 500), first, &mut effects);
        guardian.process(at(silent_ms), second, &mut effects);
        effects.iter().any(|effect| matches!(effect, Effect::Process(ProcessCommand::Kill { .. })))
    }

    #[test]
    fn only_a_daemon_that_could_have_answered_is_killed() {
        let still = sampled(false, 0, 0);
        assert!(killed(1_500, &sampled(true, 0, 0), &sampled(true, 0, 0)), "stopped");
        assert!(killed(1_500, &still, &sampled(false, 490_000, 0)), "spinning");
        assert!(!killed(1_500, &still, &still), "asleep: perhaps it is this ARMOR that is deaf");
        assert!(killed(15_000, &still, &still), "asleep for long");
        assert!(!killed(15_000, &still, &sampled(false, 20_000, 480_000)), "starved");
        assert!(killed(15_000, &still, &sampled(false, 3_000_000, 47_000_000)), "spinning among many");
    }

    #[test]
    fn a_daemon_that_hangs_where_nobody_guards_it_is_not_waited_for() {
        let of = |stopped, cpu_us| ProcessSample { stopped, cpu_us, starved_us: 0 };
        let (runs, stopped) = (of(false, 40_000), of(true, 40_000));
        assert!(Unguarded::newborn().hangs(of(false, 3_000_000)), "it spins");
        assert!(!Unguarded::living(of(false, 3_000_000)).hangs(of(false, 3_010_000)), "of its whole life");
        assert!(Unguarded::living(stopped).hangs(stopped));
        for (looks, hangs) in [([stopped, stopped], true), ([runs, stopped], false), ([stopped, runs], false)] {
            let mut daemon = Unguarded::newborn();
            assert!(!daemon.hangs(looks[0]), "one look is not enough: {looks:?}");
            assert_eq!(daemon.hangs(looks[1]), hangs, "{looks:?}");
        }
    }

    #[test]
    fn a_deaf_armor_does_not_end_one_daemon_after_the_other() {
        let mut guardian = Guardian::new(DAEMON);
        let mut effects = Vec::new();
        guardian.start(at(0), &mut effects);
        guardian.link(at(0), LinkEvent::Up { peer: DAEMON, incarnation: Incarnation(1) }, &mut effects);
        for look in 1..=118 {
            guardian.process(at(look * 500), &sampled(false, 0, 0), &mut effects);
        }
        let kills = effects.iter().filter(|effect| matches!(effect, Effect::Process(ProcessCommand::Kill { .. })));
        assert_eq!(kills.count(), 3, "in 59 s");
    }

    #[test]
    fn a_closed_link_revives_the_daemon_and_is_not_left_at_one_attempt() {
        let mut guardian = Guardian::new(DAEMON);
        let mut effects = Vec::new();
        guardian.link(at(0), LinkEvent::Down { peer: DAEMON }, &mut effects);
        (0..7).for_each(|look| guardian.look(at(look), &mut effects));
        guardian.link(at(7), LinkEvent::Up { peer: DAEMON, incarnation: Incarnation(2) }, &mut effects);
        guardian.look(at(8), &mut effects);
        let attempts = effects.iter().filter(|effect| **effect == Effect::Process(ProcessCommand::Revive)).count();
        let pauses = effects.iter().filter_map(|effect| match effect {
            Effect::SetTimer { timer: Timer::Guard, after } => Some(after.0),
            _ => None,
        });
        assert_eq!(attempts, 8, "none once there is a link");
        assert_eq!(pauses.collect::<Vec<_>>(), [10, 20, 40, 80, 80, 80, 80, 80, 500]);
    }
}
