//! The only place that reads clocks, and the timers of one ARMOR.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chameleon_core::armor::{Moment, Timer};
use chameleon_core::names::Millis;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// What time it is: since boot, the same for all processes of the host, and by the calendar.
#[must_use]
pub fn now() -> Moment {
    let millis = |time: Timespec| time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000;
    Moment { boot: Millis(millis(clock_gettime(ClockId::Boottime))), unix_ms: millis(clock_gettime(ClockId::Realtime)) }
}

/// Microseconds since boot, for durations too short for [`now`].
#[must_use]
pub fn micros() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

/// The timers that are set, at most one of each name.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeSet<(Millis, Timer)>,
    set: BTreeMap<Timer, Millis>,
}

impl Timers {
    /// Sets a timer, instead of the one of that name.
    pub fn set(&mut self, timer: Timer, due: Millis) {
        self.cancel(timer);
        self.set.insert(timer, due);
        self.due.insert((due, timer));
    }

    pub fn cancel(&mut self, timer: Timer) {
        if let Some(due) = self.set.remove(&timer) {
            self.due.remove(&(due, timer));
        }
    }

    /// Takes out the timer that is due longest.
    pub fn pop(&mut self, now: Millis) -> Option<Timer> {
        let &(due, timer) = self.due.first()?;
        if due > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }

    /// Waits until a timer is due; for ever if none is set.
    pub async fn next_due(&self) {
        match self.due.first() {
            Some((due, _)) => tokio::time::sleep(Duration::from_millis(due.since(now().boot).0)).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_a_new_one_replaces_its_namesake() {
        let mut timers = Timers::default();
        timers.set(Timer::Beat, Millis(10));
        timers.set(Timer::Flush, Millis(5));
        timers.set(Timer::Deadline, Millis(7));
        timers.set(Timer::Flush, Millis(20));
        timers.cancel(Timer::Deadline);
        assert_eq!(timers.pop(Millis(9)), None);
        assert_eq!(timers.pop(Millis(30)), Some(Timer::Beat));
        assert_eq!(timers.pop(Millis(30)), Some(Timer::Flush));
        assert_eq!(timers.pop(Millis(30)), None);
    }

    #[tokio::test]
    async fn a_timer_that_is_due_is_not_waited_for() {
        let mut timers = Timers::default();
        timers.set(Timer::Beat, now().boot);
        tokio::time::timeout(Duration::from_secs(5), timers.next_due()).await.unwrap();
        assert_eq!(timers.pop(now().boot), Some(Timer::Beat));
    }
}
