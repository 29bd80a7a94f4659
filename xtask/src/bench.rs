//! `cargo xtask bench [GROUP…]`: what we promise, measured in release mode and written to `docs/measurements.md`.

use crate::failure::Failure;
use crate::measurements::{self, Measured};

/// Measures all groups of rows, or those named, each of which is a section of its own.
///
/// # Errors
/// The measuring program could not be started or did not succeed, or the page not be written.
pub fn run(groups: &[String]) -> Result<(), Failure> {
    let Measured { text, success } = measurements::take("chameleon-benches", groups, None)?;
    if !success {
        return Err(Failure::NotAsItMustBe("not everything could be measured: see above".to_owned()));
    }
    let section =
        if groups.is_empty() { "benchmarks".to_owned() } else { format!("benchmarks of {}", groups.join(", ")) };
    measurements::put(&section, &format!("## Benchmarks\n\n{text}"))
}
