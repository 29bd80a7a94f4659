//! Which process is at the other end of a Unix socket, beyond doubt.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The process that connected, or that listens, at the other end; refused by kernels before 6.5.
///
/// # Errors
/// Those of `getsockopt`.
#[expect(unsafe_code, reason = "SO_PEERPIDFD has no safe wrapper")]
pub fn pidfd(socket: impl AsFd) -> io::Result<OwnedFd> {
    let mut pidfd: RawFd = -1;
    let mut length = size_of::<RawFd>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `pidfd`, which outlives the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut pidfd).cast(),
            &raw mut length,
        )
    };
    if outcome == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this descriptor for us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}
