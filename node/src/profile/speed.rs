//! How fast one core is at a fixed piece of work, to compare hosts with each other.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each trial takes at least; the best of some counts, because a trial may be disturbed.
const TRIAL: Duration = Duration::from_millis(4);
const TRIALS: u32 = 3;

/// Runs of the piece of work a second.
pub fn measure() -> u64 {
    (0..TRIALS).map(|_| trial()).max().unwrap_or_default()
}

fn trial() -> u64 {
    let began = Instant::now();
    let mut runs = 0_u64;
    while began.elapsed() < TRIAL {
        black_box(work(black_box(runs)));
        runs += 1;
    }
    let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
    runs.saturating_mul(1_000_000_000) / nanos
}

/// Whole numbers, fractions and memory in about equal parts.
fn work(seed: u64) -> f64 {
    let mut table = [0_u64; 512];
    let (mut state, mut sum) = (seed | 1, 0.0);
    for step in 0..2_000_usize {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let place = &mut table[(state as usize ^ step) % 512];
        *place = place.wrapping_add(state);
        sum += (*place as f64).sqrt();
    }
    sum
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_core_does_some_work() {
        assert!(super::measure() > 0);
    }
}
