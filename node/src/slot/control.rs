//! What an Execution ARMOR and its shim say to each other, one message a datagram.
//!
//! Long messages (arguments and environment may be megabytes) travel in a memory-backed file whose descriptor is
//! passed along, since a datagram is limited by the socket's buffer.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chameleon_core::job::OsBytes;
use minicbor::{Decode, Encode};
use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use super::plan::Plan;

/// From the Execution ARMOR to its shim.
#[derive(Debug, Encode, Decode)]
pub enum ToShim {
    /// First of all, with the write ends of stdout and stderr. Answered by `Forked` or `Unfit`.
    #[n(0)]
    Setup(#[n(0)] Plan),
    /// With the standard input, if it is not empty. Answered by `Ended` or `Refused`.
    #[n(1)]
    Start {
        #[n(0)]
        arguments: Vec<OsBytes>,
        #[n(1)]
        treatment: Treatment,
    },
    /// Kill all that runs. Answered by the `Ended` of the execution, if one runs.
    #[n(2)]
    Kill,
    /// Stop all that runs, until `Resume`.
    #[n(3)]
    Pause,
    #[n(4)]
    Resume,
    /// Answered by `Pong`.
    #[n(5)]
    Ping(#[n(0)] u64),
    /// To the first process of the slot, once it is known here. Answered by `Ready` or `Unfit`.
    #[n(6)]
    Begin,
}

/// From a shim to its Execution ARMOR.
#[derive(Debug, Encode, Decode)]
pub enum FromShim {
    /// The first process of the slot has this process id, and the pidfd that comes along; without one, it is the shim
    /// itself.
    #[n(0)]
    Forked(#[n(0)] i32),
    /// The view stands; a program can be started. With the descriptor through which calls that may be blocked are made
    /// known, where the kernel allows that.
    #[n(1)]
    Ready,
    /// The view cannot be made: what failed, and why.
    #[n(2)]
    Unfit(#[n(0)] String),
    /// The program still runs after a moment: its process id inside the slot.
    #[n(3)]
    Started(#[n(0)] i32),
    /// Nothing was started: the exit code that `env` would give, and why.
    #[n(4)]
    Refused(#[n(0)] u8, #[n(1)] String),
    /// The program has ended and nothing is left running in the slot.
    #[n(5)]
    Ended(#[n(0)] End),
    #[n(6)]
    Pong(#[n(0)] u64),
    /// The kernel gives it no namespaces: what failed, and why.
    #[n(7)]
    NoNamespaces(#[n(0)] String),
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct End {
    #[n(0)]
    pub exit: Exit,
    /// Of everything that ran in the slot, in microseconds.
    #[n(1)]
    pub cpu: u64,
    /// The largest of any process, in bytes.
    #[n(2)]
    pub max_rss: u64,
    /// Something was written to the layers; the shim has let go of them.
    #[n(3)]
    pub written: bool,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Exit {
    #[n(0)]
    Code(#[n(0)] u8),
    #[n(1)]
    Signal(#[n(0)] u8),
}

/// What is done to a program on purpose, by injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Treatment {
    #[n(0)]
    None,
    /// Killed after 5 ms, or at its end if that comes first.
    #[n(1)]
    Kill,
    /// Stopped before its first instruction.
    #[n(2)]
    Stop,
    /// Runs one millisecond in ten.
    #[n(3)]
    Slow,
}

/// The most bytes a datagram carries; longer messages travel in a memory-backed file.
const DATAGRAM: usize = 4 * 1024;
/// The most descriptors a message carries.
const DESCRIPTORS: usize = 3;
const INLINE: u8 = 0;
const IN_FILE: u8 = 1;

/// Sends one message with its descriptors.
pub fn send<M: Encode<()>>(socket: BorrowedFd<'_>, message: &M, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut datagram = vec![INLINE];
    minicbor::encode(message, &mut datagram).map_err(|error| io::Error::other(error.to_string()))?;
    if datagram.len() <= DATAGRAM {
        return send_datagram(socket, &datagram, descriptors);
    }
    let file = memory_file(&datagram[1..])?;
    let descriptors: Vec<_> = [file.as_fd()].into_iter().chain(descriptors.iter().copied()).collect();
    send_datagram(socket, &[IN_FILE], &descriptors)
}

fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

fn send_datagram(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors in one message"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message with its descriptors; `None`: the other side is gone.
pub fn receive<M>(socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<Option<(M, Vec<OwnedFd>)>>
where
    M: for<'b> Decode<'b, ()>,
{
    let mut bytes = [0; DATAGRAM + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(socket, &mut buffers, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| if let RecvAncillaryMessage::ScmRights(fds) = message { Some(fds) } else { None })
        .flatten()
        .collect();
    let message = match bytes[..received.bytes].split_first() {
        None => return Ok(None),
        Some((&IN_FILE, _)) if !descriptors.is_empty() => {
            let mut long = Vec::new();
            File::from(descriptors.remove(0)).read_to_end(&mut long)?;
            decode(&long)?
        }
        Some((_, rest)) => decode(rest)?,
    };
    Ok(Some((message, descriptors)))
}

fn decode<M: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> io::Result<M> {
    minicbor::decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn messages_of_any_length_arrive_whole_with_their_descriptors() {
        for length in [0, 1, DATAGRAM, 3_000_000] {
            let (here, there) = pair();
            let null = File::open("/dev/null").unwrap();
            let sent = ToShim::Start { arguments: vec![vec![7; length].into()], treatment: Treatment::Slow };
            send(here.as_fd(), &sent, &[null.as_fd()]).unwrap();
            let (message, descriptors) = receive::<ToShim>(there.as_fd(), RecvFlags::empty()).unwrap().unwrap();
            let ToShim::Start { arguments, treatment: Treatment::Slow } = message else { panic!("{message:?}") };
            assert_eq!(arguments[0].len(), length);
            assert_eq!(descriptors.len(), 1);
        }
    }

    #[test]
    fn a_closed_peer_and_a_garbled_message_are_told_apart() {
        let (here, there) = pair();
        send_datagram(here.as_fd(), &[INLINE, 0xff, 0xff], &[]).unwrap();
        let error = receive::<ToShim>(there.as_fd(), RecvFlags::empty()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(here);
        assert!(receive::<ToShim>(there.as_fd(), RecvFlags::empty()).unwrap().is_none());
    }
}
