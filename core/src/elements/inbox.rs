//! The other end of an outbox: what arrives twice counts once, and what arrives early waits to be
//! said again.

use std::collections::BTreeMap;

/// The next number expected from each peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox<P> {
    next: BTreeMap<P, u64>,
}

impl<P> Default for Inbox<P> {
    fn default() -> Self {
        Inbox { next: BTreeMap::new() }
    }
}

impl<P: Ord + Copy> Inbox<P> {
    /// How many of a batch to skip because they came before; `None` if there is a gap before it, so
    /// that the whole batch must wait until the peer says it again.
    #[must_use]
    pub fn skip(&self, from: P, first: u64) -> Option<usize> {
        let next = self.next_from(from);
        (first <= next).then(|| usize::try_from(next - first).unwrap_or(usize::MAX))
    }

    /// One more from this peer is taken in.
    pub fn take(&mut self, from: P) {
        *self.next.entry(from).or_default() += 1;
    }

    /// All with a number below `next` were taken in before: said by records when they are read again.
    pub fn reach(&mut self, from: P, next: u64) {
        let known = self.next.entry(from).or_default();
        *known = next.max(*known);
    }

    /// The peer numbers anew, from here.
    pub fn restart(&mut self, from: P, next: u64) {
        self.next.insert(from, next);
    }

    /// Nothing more is expected from this peer.
    pub fn forget(&mut self, from: P) {
        self.next.remove(&from);
    }

    /// Number of the next one expected.
    #[must_use]
    pub fn next_from(&self, from: P) -> u64 {
        self.next.get(&from).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_ones_are_skipped_and_gaps_are_not_jumped() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.skip('x', 0), Some(0));
        inbox.take('x');
        inbox.take('x');
        assert_eq!(inbox.skip('x', 0), Some(2));
        assert_eq!(inbox.skip('x', 2), Some(0));
        assert_eq!(inbox.skip('x', 3), None);
        assert_eq!(inbox.skip('y', 0), Some(0));
    }
}
