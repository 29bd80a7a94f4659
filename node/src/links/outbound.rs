//! The sending end of a link.
//!
//! ```text
//! connect → Hello → wait for Welcome → up ── broken, or too much unsent ──→ down
//!    ↑                                                                       │
//!    └─ after a pause of 1 ms, doubled up to 50 ms, or if there is news to say ┘
//! ```
//!
//! What is said while the link is up is gathered, and written in one go when the process has nothing
//! else to do: batches under load, at once when idle.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_core::shell::Input;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};

use crate::frame::{self, Frame, FrameError};
use crate::home::Home;
use crate::process::Process;

use super::inbound::Reader;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// Unsent bytes at which the peer counts as out of reach; one frame of any length may come on top.
const MOST_UNSENT: usize = 16 << 20;
/// Buffers larger than this are given back when they are empty.
const KEPT_BUFFER: usize = 64 << 10;

/// What one link has to say, shared between those who say it and the task that writes it.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    up: Option<(Incarnation, Option<Process>)>,
    unsent: Vec<u8>,
    /// More was to be said than the peer takes; what was unsent is gone.
    overflown: bool,
    closed: bool,
}

impl Outbound {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something; it vanishes if the link is not up. Whoever has something to say may know that the peer has come:
    /// the link is tried at once.
    pub fn push(&self, frame: &Frame) -> Result<(), FrameError> {
        let mut state = self.state();
        if state.overflown || state.closed {
            return Ok(());
        }
        if state.up.is_none() {
            self.changed.notify_one();
            return Ok(());
        }
        if state.unsent.len() > MOST_UNSENT {
            state.overflown = true;
            state.unsent = Vec::new();
        } else {
            frame::encode(frame, &mut state.unsent)?;
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Nothing more will be said.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    pub fn process(&self) -> Option<(Incarnation, Process)> {
        let state = self.state();
        let (incarnation, process) = state.up.as_ref()?;
        Some((*incarnation, process.clone()?))
    }
}

/// Keeps the link up until it is closed.
pub(super) async fn run(
    outbound: Arc<Outbound>,
    home: Arc<Home>,
    peer: ArmorName,
    hello: Frame,
    inputs: mpsc::Sender<Input>,
) {
    let mut pause = FIRST_PAUSE;
    while !outbound.state().closed {
        let connected = tokio::select! {
            connected = connect(&home, peer, &hello) => connected.ok(),
            () = closed(&outbound) => return,
        };
        if let Some((reader, writer, incarnation)) = connected {
            pause = FIRST_PAUSE;
            let process = process(peer, writer.as_ref());
            *outbound.state() = State { up: Some((incarnation, process)), ..State::default() };
            if inputs.send(Input::Link(LinkEvent::Up { peer, incarnation })).await.is_err() {
                return;
            }
            let end = talk(&outbound, reader, writer).await;
            outbound.state().up = None;
            match end {
                End::Closed => return,
                End::Broken => {}
            }
            if inputs.send(Input::Link(LinkEvent::Down { peer })).await.is_err() {
                return;
            }
        }
        let _ = tokio::time::timeout(pause, outbound.changed.notified()).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

async fn closed(outbound: &Outbound) {
    while !outbound.state().closed {
        outbound.changed.notified().await;
    }
}

/// The process at the other end, where it is of use: ARMORs look after their daemon.
fn process(peer: ArmorName, stream: &UnixStream) -> Option<Process> {
    matches!(peer, ArmorName::Daemon(_)).then(|| Process::at_other_end(stream).ok()).flatten()
}

async fn connect(
    home: &Home,
    peer: ArmorName,
    hello: &Frame,
) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, Incarnation)> {
    let stream = UnixStream::connect(home.socket(peer)).await?;
    super::inbound::check_peer(&stream)?;
    let (read, mut write) = stream.into_split();
    let mut bytes = Vec::new();
    frame::encode(hello, &mut bytes).map_err(io::Error::other)?;
    write.write_all(&bytes).await?;
    let mut reader = Reader::new(read);
    match reader.next().await? {
        Some(Frame::Welcome { incarnation }) => Ok((reader.into_inner(), write, incarnation)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

enum End {
    Closed,
    Broken,
}

/// Writes what there is to say, until the link is closed or breaks.
async fn talk(outbound: &Outbound, mut read: OwnedReadHalf, mut write: OwnedWriteHalf) -> End {
    let mut sending = Vec::new();
    let mut nothing = [0; 1];
    loop {
        let closed = {
            let mut state = outbound.state();
            if state.overflown {
                return End::Broken;
            }
            std::mem::swap(&mut state.unsent, &mut sending);
            state.closed
        };
        if !sending.is_empty() {
            let written = tokio::select! {
                written = write.write_all(&sending) => written.is_ok(),
                () = overflown(outbound) => false,
            };
            if !written {
                return End::Broken;
            }
            sending.clear();
            sending.shrink_to(KEPT_BUFFER);
            continue;
        }
        if closed {
            return End::Closed;
        }
        tokio::select! {
            () = outbound.changed.notified() => {}
            // A recipient says nothing after its Welcome: whatever is read here is the end.
            _ = read.read(&mut nothing) => return End::Broken,
        }
    }
}

async fn overflown(outbound: &Outbound) {
    while !outbound.state().overflown {
        outbound.changed.notified().await;
    }
}
