//! How long a host may be silent before it is suspected: an adaptive failure detector.
//!
//! Beats are numbered and come every [`PERIOD`]. From those that came, the arrival of the next one is
//! estimated, and the bound is set beyond it:
//!
//! ```text
//! expected(l+1) = mean over the last beats of (arrival - PERIOD · number) + PERIOD · (l+1)
//! bound         = expected(l+1) + (m - 1) · PERIOD + 4 · deviation + 2 · late
//! m             = the least number of beats in a row that all being lost has a chance below 1 : 10⁴
//! ```
//!
//! The estimate is NFD-E (Chen, Toueg, Aguilera, "On the Quality of Service of Failure Detectors", IEEE
//! Transactions on Computers 51, 2002, section 6.3); the deviation is Jacobson's ("Congestion Avoidance
//! and Control", SIGCOMM 1988). Two things are ours: `m` follows the loss that was measured, and
//! `late` is how late the sender's own timer was, which it says in each beat: a host that is merely
//! slow stretches the bound before it crosses it. What the observer itself slept through counts for
//! nothing ([`Detector::excuse`]).

use std::collections::VecDeque;

use crate::names::{Incarnation, Millis};

/// How often a beat is sent.
pub const PERIOD: Millis = Millis(100);
/// Beats from which the next arrival is estimated.
const WINDOW: usize = 32;
/// Beats in a row that may be lost, at least and at most, before it is no accident.
const LOST_IN_A_ROW: (u32, u32) = (3, 20);
/// The loss is counted in parts of this, so that every machine computes the same.
const WHOLE: u64 = 1 << 16;
/// So many lost in a row are an accident at most once in so many beats.
const CHANCE: u64 = 10_000;
/// A host that was never heard may take so long to begin.
pub const FIRST: Millis = Millis(1_500);

/// What is known of the beats of one host.
#[derive(Debug, Clone)]
pub struct Detector {
    life: Incarnation,
    /// Numbers and arrivals of the last beats, in order of numbers.
    beats: VecDeque<(u64, Millis)>,
    /// When anything was heard last, or the observation began.
    heard: Millis,
    /// Time since then that the observer slept through.
    excused: Millis,
    /// Smoothed share of beats that never came, of [`WHOLE`], and deviation of arrivals, in eighths of a ms.
    loss: u64,
    deviation: u64,
    /// The sender's own lateness, decaying.
    late: Millis,
}

impl Detector {
    /// Observes from now on.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Detector {
            life: Incarnation::default(),
            beats: VecDeque::new(),
            heard: now,
            excused: Millis(0),
            loss: 0,
            deviation: 0,
            late: Millis(0),
        }
    }

    /// A beat came. One of an earlier life, or that came before, says nothing.
    pub fn beat(&mut self, now: Millis, life: Incarnation, number: u64, late: Millis) {
        if life > self.life {
            *self = Detector { life, ..Detector::new(now) };
        }
        let last = self.beats.back().map(|&(last, _)| last);
        if life < self.life || last.is_some_and(|last| number <= last) {
            return;
        }
        if let Some(last) = last {
            let missed = u32::try_from(number - last - 1).unwrap_or(u32::MAX).min(LOST_IN_A_ROW.1);
            (0..missed).for_each(|_| self.loss += (WHOLE - self.loss) / 32);
            self.loss -= self.loss / 32;
            let off = now.0.abs_diff(self.expected(number).0);
            self.deviation = self.deviation - self.deviation / 8 + off;
        }
        self.beats.push_back((number, now));
        if self.beats.len() > WINDOW {
            self.beats.pop_front();
        }
        self.late = late.max(Millis(self.late.0 * 7 / 8));
        self.alive(now);
    }

    /// Something other than a beat came: it lives.
    pub fn alive(&mut self, now: Millis) {
        self.heard = now;
        self.excused = Millis(0);
    }

    /// The observer itself was held up for so long.
    pub fn excuse(&mut self, held_up: Millis) {
        self.excused = self.excused + held_up;
    }

    /// For how long nothing was heard, beyond what the observer slept through.
    #[must_use]
    pub fn silent(&self, now: Millis) -> Millis {
        now.since(self.heard + self.excused)
    }

    /// The longest silence that may be an accident.
    #[must_use]
    pub fn bound(&self) -> Millis {
        let Some(&(last, _)) = self.beats.back() else { return FIRST };
        let due = self.expected(last + 1).since(self.heard);
        let beyond = u64::from(self.in_a_row() - 1) * PERIOD.0;
        Millis(due.0.max(PERIOD.0) + beyond + self.deviation / 2 + 2 * self.late.0)
    }

    /// Whether it has been silent for longer than may be an accident.
    #[must_use]
    pub fn is_suspect(&self, now: Millis) -> bool {
        self.silent(now) > self.bound()
    }

    /// How late the sender's own timer was of late.
    #[must_use]
    pub fn late(&self) -> Millis {
        self.late
    }

    /// Whether enough beats came to say how many are lost.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        self.beats.len() > 1
    }

    /// Share of beats that never came, per mille.
    #[must_use]
    pub fn loss_per_mille(&self) -> u16 {
        u16::try_from(self.loss * 1_000 / WHOLE).unwrap_or(u16::MAX)
    }

    /// When this beat is expected, by those that came.
    fn expected(&self, number: u64) -> Millis {
        let Some(&(first, _)) = self.beats.front() else { return self.heard };
        let offsets = self.beats.iter().map(|&(number, at)| at.0.saturating_sub((number - first) * PERIOD.0));
        let mean = offsets.sum::<u64>() / self.beats.len() as u64;
        Millis(mean + number.saturating_sub(first) * PERIOD.0)
    }

    /// How many beats may be lost in a row by accident, and one more.
    fn in_a_row(&self) -> u32 {
        let (least, most) = LOST_IN_A_ROW;
        let all_lost = |count| (0..count).fold(WHOLE, |chance, _| chance * self.loss / WHOLE);
        (least..most).find(|&count| all_lost(count) * CHANCE < WHOLE).unwrap_or(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Incarnation = Incarnation(1);

    /// Hears a beat every period for so long, of which every `lost`-th is lost; each `jitter` late at times.
    fn heard(beats: u64, lost: u64, jitter: u64) -> Detector {
        let mut detector = Detector::new(Millis(0));
        for number in (1..=beats).filter(|number| lost == 0 || number % lost != 0) {
            let off = if number % 3 == 0 { jitter } else { 0 };
            detector.beat(Millis(number * PERIOD.0 + off), LIFE, number, Millis(0));
        }
        detector
    }

    #[test]
    fn the_bound_follows_loss_and_jitter() {
        let table = [
            ("all come, in time", heard(100, 0, 0), 300, 320),
            ("one in twenty is lost", heard(399, 20, 0), 300, 450),
            ("one in three is lost", heard(400, 3, 0), 700, 1_300),
            ("at times 60 ms late", heard(100, 0, 60), 350, 560),
        ];
        for (what, detector, least, most) in table {
            let bound = detector.bound().0;
            assert!((least..=most).contains(&bound), "{what}: {bound}");
        }
    }

    #[test]
    fn a_sender_that_says_it_was_late_is_given_time() {
        let mut detector = heard(50, 0, 0);
        let before = detector.bound();
        detector.beat(Millis(51 * PERIOD.0 + 200), LIFE, 51, Millis(200));
        assert!(detector.bound().0 >= before.0 + 400);
        (52..90).for_each(|number| detector.beat(Millis(number * PERIOD.0), LIFE, number, Millis(0)));
        assert!(detector.bound().0 < before.0 + 60, "and is not given it for ever: {}", detector.bound());
    }

    #[test]
    fn what_the_observer_slept_through_counts_for_nothing() {
        let mut detector = heard(50, 0, 0);
        let now = Millis(50 * PERIOD.0 + 5_000);
        assert!(detector.is_suspect(now));
        detector.excuse(Millis(4_900));
        assert!(!detector.is_suspect(now));
        assert!(detector.is_suspect(now + Millis(500)));
    }

    #[test]
    fn a_new_life_begins_its_own_numbers_and_an_old_one_is_not_heard() {
        let mut detector = heard(50, 0, 0);
        let now = Millis(6_000);
        detector.beat(now, Incarnation(2), 1, Millis(0));
        assert_eq!(detector.silent(now), Millis(0));
        detector.beat(now + Millis(900), LIFE, 99, Millis(0));
        assert!(detector.is_suspect(now + Millis(900)));
    }

    #[test]
    fn one_that_was_never_heard_has_its_time_to_begin() {
        let detector = Detector::new(Millis(10));
        assert!(!detector.is_suspect(Millis(10) + FIRST));
        assert!(detector.is_suspect(Millis(11) + FIRST));
    }
}
