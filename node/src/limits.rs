//! How many descriptors a process may have. The daemon and the FTM deal with everybody and take what the
//! system lets them have; the processes that they start, and the user's programs in the end, get what the
//! user had.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();

/// This process takes all it may have.
pub(crate) fn raise() {
    let original = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: original.maximum, ..original }).is_ok() {
        let _ = ORIGINAL.set(original);
    }
}

/// A process that this one has started gets what this one had at first.
pub(crate) fn give_back(pid: u32) {
    if let (Some(original), Some(pid)) = (ORIGINAL.get(), Pid::from_raw(pid.cast_signed())) {
        let _ = prlimit(Some(pid), Resource::Nofile, *original);
    }
}
