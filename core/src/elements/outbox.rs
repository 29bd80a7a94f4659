//! Numbered things that must reach a peer at least once and in order, whatever dies in between.
//!
//! The owner journals what it puts in, so that a restored outbox numbers as the dead one did; the
//! peer acknowledges what it has saved. Whatever is not acknowledged is said again when the link
//! comes up.

use std::collections::VecDeque;

/// Things on their way to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox<T> {
    /// Number of the first one kept.
    first: u64,
    items: VecDeque<T>,
    /// Number of the first one not said since the link came up.
    unsaid: u64,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Outbox { first: 0, items: VecDeque::new(), unsaid: 0 }
    }
}

impl<T: Clone> Outbox<T> {
    /// Puts one in; returns its number.
    pub fn push(&mut self, item: T) -> u64 {
        self.items.push_back(item);
        self.first + self.items.len() as u64 - 1
    }

    /// The peer has saved all with a number below `below`.
    pub fn kept(&mut self, below: u64) {
        while self.first < below && self.items.pop_front().is_some() {
            self.first += 1;
        }
        self.unsaid = self.unsaid.max(self.first);
    }

    /// The link came up: everything not acknowledged must be said again.
    pub fn repeat(&mut self) {
        self.unsaid = self.first;
    }

    /// Takes at most `most` that were not said yet, with the number of the first.
    pub fn say(&mut self, most: usize) -> Option<(u64, Vec<T>)> {
        let first = self.unsaid;
        let skip = usize::try_from(first - self.first).ok()?;
        let items: Vec<T> = self.items.iter().skip(skip).take(most).cloned().collect();
        if items.is_empty() {
            return None;
        }
        self.unsaid += items.len() as u64;
        Some((first, items))
    }

    /// How many were not said yet.
    #[must_use]
    pub fn unsaid(&self) -> u64 {
        self.first + self.items.len() as u64 - self.unsaid
    }

    /// Whether the peer has saved everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of the oldest one that the peer has not saved, as far as is known.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.first
    }

    /// Number that the next one will get.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.first + self.items.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_acknowledged_is_said_again_in_order() {
        let mut outbox = Outbox::default();
        for letter in ['a', 'b', 'c'] {
            outbox.push(letter);
        }
        assert_eq!(outbox.say(2), Some((0, vec!['a', 'b'])));
        assert_eq!(outbox.say(2), Some((2, vec!['c'])));
        assert_eq!(outbox.say(2), None);
        outbox.kept(1);
        assert_eq!(outbox.oldest(), 1);
        outbox.repeat();
        assert_eq!(outbox.say(9), Some((1, vec!['b', 'c'])));
        outbox.kept(9);
        assert!(outbox.is_empty());
        assert_eq!(outbox.push('d'), 3);
    }

    #[test]
    fn an_acknowledgement_of_what_was_not_said_yet_does_no_harm() {
        let mut outbox = Outbox::default();
        outbox.push('a');
        outbox.kept(5);
        assert_eq!(outbox.next_number(), 1);
        outbox.push('b');
        assert_eq!(outbox.say(9), Some((1, vec!['b'])));
    }
}
