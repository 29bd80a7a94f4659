//! When a host is trusted no more, and when it is again: decided from its record alone.
//!
//! ```text
//!              enough incidents in an hour              the wait is over
//!   Trusted ──────────────────────────────► Quarantined ────────────────► On parole
//!      ▲                                      ▲   each wait is twice as        │
//!      │                                      │   long as the one before       │
//!      │                                      └──── any incident, a test ──────┤
//!      │                                            task done wrong            │
//!      └───────────────── all test tasks done right, or a person ◄─────────────┘
//! ```
//!
//! Times are of the calendar, because a record outlives the reign, and perhaps the machine, of the FTM
//! that keeps it. A clock that is set makes a wait shorter or longer and nothing unsafe.

use crate::message::{Conduct, Incident, Quarantine};
use crate::names::Millis;

/// So many incidents within so long are no accident.
pub const INCIDENTS: usize = 3;
const WITHIN_MS: u64 = 3_600_000;
/// How long the first quarantine is, and the longest.
const WAIT: (Millis, Millis) = (Millis(10_000), Millis(4 * 3_600_000));
/// Incidents that are kept on record; the oldest go first.
const KEPT: usize = 32;

impl Conduct {
    /// Whether it gets lanes.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.quarantine.is_none()
    }

    /// An incident goes on record. A job blames a host once, however many of its tasks show it.
    pub fn put_down(&mut self, unix_ms: u64, what: Incident) {
        let known = |(_, other): &(u64, Incident)| matches!(what, Incident::Blamed(_)) && *other == what;
        if !self.incidents.iter().any(known) {
            self.incidents.push((unix_ms, what));
            self.incidents.drain(..self.incidents.len().saturating_sub(KEPT));
        }
    }

    /// Whether what is on record is reason for a quarantine: enough while it is trusted, anything while it is on
    /// parole.
    #[must_use]
    pub fn is_flaky(&self, unix_ms: u64) -> bool {
        match self.quarantine {
            None => {
                let since = self.counts_from_unix_ms.max(unix_ms.saturating_sub(WITHIN_MS));
                self.incidents.iter().filter(|(at, _)| *at >= since).count() >= INCIDENTS
            }
            Some(quarantine) => quarantine.parole.is_some(),
        }
    }

    /// It gets no lanes for twice as long as the last time.
    pub fn quarantine(&mut self, unix_ms: u64) {
        let wait = WAIT.0.0.saturating_mul(1 << self.times.min(32)).min(WAIT.1.0);
        self.times += 1;
        self.quarantine = Some(Quarantine { since_unix_ms: unix_ms, wait: Millis(wait), parole: None });
    }

    /// How long it is until it may be tested; 0: it may be.
    #[must_use]
    pub fn wait(&self, unix_ms: u64) -> Option<Millis> {
        let quarantine = self.quarantine.filter(|quarantine| quarantine.parole.is_none())?;
        Some(quarantine.wait.since(Millis(unix_ms.saturating_sub(quarantine.since_unix_ms))))
    }

    /// It is tested from now on.
    pub fn parole(&mut self) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.parole = Some(0);
            self.paroles += 1;
        }
    }

    /// It is trusted again: what was counts no more, but for how long the next quarantine is.
    pub fn trust(&mut self, unix_ms: u64) {
        (self.quarantine, self.counts_from_unix_ms) = (None, unix_ms + 1);
    }

    /// A person has looked after it: the next quarantine is as short as the first.
    pub fn pardon(&mut self, unix_ms: u64) {
        self.trust(unix_ms);
        self.times = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HostFault;
    use crate::names::JobId;

    const HOUR: u64 = WITHIN_MS;
    const LOST: Incident = Incident::Lost(HostFault::Dead);

    fn after(incidents: &[(u64, Incident)]) -> Conduct {
        let mut conduct = Conduct::default();
        incidents.iter().for_each(|&(at, what)| conduct.put_down(at, what));
        conduct
    }

    #[test]
    fn enough_incidents_within_an_hour_are_no_accident() {
        let (blamed, other) = (Incident::Blamed(JobId(1)), Incident::Blamed(JobId(2)));
        let table = [
            ("two are an accident", vec![(1, LOST), (2, LOST)], 3, false),
            ("three of any kind are none", vec![(1, LOST), (2, Incident::DaemonDied), (3, other)], 3, true),
            ("one of three is too old", vec![(1, LOST), (HOUR, LOST), (HOUR + 1, LOST)], HOUR + 2, false),
            ("a job blames a host once", vec![(1, blamed), (2, blamed), (3, blamed)], 3, false),
            ("several jobs are several", vec![(1, blamed), (2, other), (3, LOST)], 3, true),
        ];
        for (what, incidents, now, expected) in table {
            assert_eq!(after(&incidents).is_flaky(now), expected, "{what}");
        }
    }

    #[test]
    fn each_quarantine_is_longer_until_a_person_pardons() {
        let mut conduct = Conduct::default();
        let mut waits = Vec::new();
        for _ in 0..20 {
            conduct.quarantine(1_000);
            waits.push(conduct.wait(1_000).unwrap().0);
            conduct.trust(1_000);
        }
        assert_eq!(waits[..3], [10_000, 20_000, 40_000]);
        assert_eq!(waits[19], WAIT.1.0, "and no longer than the longest");
        conduct.pardon(2_000);
        conduct.quarantine(3_000);
        assert_eq!(conduct.wait(9_000), Some(Millis(4_000)));
        assert_eq!(conduct.wait(0), Some(WAIT.0), "a clock that was set back makes nothing shorter");
    }

    #[test]
    fn on_parole_one_incident_is_enough_and_what_was_before_counts_no_more() {
        let mut conduct = after(&[(1, LOST), (2, LOST), (3, LOST)]);
        conduct.quarantine(3);
        assert!(!conduct.is_flaky(4), "it is in quarantine already");
        conduct.parole();
        assert!(conduct.is_flaky(20_000) && conduct.wait(20_000).is_none());
        conduct.trust(20_000);
        assert!(!conduct.is_flaky(20_001));
        (1..40).for_each(|at| conduct.put_down(30_000 + at, LOST));
        assert_eq!((conduct.incidents.len(), conduct.is_flaky(30_040)), (KEPT, true));
    }
}
