//! Namespaces of one's own.

use rustix::thread::UnshareFlags;

/// Moves this process, which has one thread, into fresh namespaces.
#[expect(unsafe_code, reason = "leaving a shared table of descriptors could break other threads")]
pub fn leave(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: the only unsound case is leaving a table of descriptors that other threads share; it is masked out.
    unsafe { rustix::thread::unshare_unsafe(flags.difference(UnshareFlags::FILES)) }
}
