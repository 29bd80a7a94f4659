//! The lease of a host: how long what may run at most once goes on there while the FTM is out of reach.
//!
//! Nothing is started twice whether or not a clock is right: a second start is never issued. The lease
//! only lets a person know from when on the first one cannot be going on any more.

use crate::names::Millis;

/// A host that has not heard the FTM for this long ends what may run at most once; by its boot clock.
pub const LEASE: Millis = Millis(10_000);
/// How much slower than ours the boot clock of another host may go, in parts of a hundred.
const DRIFT_PERCENT: u64 = 1;
/// How long it may take to notice the end of a lease, and to kill.
const MARGIN: Millis = Millis(5_000);

/// How long after the FTM was heard last no lease can last any more.
pub const OVER_FOR_CERTAIN: Millis = Millis(LEASE.0 + LEASE.0 * DRIFT_PERCENT / 100 + MARGIN.0);

/// How long it is from now until a lease that was good at `last` is over for certain; 0: it is.
#[must_use]
pub fn left(last: Millis, now: Millis) -> Millis {
    OVER_FOR_CERTAIN.since(now.since(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_for_certain_when_the_slowest_clock_says_so_and_the_kill_is_done() {
        assert_eq!(left(Millis(1_000), Millis(1_000)), Millis(15_100));
        assert_eq!(left(Millis(1_000), Millis(16_099)), Millis(1));
        assert_eq!(left(Millis(1_000), Millis(99_000)), Millis(0));
    }
}
