//! Invented time: it stands still until the next thing on the agenda happens.
//!
//! Things due at the same microsecond happen in an order drawn from the seed, so that no two of them
//! are accidentally always in the same order.

use std::collections::BTreeMap;

use chameleon_core::armor::Moment;
use chameleon_core::names::Millis;

use crate::chance::Chance;

/// The first moment of every invented world, in milliseconds since 1970.
const DAWN_UNIX_MS: u64 = 1_800_000_000_000;

/// What is going to happen, and when.
#[derive(Debug)]
pub struct Agenda<T> {
    now_us: u64,
    booted_us: u64,
    entries: u64,
    due: BTreeMap<(u64, u64, u64), T>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Agenda { now_us: 0, booted_us: 0, entries: 0, due: BTreeMap::new() }
    }
}

impl<T> Agenda<T> {
    /// Microseconds since the world began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// The time as an ARMOR is told it.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let boot = Millis((self.now_us - self.booted_us) / 1_000);
        Moment { boot, unix_ms: DAWN_UNIX_MS + self.now_us / 1_000 }
    }

    /// The machine boots now: the clock that counts from there starts again.
    pub fn boot(&mut self) {
        self.booted_us = self.now_us;
    }

    /// Lets something happen at this time, or now if that is past.
    pub fn at(&mut self, at_us: u64, chance: &mut Chance, what: T) {
        self.entries += 1;
        self.due.insert((at_us.max(self.now_us), chance.number(), self.entries), what);
    }

    /// Goes on to what happens next, unless that is later than `until_us`.
    pub fn next(&mut self, until_us: u64) -> Option<T> {
        let first = self.due.first_entry()?;
        let at_us = first.key().0;
        if at_us > until_us {
            return None;
        }
        self.now_us = at_us;
        Some(first.remove())
    }

    /// Nothing happens until then.
    pub fn skip_to(&mut self, until_us: u64) {
        self.now_us = self.now_us.max(until_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_order_of_time_and_ties_are_drawn() {
        let order = |seed| -> Vec<u32> {
            let (mut agenda, mut chance) = (Agenda::default(), Chance::of(seed));
            agenda.at(20, &mut chance, 100);
            (0..8).for_each(|number| agenda.at(10, &mut chance, number));
            std::iter::from_fn(|| agenda.next(u64::MAX)).collect()
        };
        assert_eq!(order(1).last(), Some(&100), "the later comes last");
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2), "ties are drawn");
    }

    #[test]
    fn a_boot_starts_the_clock_of_differences_and_not_the_calendar() {
        let mut agenda = Agenda::<()>::default();
        agenda.skip_to(5_000_000);
        agenda.boot();
        agenda.skip_to(6_000_000);
        assert_eq!(agenda.moment(), Moment { boot: Millis(1_000), unix_ms: DAWN_UNIX_MS + 6_000 });
    }
}
