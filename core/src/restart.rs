//! When something that died is started again: a six-line rule that never gives up silently.

use crate::names::Millis;
use crate::strategy::Restart;

/// How long to wait before the next start after `earlier` deaths were already answered by a restart.
/// The first comes at once: most faults are transient. `None`: the limit is reached, and whoever
/// asked must say so.
#[must_use]
pub fn delay(policy: &Restart, earlier: u32) -> Option<Millis> {
    if earlier >= policy.limit {
        return None;
    }
    let Some(again) = earlier.checked_sub(1) else { return Some(Millis(0)) };
    let doubled = policy.backoff.0.saturating_mul(1u64.checked_shl(again).unwrap_or(u64::MAX));
    Some(Millis(doubled.min(policy.backoff_most.0)))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_end_at_the_limit() {
        let policy = Restart { limit: 5, backoff: Millis(10), backoff_most: Millis(50) };
        let waits: Vec<_> = (0..6).map(|earlier| delay(&policy, earlier).map(|wait| wait.0)).collect();
        assert_eq!(waits, [Some(0), Some(10), Some(20), Some(40), Some(50), None]);
        let endless = Restart { limit: u32::MAX, ..policy };
        assert_eq!(delay(&endless, 4_000), Some(Millis(50)));
    }
}
