//! Waiting, in the event loop, for a descriptor of any kind to become readable.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the event loop watch a descriptor; the same one only once at a time.
///
/// # Errors
/// If the event loop has no room for it.
#[expect(unsafe_code, reason = "the runtime must trust a descriptor to stay what it is")]
pub fn watch(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: a shared `OwnedFd` is the same open descriptor until the last share, of which the result holds one, is
    // dropped.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(io::Error::from)
}
