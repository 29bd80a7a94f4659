//! The receiving end of links. Whatever comes in was written by others: bytes that are no frame, and
//! peers of another user, cost them the link and this process nothing.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::message::{FtmMessage, Message, is_application, is_own};
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_core::principal::Principal;
use chameleon_core::shell::Input;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::far::{Far, refusal};
use super::ways::Way;
use crate::frame::{self, Frame, VERSION};
use crate::os::descriptor;

/// How long a connected peer may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How much is read at once.
const READ: usize = 8 << 10;
/// Buffers larger than this are given back when they are empty.
const KEPT_BUFFER: usize = 64 << 10;
/// Pause after the system refused a connection, for lack of descriptors for example.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// The receiving side of one process.
#[derive(Clone)]
pub(super) struct Reception {
    pub incarnation: Incarnation,
    pub inputs: mpsc::Sender<Input>,
    pub far: Option<Arc<Far>>,
}

/// Welcomes peers and passes on what they say; ends all of their links when it is dropped.
pub(super) async fn accept(listener: UnixListener, reception: Reception) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    links.spawn(welcome_and_listen(stream, reception.clone()));
                }
                Err(error) => {
                    crate::log!("cannot accept a link: {error}");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            },
            Some(_) = links.join_next() => {}
        }
    }
}

async fn welcome_and_listen(stream: UnixStream, reception: Reception) {
    match listen(stream, reception).await {
        // The peer is gone, which is noticed where it matters.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        Err(error) => crate::log!("a link is closed: {error}"),
        Ok(()) => {}
    }
}

/// From a process of this machine, which may have a connection from another one to pass on.
async fn listen(stream: UnixStream, reception: Reception) -> io::Result<()> {
    check_peer(&stream)?;
    let mut first = Vec::new();
    let hear = stream.async_io(Interest::READABLE, || descriptor::receive_with(&stream, READ));
    let heard = tokio::time::timeout(HELLO_WITHIN, hear).await;
    let (bytes, passed) = heard.map_err(|_| refusal("a peer did not say who it is"))??;
    first.extend(bytes);
    if let Some(passed) = passed {
        return listen_far(TcpStream::from(passed), reception).await;
    }
    let (read, mut write) = stream.into_split();
    let mut reader = Reader { stream: read, buffer: first, used: 0 };
    let Some((from, incarnation)) = greeting(&mut reader).await? else { return Ok(()) };
    if let Some(far) = &reception.far {
        far.is_here(from);
    }
    write.write_all(&welcome(&reception)?).await?;
    while let Some(frame) = reader.next().await? {
        let message = said(from, frame)?;
        if reception.inputs.send(Input::Message { from, incarnation, message }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// From another machine: whoever it is must prove it, and is answered on the same link.
async fn listen_far(stream: TcpStream, reception: Reception) -> io::Result<()> {
    let far = reception.far.clone().ok_or_else(|| refusal("this home has joined no cluster"))?;
    stream.set_nonblocking(true)?;
    let (stream, principal) = far.answer(tokio::net::TcpStream::from_std(stream)?).await?;
    let (read, mut write) = tokio::io::split(stream);
    let mut reader = Reader::new(read);
    let Some((from, incarnation)) = greeting(&mut reader).await? else { return Ok(()) };
    far.admits(principal.as_ref(), from).map_err(refusal)?;
    write.write_all(&welcome(&reception)?).await?;
    write.flush().await?;
    let (alive, watched) = watch::channel(());
    far.ways.offer(from, Way { incarnation, write: Box::new(write), alive: watched });
    let heard = tokio::select! {
        heard = hear_far(&mut reader, from, incarnation, principal.as_ref(), &reception) => heard,
        () = far.cut(principal.as_ref()) => Ok(()),
    };
    drop(alive);
    far.ways.sweep();
    heard
}

async fn hear_far<S: AsyncRead + Unpin>(
    reader: &mut Reader<S>,
    from: ArmorName,
    incarnation: Incarnation,
    principal: Option<&Principal>,
    reception: &Reception,
) -> io::Result<()> {
    let input = |message| Input::Message { from, incarnation, message };
    if let (ArmorName::User(_), Some(principal)) = (from, principal) {
        let introduced = FtmMessage::Introduced(principal.clone());
        let _ = reception.inputs.send(input(introduced.into())).await;
    }
    while let Some(frame) = reader.next().await? {
        let message = said(from, frame)?;
        if principal.is_none() && !is_application(&message) {
            return Err(refusal("a caller without a certificate says more than that it wants to be let in"));
        }
        if reception.inputs.send(input(message)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// What a peer says first: who it is; `None`: nothing.
async fn greeting<S: AsyncRead + Unpin>(reader: &mut Reader<S>) -> io::Result<Option<(ArmorName, Incarnation)>> {
    let hello = tokio::time::timeout(HELLO_WITHIN, reader.next()).await;
    match hello.map_err(|_| refusal("a peer did not say who it is"))?? {
        Some(Frame::Hello { from, incarnation, version: VERSION }) => Ok(Some((from, incarnation))),
        Some(Frame::Hello { from, version, .. }) => {
            Err(refusal(format!("{from} speaks version {version}, and this process version {VERSION}")))
        }
        Some(_) => Err(refusal("a peer spoke before it said who it is")),
        None => Ok(None),
    }
}

fn welcome(reception: &Reception) -> io::Result<Vec<u8>> {
    let mut welcome = Vec::new();
    frame::encode(&Frame::Welcome { incarnation: reception.incarnation }, &mut welcome).map_err(io::Error::other)?;
    Ok(welcome)
}

/// The message in a frame that follows a greeting.
pub(super) fn said(from: ArmorName, frame: Frame) -> io::Result<Message> {
    let Frame::Message(message) = frame else { return Err(refusal(format!("{from} introduced itself twice"))) };
    match is_own(&message) {
        true => Err(refusal(format!("{from} says what only a process says to itself"))),
        false => Ok(message),
    }
}

/// Only processes of our own user are spoken to.
pub(super) fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let (theirs, ours) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    match theirs == ours {
        true => Ok(()),
        false => Err(refusal(format!("the peer belongs to user {theirs}, and this process to {ours}"))),
    }
}

fn is_the_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
}

/// Frames from a stream.
pub(crate) struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
    /// How much of the buffer was taken out as frames.
    used: usize,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub fn new(stream: S) -> Self {
        Reader { stream, buffer: Vec::new(), used: 0 }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    /// The next frame; `None`: the peer is gone, with or without half a sentence.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match frame::decode(&self.buffer[self.used..]) {
                Ok(Some((frame, used))) => {
                    self.used += used;
                    return Ok(Some(frame));
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            if self.buffer.is_empty() {
                self.buffer.shrink_to(KEPT_BUFFER);
            }
            self.buffer.reserve(READ);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // A frame is whole or not there, so that an end without a farewell cuts nothing off unseen.
                Err(error) if is_the_end(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
