//! When something that died is started again, and when that stops.
//!
//! The wait doubles so that what dies at once does not eat the machine; the limit is an outcome of
//! its own, because giving up is a decision that somebody must be told.

use crate::names::Millis;
use crate::strategy::Restart;

/// What is done about a death.
#[must_use = "giving up is told to whoever waits for it"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start again after this long.
    After(Millis),
    /// The limit is reached.
    GiveUp,
}

/// Decides about one more death after `made` restarts.
pub fn next(policy: &Restart, made: u32) -> Next {
    if made >= policy.limit {
        return Next::GiveUp;
    }
    let doubled = policy.backoff.0.saturating_mul(1u64.checked_shl(made).unwrap_or(u64::MAX));
    Next::After(Millis(doubled.min(policy.backoff_most.0)))
}

/// As [`next`], for a program: the first restart comes at once, since most faults are transient, and
/// the waits begin with the second.
pub fn of_program(policy: &Restart, made: u32) -> Next {
    match (next(policy, made), made.checked_sub(1)) {
        (Next::GiveUp, _) => Next::GiveUp,
        (Next::After(_), None) => Next::After(Millis(0)),
        (Next::After(_), Some(waited)) => next(policy, waited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_most_and_ends_at_the_limit() {
        let policy = Restart { limit: 5, backoff: Millis(10), backoff_most: Millis(50) };
        let waits: Vec<Next> = (0..6).map(|made| next(&policy, made)).collect();
        let after = |ms| Next::After(Millis(ms));
        assert_eq!(waits, [after(10), after(20), after(40), after(50), after(50), Next::GiveUp]);
    }

    #[test]
    fn a_program_is_restarted_at_once_and_then_with_waits() {
        let policy = Restart { limit: 3, backoff: Millis(10), backoff_most: Millis(50) };
        let waits: Vec<Next> = (0..4).map(|made| of_program(&policy, made)).collect();
        let after = |ms| Next::After(Millis(ms));
        assert_eq!(waits, [after(0), after(10), after(20), Next::GiveUp]);
    }

    #[test]
    fn no_number_of_restarts_overflows() {
        let policy = Restart { limit: u32::MAX, backoff: Millis(u64::MAX), backoff_most: Millis(9) };
        for made in [0, 63, 64, 65, u32::MAX - 1] {
            assert_eq!(next(&policy, made), Next::After(Millis(9)));
        }
        let none = Restart { limit: 0, ..policy };
        assert_eq!(next(&none, 0), Next::GiveUp);
    }
}
