//! What repeated executions show, before anyone is accused (D10).
//!
//! A winner and the loser repeat the task where they are. A lane that disagrees with itself means a
//! nondeterministic program, with one exception: a loser that comes to the winning value while the
//! winner stands by it is what a transient fault looks like, and masking those is what voting is
//! for. A program with two equally likely outcomes would look the same by luck once in
//! 2^(2 × repetitions), or, if the loser came to both values, once in 2^repetitions, since then only
//! the winner's steadiness speaks for a fault; the report says so.

use crate::message::{Diagnosis, Value};
use crate::names::{Attempt, LaneId};

/// A lane's ballot, and what its repetitions came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Testimony {
    pub lane: LaneId,
    pub ballot: Value,
    /// `None`: the repetition could not be finished.
    pub again: Vec<Option<Value>>,
}

/// Judges a dispute that has a winner.
#[must_use]
pub fn with_winner(winner: &Testimony, loser: &Testimony) -> Diagnosis {
    if let Some(diagnosis) = wavering(winner, winner.ballot, winner.ballot) {
        return diagnosis;
    }
    if let Some(diagnosis) = wavering(loser, loser.ballot, winner.ballot) {
        return diagnosis;
    }
    if loser.again.is_empty() || winner.again.iter().chain(&loser.again).any(Option::is_none) {
        return Diagnosis::Inconclusive;
    }
    let attempts = u32::try_from(loser.again.len()).unwrap_or(u32::MAX);
    if loser.again.iter().all(|again| *again == Some(loser.ballot)) {
        return Diagnosis::LaneFaulty { lane: loser.lane, attempts: Attempt(attempts + 1) };
    }
    let is_steady = loser.again.iter().all(|again| *again == Some(winner.ballot));
    let tosses = if is_steady { 2 * attempts } else { attempts };
    Diagnosis::Transient { lane: loser.lane, chance: 1 << tosses.min(63) }
}

/// Judges a dispute that nobody won: two lanes that voted differently.
#[must_use]
pub fn without_winner(one: &Testimony, other: &Testimony) -> Diagnosis {
    let verdict = wavering(one, one.ballot, one.ballot).or_else(|| wavering(other, other.ballot, other.ballot));
    let unfinished = one.again.iter().chain(&other.again).any(Option::is_none);
    verdict.unwrap_or(if unfinished { Diagnosis::Inconclusive } else { Diagnosis::Divided })
}

/// Nondeterminism, if a repetition came to neither of the two values.
fn wavering(testimony: &Testimony, own: Value, winning: Value) -> Option<Diagnosis> {
    let strange = |again: &&Value| **again != own && **again != winning;
    let again = testimony.again.iter().flatten().find(strange)?;
    Some(Diagnosis::Nondeterministic { lane: testimony.lane, first: testimony.ballot, again: *again })
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

    /// `"a:ab?"`: voted a, then came to a, to b, and to nothing.
    fn testimony(lane: u16, text: &str) -> Testimony {
        let (ballot, again) = text.split_once(':').unwrap();
        let again = again.chars().map(|letter| (letter != '?').then(|| value(letter))).collect();
        Testimony { lane: LaneId(lane), ballot: value(ballot.chars().next().unwrap()), again }
    }

    fn word(diagnosis: &Diagnosis) -> String {
        match diagnosis {
            Diagnosis::Nondeterministic { lane, .. } => format!("nondeterministic by {lane}"),
            Diagnosis::Transient { lane, chance } => format!("transient in {lane}, 1 in {chance}"),
            Diagnosis::LaneFaulty { lane, attempts } => format!("{lane} faulty, {} times", attempts.0),
            Diagnosis::Divided => "divided".to_owned(),
            Diagnosis::Inconclusive => "inconclusive".to_owned(),
        }
    }

    #[test]
    fn a_dispute_with_a_winner_is_judged_by_this_table() {
        let table = [
            ("w:ww", "x:xx", "l1 faulty, 3 times"),
            ("w:ww", "x:ww", "transient in l1, 1 in 16"),
            ("w:ww", "x:xw", "transient in l1, 1 in 4"),
            ("w:ww", "x:y", "nondeterministic by l1"),
            ("w:wx", "x:xx", "nondeterministic by l0"),
            ("w:z?", "x:ww", "nondeterministic by l0"),
            ("w:w?", "x:ww", "inconclusive"),
            ("w:", "x:", "inconclusive"),
            ("w:ww", "x:??", "inconclusive"),
        ];
        for (winner, loser, expected) in table {
            assert_eq!(word(&with_winner(&testimony(0, winner), &testimony(1, loser))), expected, "{winner} {loser}");
        }
    }

    #[test]
    fn a_dispute_without_a_winner_is_judged_by_this_table() {
        let table = [
            ("a:aa", "b:bb", "divided"),
            ("a:ab", "b:bb", "nondeterministic by l0"),
            ("a:aa", "b:ba", "nondeterministic by l1"),
            ("a:a?", "b:bb", "inconclusive"),
        ];
        for (one, other, expected) in table {
            assert_eq!(word(&without_winner(&testimony(0, one), &testimony(1, other))), expected, "{one} {other}");
        }
    }
}
