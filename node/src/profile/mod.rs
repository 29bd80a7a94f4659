//! What this host is: asked of the system, of the programs that are there, and of the processor itself.
//!
//! Nothing here may hang or fail: what cannot be found out is left out, and what other programs are
//! asked for has a bounded time.

pub mod abilities;
mod machine;
mod numeric;
pub mod platform;
mod speed;
mod tools;

use std::path::Path;

use chameleon_core::profile::Profile;

use crate::os::facilities::Facilities;

/// Looks this host over. `kept` is where it keeps its jobs, `policy` its own file, `facilities` what it is set to use.
#[must_use]
pub fn look_over(kept: &Path, policy: &Path, facilities: Option<Facilities>) -> Profile {
    Profile {
        labels: crate::policy::labels(policy),
        tools: tools::find(),
        abilities: abilities::find(facilities),
        numeric: numeric::fingerprint(),
        speed: speed::measure(),
        ..machine::describe(kept)
    }
}
