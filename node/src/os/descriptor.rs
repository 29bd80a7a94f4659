//! Descriptors that a process was born with, or is passed later.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

/// The descriptor that [`super::spawn`] hands to a new process, behind the standard ones.
pub const HANDED: i32 = 3;

/// Takes over the descriptor that this process was handed at its start, keeps it from being inherited
/// further, and closes all that it was not meant to have: those that the user's shell left open. To
/// be called once, before anything else opens a descriptor.
///
/// # Errors
/// If this process was handed none.
#[expect(unsafe_code, reason = "a number becomes a descriptor")]
pub fn take_handed() -> io::Result<OwnedFd> {
    // SAFETY: by contract nothing in this process owns a descriptor yet, so that none is closed behind its owner's
    // back. Where the call is missing they stay open, which is untidy and no more.
    unsafe { libc::syscall(libc::SYS_close_range, HANDED as libc::c_uint + 1, libc::c_uint::MAX, 0) };
    // SAFETY: fcntl with F_SETFD takes no pointers; a number that is no descriptor is refused by the kernel.
    if unsafe { libc::fcntl(HANDED, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, as fcntl has just said, and by contract nothing in this process owns it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(HANDED) })
}

/// Reads up to so many bytes from a socket, and a descriptor if one is passed with them.
///
/// # Errors
/// Those of `recvmsg`.
pub fn receive_with(socket: impl AsFd, most: usize) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = vec![0; most];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut into = [io::IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    bytes.truncate(received.bytes);
    Ok((bytes, passed))
}
