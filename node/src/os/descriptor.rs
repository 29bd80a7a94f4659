//! Descriptors that a process was born with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// The descriptor that [`super::spawn`] hands to a new process, behind the standard ones.
pub const HANDED: i32 = 3;

/// Takes over the descriptor that this process was handed at its start, and keeps it from being
/// inherited further. To be called once, before anything else opens a descriptor.
///
/// # Errors
/// If this process was handed none.
#[expect(unsafe_code, reason = "a number becomes a descriptor")]
pub fn take_handed() -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_SETFD takes no pointers; a number that is no descriptor is refused by the kernel.
    if unsafe { libc::fcntl(HANDED, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, as fcntl has just said, and by contract nothing in this process owns it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(HANDED) })
}
