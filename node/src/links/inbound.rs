//! The receiving end of links. Whatever comes in was written by others: bytes that are no frame, and
//! peers of another user, cost them the link and this process nothing.

use std::io;
use std::time::Duration;

use chameleon_core::names::Incarnation;
use chameleon_core::shell::Input;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::frame::{self, Frame, VERSION};

/// How long a connected peer may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How much is read at once.
const READ: usize = 8 << 10;
/// Buffers larger than this are given back when they are empty.
const KEPT_BUFFER: usize = 64 << 10;
/// Pause after the system refused a connection, for lack of descriptors for example.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// Welcomes peers and passes on what they say; ends all of their links when it is dropped.
pub(super) async fn accept(listener: UnixListener, incarnation: Incarnation, inputs: mpsc::Sender<Input>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    links.spawn(welcome_and_listen(stream, incarnation, inputs.clone()));
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

async fn welcome_and_listen(stream: UnixStream, incarnation: Incarnation, inputs: mpsc::Sender<Input>) {
    match listen(stream, incarnation, inputs).await {
        // The peer is gone, which is noticed where it matters.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        Err(error) => crate::log!("a link is closed: {error}"),
        Ok(()) => {}
    }
}

async fn listen(stream: UnixStream, incarnation: Incarnation, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    check_peer(&stream)?;
    let (read, mut write) = stream.into_split();
    let mut reader = Reader::new(read);
    let hello = tokio::time::timeout(HELLO_WITHIN, reader.next()).await;
    let (from, theirs) = match hello.map_err(|_| refusal("a peer did not say who it is"))?? {
        Some(Frame::Hello { from, incarnation, version: VERSION }) => (from, incarnation),
        Some(Frame::Hello { from, version, .. }) => {
            return Err(refusal(format!("{from} speaks version {version}, and this process version {VERSION}")));
        }
        Some(_) => return Err(refusal("a peer spoke before it said who it is")),
        None => return Ok(()),
    };
    let mut welcome = Vec::new();
    frame::encode(&Frame::Welcome { incarnation }, &mut welcome).map_err(io::Error::other)?;
    write.write_all(&welcome).await?;
    while let Some(frame) = reader.next().await? {
        let Frame::Message(message) = frame else { return Err(refusal(format!("{from} introduced itself twice"))) };
        if inputs.send(Input::Message { from, incarnation: theirs, message }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Only processes of our own user are spoken to.
pub(super) fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let (theirs, ours) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    match theirs == ours {
        true => Ok(()),
        false => Err(refusal(format!("the peer belongs to user {theirs}, and this process to {ours}"))),
    }
}

fn refusal(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Frames from a stream.
pub(super) struct Reader<S> {
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
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
