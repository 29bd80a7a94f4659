//! Small tasks with known answers, by which a host shows that it can be relied on again.
//!
//! Each leans on another part of a machine: integers and branches, floating point as IEEE 754 has it on every machine,
//! memory. The answers are written down and not computed again, because the host that asks may be the faulty one.

use crate::names::Digest;

/// The digests of what the tasks result in, in short.
const ANSWERS: [&str; 3] = ["c8e1ec56", "adc80ebb", "982ccece"];
/// How many there are.
pub const TASKS: u32 = 3;

const STEPS: u64 = 1 << 14;

/// Does the task of this number; the numbers go round.
#[must_use]
pub fn run(number: u32) -> Digest {
    let hasher = match number % TASKS {
        0 => integers(),
        1 => fractions(),
        _ => memory(),
    };
    Digest(*hasher.finalize().as_bytes())
}

/// Whether this is the answer to the task of this number.
#[must_use]
pub fn is_right(number: u32, answer: Digest) -> bool {
    ANSWERS[(number % TASKS) as usize] == answer.short()
}

/// The next number of a sequence that looks random (Marsaglia, "Xorshift RNGs", 2003).
fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// The lengths of Collatz sequences.
fn integers() -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    for start in 1..STEPS / 8 {
        let (mut number, mut length) = (start, 0u64);
        while number > 1 {
            number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
            length += 1;
        }
        hasher.update(&length.to_le_bytes());
    }
    hasher
}

/// A chaotic orbit: one wrong bit is another orbit. Only operations that are rounded alike everywhere.
fn fractions() -> blake3::Hasher {
    let (mut hasher, mut x) = (blake3::Hasher::new(), 0.375_f64);
    for step in 0..STEPS {
        x = 3.9 * x * (1.0 - x);
        if step % 64 == 0 {
            hasher.update(&(x.sqrt() / 3.0).to_bits().to_le_bytes());
        }
    }
    hasher
}

/// Sorts what looks random, in a megabyte or less.
fn memory() -> blake3::Hasher {
    let mut numbers: Vec<u64> =
        std::iter::successors(Some(1), |state| Some(xorshift(*state))).take(STEPS as usize).collect();
    numbers.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    hasher
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_its_known_answer_and_no_other() {
        let answers: Vec<Digest> = (0..TASKS).map(run).collect();
        assert_eq!(answers.iter().map(|answer| answer.short()).collect::<Vec<_>>(), ANSWERS);
        for number in 0..2 * TASKS {
            let right: Vec<bool> = answers.iter().map(|answer| is_right(number, *answer)).collect();
            assert_eq!(right.iter().filter(|right| **right).count(), 1);
            assert!(right[(number % TASKS) as usize]);
        }
    }
}
