//! Where a vote is decided: k equal ballots of n lanes.
//!
//! [`tally`] is a pure function with a named outcome; `testdata/tally.txt` is its test. [`prefix`]
//! does the same for output that is still growing, [`diagnosis`] says what repeated executions show.

pub mod diagnosis;
pub mod open;
pub mod prefix;

use std::collections::BTreeMap;

use crate::message::{Rule, Value};
use crate::names::LaneId;

/// What a lane has to say about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    Cast(Value),
    /// It contradicted itself: its vote counts for nothing.
    Voided,
    /// It will not vote.
    Absent,
}

/// The state of a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tally {
    /// Votes that could decide it are missing.
    Pending,
    /// At least the quorum agrees on this value.
    Won(Value),
    /// No value can reach the quorum any more.
    Lost,
}

/// Counts the votes of the lanes `0..rule.lanes`; a lane without a vote may still cast one.
#[must_use]
pub fn tally(rule: Rule, votes: &BTreeMap<LaneId, Vote>) -> Tally {
    let mut counts: BTreeMap<Value, u16> = BTreeMap::new();
    let mut silent = rule.lanes;
    for (_, vote) in votes.range(..LaneId(rule.lanes)) {
        silent -= 1;
        if let Vote::Cast(value) = vote {
            *counts.entry(*value).or_default() += 1;
        }
    }
    match counts.iter().max_by_key(|(_, count)| **count) {
        Some((value, &count)) if count >= rule.quorum => Tally::Won(*value),
        best if best.map_or(0, |(_, &count)| count) + silent >= rule.quorum => Tally::Pending,
        _ => Tally::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Digest;
    use crate::world::End;

    fn value(letter: char) -> Value {
        let byte = u8::try_from(letter).unwrap();
        Value { end: End::Exit(0), stdout: Digest([byte; 32]), length: 1, changes: Digest::default() }
    }

    fn votes(letters: &str) -> BTreeMap<LaneId, Vote> {
        let vote = |letter| match letter {
            '.' => None,
            '-' => Some(Vote::Absent),
            '!' => Some(Vote::Voided),
            letter => Some(Vote::Cast(value(letter))),
        };
        (0..).zip(letters.chars()).filter_map(|(lane, letter)| Some((LaneId(lane), vote(letter)?))).collect()
    }

    /// Each line: k/n, the lanes' votes in order (a letter a value, `.` silent, `-` absent, `!` voided), outcome.
    #[test]
    fn the_table_of_votes_holds() {
        let mut lines = 0;
        for line in include_str!("testdata/tally.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (quorum, lanes) = words[0].split_once('/').unwrap();
            let rule = Rule { lanes: lanes.parse().unwrap(), quorum: quorum.parse().unwrap() };
            let expected = match words[2] {
                "pending" => Tally::Pending,
                "lost" => Tally::Lost,
                won => Tally::Won(value(won.strip_prefix("won:").unwrap().chars().next().unwrap())),
            };
            assert_eq!(tally(rule, &votes(words[1])), expected, "{line}");
            lines += 1;
        }
        assert!(lines > 20, "the table was read");
    }
}
