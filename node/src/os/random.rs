//! Randomness from the system.

use rustix::rand::{GetRandomFlags, getrandom};

/// The seed of an ARMOR's signing key. Never blocks once the system is up; if the system refuses,
/// nothing can be signed and the process must not go on.
#[must_use]
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let filled = getrandom(&mut seed[..], GetRandomFlags::empty());
    assert_eq!(filled, Ok(32), "the system gives no randomness, so ballots could not be signed");
    seed
}
