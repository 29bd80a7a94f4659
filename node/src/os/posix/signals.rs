//! Hearing of the end of children through a pipe: the handler of the signal writes to it.

use std::ffi::c_int;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::os::process::settle_signals;

/// Where the handler writes.
static NOTED: AtomicI32 = AtomicI32::new(-1);

/// Blocks every signal but that of a child's end, and sets all others to their defaults. Returns a descriptor that is
/// readable when a child has ended. To be called once, in a process with one thread.
///
/// # Errors
/// No descriptor can be had.
#[expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]
pub fn take_signals() -> io::Result<OwnedFd> {
    settle_signals();
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    NOTED.store(writer.into_raw_fd(), Ordering::Relaxed);
    // SAFETY: the structs are valid for the calls; the handler makes one async-signal-safe call and keeps `errno`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as extern "C" fn(c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_NOCLDSTOP | libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut());
        let mut of_children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut of_children);
        libc::sigaddset(&raw mut of_children, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const of_children, std::ptr::null_mut());
    }
    Ok(reader)
}

#[expect(unsafe_code, reason = "runs as a signal handler, where only system calls are allowed")]
extern "C" fn note(_signal: c_int) {
    // SAFETY: write is async-signal-safe, and its buffer is a constant. A full pipe is readable already.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(NOTED.load(Ordering::Relaxed), c"!".as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}
