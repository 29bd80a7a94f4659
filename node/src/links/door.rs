//! The one port of a host: the daemon looks at whom a connection is for, without taking a byte of it,
//! and passes it to that ARMOR. What is said on it the daemon never sees.
//!
//! Whoever connects is a stranger at this point: it has a bounded time and number of bytes to say whom it
//! calls, and there is a bounded number of such strangers.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::names::{ArmorName, HostId};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustls::server::Acceptor;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::inbound::check_peer;
use crate::frame::{self, Frame};
use crate::home::Home;
use crate::pki::enrol::RECEPTION;

/// How long a stranger may take to say whom it calls.
const SAID_WITHIN: Duration = Duration::from_secs(10);
/// Strangers at a time; for one more, the oldest must go.
const STRANGERS: usize = 256;
/// The longest first message that is looked at, in bytes.
const LONGEST_HELLO: usize = 16 << 10;
/// Between two looks at a first message that is not all there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Pause after the system refused a connection, for lack of descriptors for example.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    Armor(ArmorName),
    /// Bytes in bulk, which the daemon serves.
    Bulk,
    /// The FTM, by one that wants to be let in.
    Reception,
}

impl Destination {
    /// Whom this name (SNI) calls on this host; `None`: nobody here.
    #[must_use]
    pub fn parse(sni: &str, here: HostId) -> Option<Destination> {
        if sni == RECEPTION {
            return Some(Destination::Reception);
        }
        let (who, host) = sni.rsplit_once('.')?;
        if host.parse() != Ok(here) {
            return None;
        }
        match who {
            "bulk" => Some(Destination::Bulk),
            name => name.parse().ok().map(Destination::Armor),
        }
    }

    /// The name by which it is called.
    #[must_use]
    pub fn sni(self, host: HostId) -> String {
        match self {
            Destination::Armor(name) => format!("{name}.{host}"),
            Destination::Bulk => format!("bulk.{host}"),
            Destination::Reception => RECEPTION.to_owned(),
        }
    }

    /// Who answers there.
    #[must_use]
    pub fn answered_by(self, host: HostId) -> ArmorName {
        match self {
            Destination::Armor(name) => name,
            Destination::Bulk => ArmorName::Daemon(host),
            Destination::Reception => ArmorName::Ftm,
        }
    }
}

/// Connections that ask for bytes in bulk: still encrypted, to be answered by [`super::Far::answer`].
pub type BulkCalls = mpsc::UnboundedSender<std::net::TcpStream>;

/// Lets connections in until it is dropped.
pub async fn keep_open(listener: TcpListener, home: Arc<Home>, here: HostId, bulk: Option<BulkCalls>) {
    let mut strangers = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (home, bulk) = (home.clone(), bulk.clone());
                strangers.retain(|stranger: &AbortOnDrop| !stranger.0.is_finished());
                if strangers.len() >= STRANGERS {
                    // Whoever keeps silent longest has the least to say.
                    strangers.pop_front();
                }
                strangers.push_back(AbortOnDrop(tokio::spawn(async move {
                    if let Err(error) = usher(stream, &home, here, bulk).await {
                        crate::log!("a connection from outside is closed: {error}");
                    }
                })));
            }
            Err(error) => {
                crate::log!("cannot accept a connection from outside: {error}");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn usher(stream: TcpStream, home: &Home, here: HostId, bulk: Option<BulkCalls>) -> io::Result<()> {
    let called = tokio::time::timeout(SAID_WITHIN, called(&stream)).await;
    let called = called.map_err(|_| io::Error::other("it did not say in time whom it calls"))??;
    let destination = Destination::parse(&called, here)
        .ok_or_else(|| io::Error::other(format!("it calls {called:?}, and nobody of that name is here")))?;
    if destination == Destination::Bulk {
        let served = bulk.is_some_and(|bulk| stream.into_std().is_ok_and(|stream| bulk.send(stream).is_ok()));
        return if served { Ok(()) } else { Err(io::Error::other("no bytes are served here")) };
    }
    pass(&stream, home, destination.answered_by(here)).await
}

/// Whom a stranger calls; nothing of what it sent is taken.
async fn called(stream: &TcpStream) -> io::Result<String> {
    let mut bytes = vec![0; LONGEST_HELLO];
    loop {
        let length = stream.peek(&mut bytes).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match server_name(&bytes[..length])? {
            Some(name) => return Ok(name),
            None if length == bytes.len() => return Err(io::Error::other("its first message is too long")),
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// The name in the first message of a TLS client, once all of it is there.
///
/// # Errors
/// These bytes will never become one.
pub fn server_name(bytes: &[u8]) -> io::Result<Option<String>> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest)?;
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                return Ok(Some(accepted.client_hello().server_name().unwrap_or_default().to_owned()));
            }
            Err((error, _alert)) => return Err(io::Error::other(format!("it does not speak TLS: {error}"))),
        }
    }
    Ok(None)
}

/// Passes a connection to an ARMOR, which then holds it alone.
async fn pass(stream: &TcpStream, home: &Home, name: ArmorName) -> io::Result<()> {
    let absent =
        |error: io::Error| io::Error::new(error.kind(), format!("it calls {name}, which is not there: {error}"));
    let armor = UnixStream::connect(home.socket(name)).await.map_err(absent)?;
    check_peer(&armor)?;
    let mut word = Vec::new();
    frame::encode(&Frame::Passed, &mut word).map_err(io::Error::other)?;
    armor.async_io(Interest::WRITABLE, || send_with(&armor, &word, stream.as_fd())).await
}

fn send_with(armor: &UnixStream, word: &[u8], passed: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [passed];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let words = [io::IoSlice::new(word)];
    let sent = rustix::net::sendmsg(armor, &words, &mut ancillary, SendFlags::NOSIGNAL)?;
    // A word so short fits in an empty socket.
    if sent == word.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::{JobId, LaneId};

    #[test]
    fn a_name_says_who_is_called() {
        let here = HostId(2);
        let lane = Destination::Armor(ArmorName::Execution(JobId(1), LaneId(0)));
        for destination in [lane, Destination::Armor(ArmorName::Ftm), Destination::Bulk, Destination::Reception] {
            assert_eq!(Destination::parse(&destination.sni(here), here), Some(destination));
        }
        assert_eq!(lane.sni(here), "execution-j1-l0.h2");
        for nobody in ["", ".", "ftm", "ftm.h3", "bulk.", "x.h2", "../ftm.h2", "ftm.h2.h2"] {
            assert_eq!(Destination::parse(nobody, here), None, "{nobody}");
        }
    }

    #[test]
    fn what_is_no_tls_is_refused_and_what_is_incomplete_is_waited_for() {
        assert!(server_name(b"GET / HTTP/1.1\r\n\r\n").is_err());
        assert_eq!(server_name(&[]).unwrap(), None);
        assert_eq!(server_name(&[22, 3, 1, 0, 200, 1]).unwrap(), None);
    }
}
