//! Waiting for a descriptor inside the event loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a non-blocking descriptor with the event loop of this thread, to be read from or written to.
#[expect(unsafe_code, reason = "registering is unsafe for types whose descriptor may change")]
pub fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd keeps one and the same open descriptor until it is dropped, which deregisters it first.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(|error| error.into())
}
