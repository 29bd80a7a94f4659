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

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::principal::Principal;
use chameleon_core::shell::Input;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};

use crate::frame::{self, Frame, FrameError};
use crate::home::Home;
use crate::process::Process;

use super::door::Destination;
use super::far::{Far, FarStream, Whereabouts, in_a_sentence};
use super::inbound::Reader;
use super::ways::Way;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// A call to another machine costs both sides more.
const LONGEST_FAR_PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether the FTM is elsewhere by now.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a peer on another machine may take to answer a greeting.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
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

/// Whose link this is, and to whom.
pub(super) struct Caller {
    pub home: Arc<Home>,
    pub far: Option<Arc<Far>>,
    pub peer: ArmorName,
    pub hello: Frame,
    /// It is the FTM, and several hosts may have it.
    pub may_be_replaced: bool,
    pub inputs: mpsc::Sender<Input>,
}

/// Keeps the link up until it is closed.
pub(super) async fn run(outbound: Arc<Outbound>, caller: Caller) {
    let Caller { peer, .. } = caller;
    let mut pause = FIRST_PAUSE;
    let mut troubles = Troubles::default();
    let mut attempt = 0;
    while !outbound.state().closed {
        let place = caller.place();
        let connected = tokio::select! {
            connected = caller.connect(attempt) => connected,
            () = closed(&outbound) => return,
            () = caller.replaced(&place) => continue,
        };
        let link = connected.inspect_err(|error| caller.failed(&mut troubles, error)).ok();
        attempt += 1;
        if let Some(Link { ends, incarnation }) = link {
            (pause, attempt) = (FIRST_PAUSE, 0);
            let process = match &ends {
                Ends::Near(_, write) => process(peer, write.as_ref()),
                Ends::Called(..) | Ends::Back(_) => None,
            };
            *outbound.state() = State { up: Some((incarnation, process)), ..State::default() };
            if caller.inputs.send(Input::Link(LinkEvent::Up { peer, incarnation })).await.is_err() {
                return;
            }
            let end = tokio::select! {
                end = caller.use_link(&outbound, ends, incarnation) => end,
                () = caller.replaced(&place) => End::Broken,
            };
            outbound.state().up = None;
            match end {
                End::Closed => return,
                End::Broken => {}
            }
            if caller.inputs.send(Input::Link(LinkEvent::Down { peer })).await.is_err() {
                return;
            }
        }
        let _ = tokio::time::timeout(pause, outbound.changed.notified()).await;
        pause = caller.longest_pause().min(pause * 2);
    }
}

/// A peer on another machine that cannot be reached is told of once for each reason.
#[derive(Default)]
struct Troubles(String);

impl Troubles {
    fn tell(&mut self, peer: ArmorName, error: &io::Error) {
        let text = error.to_string();
        // A peer on this machine that is not there is being started, or gone.
        let ordinary = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if !ordinary && self.0 != text {
            crate::log!("cannot speak to {peer}: {text}");
            self.0 = text;
        }
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

/// Where the FTM is that may be replaced by one elsewhere: on that host, at that socket.
#[derive(Debug, PartialEq, Eq)]
struct Place(Option<Whereabouts>, Option<u64>);

/// A link that is up.
struct Link {
    ends: Ends,
    incarnation: Incarnation,
}

enum Ends {
    /// To a process of this machine.
    Near(OwnedReadHalf, OwnedWriteHalf),
    /// To another machine; both directions are used. It ends when this identity is revoked.
    Called(Reader<ReadHalf<FarStream>>, WriteHalf<FarStream>, Principal),
    /// The way back of a link that the peer opened, and that is read elsewhere.
    Back(Way),
}

impl Caller {
    fn place(&self) -> Place {
        let socket = || fs::metadata(self.home.socket(self.peer)).ok().map(|found| found.ino());
        match self.may_be_replaced {
            true => Place(self.far.as_ref().map(|far| far.whereabouts(self.peer)), socket()),
            false => Place(None, None),
        }
    }

    /// Waits until the name belongs to another process: an FTM that stands still closes no link when it is replaced.
    async fn replaced(&self, place: &Place) {
        if !self.may_be_replaced {
            return std::future::pending().await;
        }
        while self.place() == *place {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn failed(&self, troubles: &mut Troubles, error: &io::Error) {
        let turned_away = self.far.as_ref().is_some_and(|far| far.is_turned_away(self.peer, error));
        let by_command = matches!(self.hello, Frame::Hello { from: ArmorName::User(_), .. });
        // Then the command itself tells it.
        if !(turned_away && by_command) {
            troubles.tell(self.peer, error);
        }
    }

    async fn connect(&self, attempt: usize) -> io::Result<Link> {
        let Some(far) = &self.far else { return self.connect_here().await };
        match far.whereabouts(self.peer) {
            Whereabouts::Here => self.connect_here().await,
            Whereabouts::On(host) => match far.ways.take(self.peer) {
                Some(way) => Ok(Link { incarnation: way.incarnation, ends: Ends::Back(way) }),
                None => self.call(far, far.called_at(self.peer, host, attempt)).await,
            },
            Whereabouts::Unknown => match self.connect_here().await {
                Ok(link) => Ok(link),
                Err(_not_here) => {
                    let way = tokio::time::timeout(LONGEST_PAUSE, far.ways.wait(self.peer)).await;
                    let way = way.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
                    Ok(Link { incarnation: way.incarnation, ends: Ends::Back(way) })
                }
            },
        }
    }

    async fn connect_here(&self) -> io::Result<Link> {
        let stream = UnixStream::connect(self.home.socket(self.peer)).await?;
        super::inbound::check_peer(&stream)?;
        let (read, mut write) = stream.into_split();
        let mut reader = Reader::new(read);
        let incarnation = self.greet(&mut reader, &mut write).await?;
        Ok(Link { ends: Ends::Near(reader.into_inner(), write), incarnation })
    }

    async fn call(&self, far: &Arc<Far>, host: HostId) -> io::Result<Link> {
        let stream = far.call(Destination::Armor(self.peer), host).await?;
        let (read, mut write) = tokio::io::split(stream);
        let mut reader = Reader::new(read);
        let greet = tokio::time::timeout(WELCOME_WITHIN, self.greet(&mut reader, &mut write)).await;
        // In TLS 1.3 a caller hears only now whether it is let in.
        let incarnation = greet.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(in_a_sentence)?;
        Ok(Link { ends: Ends::Called(reader, write, Principal::Armor(host, self.peer)), incarnation })
    }

    /// Says who we are and hears who is there.
    async fn greet<R, W>(&self, reader: &mut Reader<R>, write: &mut W) -> io::Result<Incarnation>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut bytes = Vec::new();
        frame::encode(&self.hello, &mut bytes).map_err(io::Error::other)?;
        write.write_all(&bytes).await?;
        write.flush().await?;
        match reader.next().await? {
            Some(Frame::Welcome { incarnation }) => Ok(incarnation),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            // It went as we came.
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Says what there is to say on a link until it ends, and hears what is answered on it.
    async fn use_link(&self, outbound: &Outbound, ends: Ends, incarnation: Incarnation) -> End {
        match ends {
            Ends::Near(mut read, write) => {
                // A recipient on this machine says nothing after its Welcome: whatever is read is the end.
                let ended = async {
                    let _ = read.read(&mut [0; 1]).await;
                };
                talk(outbound, ended, write).await
            }
            Ends::Called(mut reader, write, principal) => {
                let cut = async {
                    match &self.far {
                        Some(far) => far.cut(Some(&principal)).await,
                        None => std::future::pending().await,
                    }
                };
                let ended = async {
                    tokio::select! {
                        () = self.hear(&mut reader, incarnation) => {}
                        () = cut => {}
                    }
                };
                talk(outbound, ended, write).await
            }
            Ends::Back(Way { write, mut alive, .. }) => talk(outbound, Way::ended(&mut alive), write).await,
        }
    }

    /// Passes on what the peer answers on our own link.
    async fn hear<R: AsyncRead + Unpin>(&self, reader: &mut Reader<R>, incarnation: Incarnation) {
        let from = self.peer;
        while let Ok(Some(frame)) = reader.next().await {
            let Ok(message) = super::inbound::said(from, frame) else { return };
            if self.inputs.send(Input::Message { from, incarnation, message }).await.is_err() {
                return;
            }
        }
    }

    fn longest_pause(&self) -> Duration {
        let far = self.far.as_ref().is_some_and(|far| matches!(far.whereabouts(self.peer), Whereabouts::On(_)));
        if far { LONGEST_FAR_PAUSE } else { LONGEST_PAUSE }
    }
}

enum End {
    Closed,
    Broken,
}

/// Writes what there is to say, until the link is closed or breaks.
async fn talk<W: AsyncWrite + Unpin>(outbound: &Outbound, ended: impl Future<Output = ()>, mut write: W) -> End {
    let mut sending = Vec::new();
    let mut ended = std::pin::pin!(ended);
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
                written = say(&mut write, &sending) => written.is_ok(),
                // Heard meanwhile, so that two that say much to each other do not wait for each other.
                () = &mut ended => false,
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
            () = &mut ended => return End::Broken,
        }
    }
}

async fn say<W: AsyncWrite + Unpin>(write: &mut W, bytes: &[u8]) -> io::Result<()> {
    write.write_all(bytes).await?;
    write.flush().await
}

async fn overflown(outbound: &Outbound) {
    while !outbound.state().overflown {
        outbound.changed.notified().await;
    }
}
