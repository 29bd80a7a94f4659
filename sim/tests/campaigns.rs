//! Random campaigns: many seeds, each breaking what it can and then demanding that all ends.

use std::panic;

use chameleon_core::armors::raise;
use chameleon_sim::liveness::{Power, Run, campaign};
use chameleon_sim::trace::Detail;

/// Lines of the trace that come with a failure.
const LINES: usize = 40;

fn run_all(seeds: std::ops::Range<u64>) {
    panic::set_hook(Box::new(|_| {}));
    let broken =
        seeds.map(|seed| campaign(seed, Power::Lasts, raise, Detail::Digest)).find(|run| run.violation.is_some());
    let _ = panic::take_hook();
    if let Some(Run { seed, .. }) = broken {
        panic!("{}", campaign(seed, Power::Lasts, raise, Detail::Everything(LINES)));
    }
}

#[test]
fn no_invariant_breaks_and_every_job_ends_whatever_the_first_seeds_break() {
    run_all(0..150);
}

#[test]
fn no_invariant_breaks_and_every_job_ends_whatever_other_seeds_break() {
    run_all(1_000_000..1_000_150);
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_event() {
    for seed in 0..12 {
        let digest = |detail| campaign(seed, Power::Lasts, raise, detail).digest;
        assert_eq!(digest(Detail::Digest), digest(Detail::Everything(LINES)), "seed {seed}");
    }
    let digests: std::collections::BTreeSet<String> =
        (0..12).map(|seed| campaign(seed, Power::Lasts, raise, Detail::Digest).digest).collect();
    assert_eq!(digests.len(), 12, "other seeds are other runs");
}
