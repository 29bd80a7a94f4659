//! Randomness from the system, for what must not be guessed or drawn twice. Decisions never use it.

use rustix::rand::{GetRandomFlags, getrandom};

/// So many random bytes.
///
/// # Panics
/// If the system has none, which Linux does not let happen once it has started.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let drawn = getrandom(&mut bytes, GetRandomFlags::empty()).expect("the system has randomness");
    assert_eq!(drawn, N, "short requests are answered whole");
    bytes
}
