//! Links between processes: on one machine a Unix stream for each sender and recipient, to another
//! machine TLS over TCP (see [`far`]).
//!
//! A link carries messages one way. It is opened by the first message to a peer and opened again
//! whenever it breaks, until the peer is forgotten. Both ends may die at any time, and nothing that
//! was on its way survives: the sender is told when the link is up, and then says again what the
//! peer must know. Memory is bounded on both sides: a recipient that falls behind stops reading, and
//! a sender with too much unsent breaks the link.

pub mod door;
mod far;
mod inbound;
mod outbound;
mod ways;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::message::Message;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Input;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::frame::Frame;
use crate::home::Home;
use crate::process::Process;
use inbound::Reception;
use outbound::{Caller, Outbound};

pub use door::Destination;
pub use far::{Far, FarStream};
pub(crate) use inbound::Reader;

/// How many inputs from links may wait to be handled; then the links are read no further.
const WAITING_INPUTS: usize = 256;
/// How long a link that is no longer wanted may take to say the last things.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why nobody can reach this process.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {path}, so no other process could reach this one: {source}")]
pub struct ListenError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// All links of one process.
#[derive(Debug)]
pub struct Links {
    home: Arc<Home>,
    name: ArmorName,
    incarnation: Incarnation,
    inputs: mpsc::Sender<Input>,
    peers: BTreeMap<ArmorName, Peer>,
    listener: Option<JoinHandle<()>>,
    /// `None`: the home has joined no cluster, and all peers are on this machine.
    far: Option<Arc<Far>>,
}

#[derive(Debug)]
struct Peer {
    outbound: Arc<Outbound>,
    task: JoinHandle<()>,
}

impl Links {
    /// No links yet, and where their inputs come out.
    #[must_use]
    pub fn new(home: Arc<Home>, name: ArmorName, incarnation: Incarnation) -> (Links, mpsc::Receiver<Input>) {
        let (inputs, receiver) = mpsc::channel(WAITING_INPUTS);
        let far = Far::of(&home, name);
        (Links { home, name, incarnation, inputs, peers: BTreeMap::new(), listener: None, far }, receiver)
    }

    /// From now on others can reach this process under its name, and no longer an earlier one.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(&mut self) -> Result<(), ListenError> {
        let listener = self.bind().map_err(|source| ListenError {
            path: self.home.path().join("links").join(self.name.to_string()),
            source,
        })?;
        let (incarnation, inputs, far) = (self.incarnation, self.inputs.clone(), self.far.clone());
        let accept = inbound::accept(listener, Reception { incarnation, inputs, far });
        self.listener = Some(tokio::spawn(accept));
        Ok(())
    }

    /// Binds beside the name and takes it by renaming, so that there is never a moment without a socket. A name that
    /// belongs to a later life, on another host of this home, is left to it: this one has nothing more to say.
    fn bind(&self) -> io::Result<UnixListener> {
        let beside = self.home.in_links(&format!(".{}-{}", self.name, std::process::id()));
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        let may_move = self.name.job().is_some() || self.name == ArmorName::Ftm && has_candidates(&self.home);
        if may_move && !self.home.take_name(self.name, self.incarnation)? {
            fs::remove_file(beside)?;
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "a later life of it lives on another host"));
        }
        fs::rename(beside, self.home.socket(self.name))?;
        Ok(listener)
    }

    /// What this process knows of other machines, if its home has joined a cluster.
    #[must_use]
    pub fn far(&self) -> Option<&Arc<Far>> {
        self.far.as_ref()
    }

    /// This peer is on that host: links to it go there from now on.
    pub fn locate(&mut self, peer: ArmorName, host: HostId) {
        if let Some(far) = &self.far {
            far.locate(peer, host);
        }
    }

    /// As [`Links::locate`], for one whose home keeps no address book.
    pub fn locate_at(&mut self, peer: ArmorName, host: HostId, address: String) {
        self.address_is(host, address);
        self.locate(peer, host);
    }

    /// This host has this address, for one whose home keeps no address book of its own.
    pub fn address_is(&mut self, host: HostId, address: String) {
        if let Some(far) = &self.far {
            far.address_is(host, address);
        }
    }

    /// Opens a link unless there is one.
    pub fn open(&mut self, peer: ArmorName) {
        self.outbound(peer);
    }

    fn outbound(&mut self, peer: ArmorName) -> &Outbound {
        let link = self.peers.entry(peer).or_insert_with(|| {
            let outbound = Arc::new(Outbound::default());
            let hello = Frame::Hello { from: self.name, incarnation: self.incarnation, version: crate::frame::VERSION };
            let (home, far, inputs) = (self.home.clone(), self.far.clone(), self.inputs.clone());
            // Among machines another may become a candidate at any time.
            let may_be_replaced = peer == ArmorName::Ftm && (far.is_some() || has_candidates(&home));
            let run = outbound::run(outbound.clone(), Caller { home, far, peer, hello, may_be_replaced, inputs });
            Peer { outbound, task: tokio::spawn(run) }
        });
        &link.outbound
    }

    /// Says something to a peer, if the link to it is up.
    pub fn send(&mut self, to: ArmorName, message: Message) {
        if let Err(error) = self.outbound(to).push(&Frame::Message(message)) {
            crate::log!("a message to {to} is lost: {error}");
        }
    }

    /// Closes the link to a peer for good, after what was said before.
    pub fn forget(&mut self, peer: ArmorName) {
        let Some(link) = self.peers.remove(&peer) else { return };
        link.outbound.close();
        let abort = link.task.abort_handle();
        tokio::spawn(async move {
            if tokio::time::timeout(LAST_WORDS, link.task).await.is_err() {
                abort.abort();
            }
        });
    }

    /// The process at the other end of a link that is up, with its incarnation.
    #[must_use]
    pub fn process(&self, peer: ArmorName) -> Option<(Incarnation, Process)> {
        self.peers.get(&peer)?.outbound.process()
    }

    /// Says the last things on all links, for a bounded time, and closes them.
    pub async fn close(mut self) {
        for peer in self.peers.values() {
            peer.outbound.close();
        }
        let all = async {
            for (_, peer) in std::mem::take(&mut self.peers) {
                let _ = peer.task.await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }
}

/// Whether several hosts may have the FTM.
fn has_candidates(home: &Home) -> bool {
    home.managers().is_ok_and(|managers| managers.is_some())
}

impl Drop for Links {
    fn drop(&mut self) {
        for peer in self.peers.values() {
            peer.task.abort();
        }
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}
