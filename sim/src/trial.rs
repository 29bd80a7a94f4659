//! One job of one user, in a world in which nothing strikes but what the job itself brings along.

use chameleon_core::job::Job;

use crate::invariants::Violation;
use crate::trace::Detail;
use crate::user::{Fate, User};
use crate::world::{Raise, World};

/// A job without faults in its surroundings ends within so long, in microseconds.
const ENDS_WITHIN_US: u64 = 600_000_000;

/// What the user saw of the job.
///
/// # Errors
/// An invariant was broken, or the job did not end.
pub fn run(job: Job, seed: u64, raise: Raise) -> Result<Fate, Violation> {
    let mut world = World::new(seed, 1, raise, Detail::Digest);
    world.expect_user(1, User::new(job), 20_000);
    world.run(ENDS_WITHIN_US, |world| world.users.values().all(User::is_done));
    let fate = world.users.get(&1).map(|user| user.fate.clone()).unwrap_or_default();
    match world.broken {
        Some(violation) => Err(violation),
        None if fate.ending.is_none() => {
            let (at_us, text) = (world.agenda.now_us(), "the job did not end".to_owned());
            Err(Violation { invariant: "every accepted job ends", at_us, text })
        }
        None => Ok(fate),
    }
}
