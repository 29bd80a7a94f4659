//! Links to other machines: mutually authenticated TLS 1.3 over TCP, from ARMOR to ARMOR.
//!
//! The daemon of a host listens for all of its ARMORs and passes each connection on, still encrypted, to
//! the one that is called (see [`super::door`]); its death ends no link. A link carries both directions:
//! whoever was called answers on it rather than call back, so that it need not know where the caller is.
//!
//! Nothing of this is awake in a home that is alone, nor before the first peer on another machine.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chameleon_core::book::Book;
use chameleon_core::names::{ArmorName, HostId};
use chameleon_core::principal::Principal;
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, watch};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

use super::door::Destination;
use super::ways::Ways;
use crate::home::Home;
use crate::pki::verify::{Expected, explain, is_final};
use crate::pki::{self, Credentials, Standing, certificate};

/// How long a call may take until the peer has proved who it is.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(10);
/// How often the address book and our own certificate are looked at: a revocation is to take effect
/// within a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A stream to another machine.
pub type FarStream = TlsStream<TcpStream>;

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Here,
    On(HostId),
    /// Nobody has told; it may be here, or call.
    Unknown,
}

/// How we know where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Told(HostId),
    /// It called, and proved it.
    Seen(HostId),
}

/// What a process of a cluster knows of other machines.
#[derive(Debug)]
pub struct Far {
    home: Arc<Home>,
    name: ArmorName,
    member: Principal,
    known: Mutex<BTreeMap<ArmorName, Known>>,
    /// Addresses that a person was told, who has no daemon to keep a book.
    told: Mutex<BTreeMap<HostId, String>>,
    pub(super) ways: Ways,
    credentials: OnceCell<Credentials>,
    looked: watch::Sender<()>,
    /// The FTM's word that we are let in no more.
    turned_away: watch::Sender<Option<String>>,
}

impl Far {
    /// For a process of this name; `None`: the home has joined no cluster, and all peers are here.
    #[must_use]
    pub fn of(home: &Arc<Home>, name: ArmorName) -> Option<Arc<Far>> {
        let standing = match Standing::of(home) {
            Ok(standing) => standing?,
            Err(error) => {
                crate::log!("{error}");
                return None;
            }
        };
        Some(Arc::new(Far {
            home: home.clone(),
            name,
            member: standing.member,
            known: Mutex::default(),
            told: Mutex::default(),
            ways: Ways::default(),
            credentials: OnceCell::new(),
            looked: watch::Sender::new(()),
            turned_away: watch::Sender::new(None),
        }))
    }

    /// The host of this home; `None`: it is a person's.
    #[must_use]
    pub fn here(&self) -> Option<HostId> {
        self.member.host()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ArmorName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this peer is called there.
    pub(super) fn locate(&self, peer: ArmorName, host: HostId) {
        self.known().insert(peer, Known::Told(host));
    }

    /// The host has this address, whatever the book says.
    pub(super) fn address_is(&self, host: HostId, address: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(host, address);
    }

    pub(super) fn whereabouts(&self, peer: ArmorName) -> Whereabouts {
        let host = match peer.host() {
            Some(host) => Some(host),
            None if peer == ArmorName::Ftm => Some(self.book().ftm),
            None => self.known().get(&peer).map(|known| match known {
                Known::Told(host) | Known::Seen(host) => *host,
            }),
        };
        match host {
            // A book that was never written is that of the founder, who needs none.
            Some(host) if Some(host) == self.here() || host == HostId::default() => Whereabouts::Here,
            Some(host) => Whereabouts::On(host),
            None => Whereabouts::Unknown,
        }
    }

    /// Where a peer is called in this attempt: an FTM that is not where it was last is elsewhere.
    pub(super) fn called_at(&self, peer: ArmorName, host: HostId, attempt: usize) -> HostId {
        if peer != ArmorName::Ftm {
            return host;
        }
        let book = self.book();
        let hosts: Vec<HostId> = book.may_have_ftm().collect();
        hosts[attempt % hosts.len()]
    }

    fn book(&self) -> Arc<Book> {
        match self.credentials.get() {
            Some(credentials) => credentials.book(),
            None => Arc::new(pki::read_book(&self.home).unwrap_or_default()),
        }
    }

    fn address(&self, host: HostId) -> io::Result<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
        let address = told.or_else(|| self.book().address(host).map(str::to_owned));
        address.ok_or_else(|| io::Error::other(format!("no address of {host} is known")))
    }

    async fn credentials(self: &Arc<Self>) -> io::Result<&Credentials> {
        let make = || async {
            let (home, name) = (self.home.clone(), self.name);
            let made = tokio::task::spawn_blocking(move || Credentials::new(&home, name, pki::now)).await;
            let made = made.map_err(io::Error::other)?.map_err(io::Error::other)?;
            let credentials = made.ok_or_else(|| io::Error::other("this home has left its cluster"))?;
            tokio::spawn(look(Arc::downgrade(self)));
            Ok(credentials)
        };
        self.credentials.get_or_try_init(make).await
    }

    /// Calls an ARMOR of another host, and makes sure that it is the one.
    ///
    /// # Errors
    /// It cannot be reached, is somebody else, or does not want us; in a sentence.
    pub async fn call(self: &Arc<Self>, destination: Destination, host: HostId) -> io::Result<FarStream> {
        within(self.establish(destination, host)).await
    }

    async fn establish(self: &Arc<Self>, destination: Destination, host: HostId) -> io::Result<FarStream> {
        let credentials = self.credentials().await?;
        let expected = Expected::Exactly(Principal::Armor(host, destination.answered_by(host)));
        let config = credentials.client(expected).map_err(io::Error::other)?;
        let address = self.address(host)?;
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(destination.sni(host)).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(in_a_sentence)?;
        Ok(stream.into())
    }

    /// Lets a caller prove who it is; `None`: one that wants to be let in, and has nothing to show yet.
    ///
    /// # Errors
    /// It is nobody that may speak to us; in a sentence.
    pub async fn answer(self: &Arc<Self>, stream: TcpStream) -> io::Result<(FarStream, Option<Principal>)> {
        within(self.receive(stream)).await
    }

    async fn receive(self: &Arc<Self>, stream: TcpStream) -> io::Result<(FarStream, Option<Principal>)> {
        stream.set_nodelay(true)?;
        let credentials = self.credentials().await?;
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(in_a_sentence)?;
        let called = begun.client_hello().server_name().map(str::to_owned).unwrap_or_default();
        let applies = self.name == ArmorName::Ftm && called == pki::enrol::RECEPTION;
        let config = if applies { credentials.reception() } else { credentials.server() };
        let stream = begun.into_stream(config.map_err(io::Error::other)?).await.map_err(in_a_sentence)?;
        if applies {
            return Ok((stream.into(), None));
        }
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown.ok_or_else(|| refusal("a caller showed no certificate"))?;
        let principal = certificate::read(shown).map_err(io::Error::other)?.principal;
        // Who may have which bytes, whoever serves them decides.
        let for_bytes = self.here().and_then(|here| Destination::parse(&called, here)) == Some(Destination::Bulk);
        match for_bytes || principal.may_reach(self.name) {
            true => Ok((stream.into(), Some(principal))),
            false => Err(refusal(format!("{principal} may not speak to {}", self.name))),
        }
    }

    /// Whether a caller of this identity may speak under this name; remembers where it is.
    pub(super) fn admits(&self, principal: Option<&Principal>, name: ArmorName) -> Result<(), String> {
        let Some(principal) = principal else {
            return match name {
                ArmorName::User(_) => Ok(()),
                _ => Err(format!("a caller without a certificate claims to be {name}")),
            };
        };
        if !principal.may_be(name) {
            return Err(format!("{principal} claims to be {name}"));
        }
        let Some(host) = principal.host() else { return Ok(()) };
        match self.known().entry(name).or_insert(Known::Seen(host)) {
            Known::Told(told) if *told != host => Err(format!("{principal} claims to be {name}, which is on {told}")),
            Known::Told(_) => Ok(()),
            Known::Seen(seen) => {
                *seen = host;
                Ok(())
            }
        }
    }

    /// A caller on this machine is here, wherever it was seen before.
    pub(super) fn is_here(&self, name: ArmorName) {
        if let (Some(Known::Seen(seen)), Some(here)) = (self.known().get_mut(&name), self.here()) {
            *seen = here;
        }
    }

    /// Whether a call to this peer failed because the FTM lets us in no more; that is remembered.
    pub(super) fn is_turned_away(&self, peer: ArmorName, error: &io::Error) -> bool {
        let word = error.get_ref().and_then(|inner| inner.downcast_ref()).filter(|_| peer == ArmorName::Ftm);
        if let Some(TurnedAway(why)) = word {
            self.turned_away.send_replace(Some(why.clone()));
        }
        word.is_some()
    }

    /// Waits for the FTM's word that we are let in no more, in a sentence.
    pub async fn turned_away(&self) -> String {
        let mut word = self.turned_away.subscribe();
        let told = word.wait_for(Option::is_some).await;
        told.map(|why| why.clone().unwrap_or_default()).unwrap_or_default()
    }

    /// Waits until this one is let in no more.
    pub(super) async fn cut(&self, principal: Option<&Principal>) {
        let Some(principal) = principal else { return std::future::pending().await };
        let mut looked = self.looked.subscribe();
        while !self.book().is_revoked(principal) {
            if looked.changed().await.is_err() {
                return;
            }
        }
        crate::log!("{principal} was revoked: its links are cut");
    }
}

/// Keeps the book and our certificate fresh for as long as somebody uses them.
async fn look(far: Weak<Far>) {
    let mut seen = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(far) = far.upgrade() else { return };
        let Some(credentials) = far.credentials.get() else { continue };
        if let Err(error) = credentials.refresh(&far.home) {
            crate::log!("{error}");
        }
        let stamp = stamp(&far.home);
        if stamp != seen {
            match pki::read_book(&far.home) {
                Ok(book) => {
                    credentials.trust().book.store(Arc::new(book));
                    seen = stamp;
                    far.looked.send_replace(());
                }
                Err(error) => crate::log!("{error}"),
            }
        }
    }
}

/// Differs whenever the book was written anew.
fn stamp(home: &Home) -> Option<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(home.book()).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}

async fn within<T>(act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the other side took too long to prove who it is");
    tokio::time::timeout(ESTABLISHED_WITHIN, act).await.map_err(|_| late())?
}

/// The other side lets us in no more, or never did.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TurnedAway(String);

pub(super) fn in_a_sentence(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(why) if is_final(why) => io::Error::new(io::ErrorKind::InvalidData, TurnedAway(explain(why))),
        Some(why) => refusal(explain(why)),
        None => error,
    }
}

pub(super) fn refusal(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
