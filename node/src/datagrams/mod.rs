//! Datagrams between the Heartbeats of hosts: UDP, small, numbered, authenticated, and lost at times.
//!
//! Only a Heartbeat has a socket; see [`neighbours`] for where.

mod envelope;
pub mod neighbours;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chameleon_core::elements::echo;
use chameleon_core::message::{Datagram, PairKey};
use chameleon_core::names::{HostId, Incarnation};
use chameleon_core::shell::{Identity, Input};
use chameleon_core::world::ProcessEvent;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub use envelope::{BadEnvelope, Envelope, Window};

use crate::event_loop::{Happening, Reporter};
use crate::home::Home;
use crate::timers;

type Keys = Arc<Mutex<BTreeMap<HostId, PairKey>>>;
/// The last beat to each host that is answered, and when it left, in microseconds.
type Beats = Arc<Mutex<BTreeMap<HostId, (u64, u64)>>>;

/// What a Heartbeat says and hears; nothing, for an ARMOR of another kind.
#[derive(Debug, Default)]
pub struct Datagrams {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    home: Arc<Home>,
    host: HostId,
    life: Incarnation,
    /// Of what was sent last.
    number: u64,
    socket: Arc<UdpSocket>,
    keys: Keys,
    beats: Beats,
    receiving: JoinHandle<()>,
}

impl Datagrams {
    /// Opens a socket for the Heartbeat of this identity; what it hears goes to `reporter`.
    ///
    /// # Errors
    /// Those of sockets and files: without one this host would be taken for lost.
    pub async fn open(home: Arc<Home>, identity: &Identity, reporter: Reporter) -> io::Result<Datagrams> {
        let socket = Arc::new(neighbours::open(&home, identity.host).await?);
        let (host, life) = (identity.host, identity.incarnation);
        let (keys, beats) = (Keys::default(), Beats::default());
        let receiving = tokio::spawn(receive(socket.clone(), keys.clone(), beats.clone(), host, reporter));
        Ok(Datagrams { open: Some(Open { home, host, life, number: 0, socket, keys, beats, receiving }) })
    }

    /// From now on this host is spoken to and heard under this key.
    pub fn acquaint(&self, host: HostId, key: PairKey) {
        if let Some(open) = &self.open {
            open.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(host, key);
        }
    }

    /// Says something to the Heartbeat of a host; nobody knows whether it arrives.
    pub fn send(&mut self, to: HostId, datagram: Datagram) {
        let Some(open) = &mut self.open else { return };
        let key = open.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&to).copied();
        let (Some(key), Some(address)) = (key, neighbours::address(&open.home, to)) else { return };
        open.number += 1;
        let envelope = Envelope { from: open.host, to, life: open.life, number: open.number, datagram };
        if let Datagram::Beat { number, .. } = datagram
            && number.is_multiple_of(echo::EVERY)
        {
            open.beats.lock().unwrap_or_else(PoisonError::into_inner).insert(to, (number, timers::micros()));
        }
        // A full buffer or a closed port loses it, as the network may.
        let _ = open.socket.try_send_to(&envelope.seal(&key), address);
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.receiving.abort();
        }
    }
}

async fn receive(socket: Arc<UdpSocket>, keys: Keys, beats: Beats, own: HostId, reporter: Reporter) {
    let mut windows: BTreeMap<HostId, Window> = BTreeMap::new();
    let mut buffer = [0; envelope::LONGEST + 1];
    loop {
        // An error is of an earlier datagram, whose recipient is not there.
        let Ok(length) = socket.recv(&mut buffer).await else { continue };
        let key_of = |host| keys.lock().unwrap_or_else(PoisonError::into_inner).get(&host).copied();
        let Ok(envelope) = Envelope::open(&buffer[..length], key_of) else { continue };
        let is_new = windows.entry(envelope.from).or_default().accept(envelope.life, envelope.number);
        if envelope.to == own && is_new {
            let (from, datagram) = (envelope.from, envelope.datagram);
            if let Datagram::Heard { number } = datagram
                && let Some(us) = round_trip(&beats, from, number)
            {
                reporter.process(ProcessEvent::RoundTrip { host: from, us });
            }
            reporter.tell(Happening::Input(Input::Datagram { from, datagram }));
        }
    }
}

/// How long this answer to a beat took; nothing, if it is not to the last one.
fn round_trip(beats: &Beats, from: HostId, number: u64) -> Option<u64> {
    let mut beats = beats.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, left) = beats.remove(&from).filter(|(beat, _)| *beat == number)?;
    Some(timers::micros().saturating_sub(left))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chameleon_core::names::ArmorName;

    use super::*;

    fn identity(host: u32) -> Identity {
        let (host, name) = (HostId(host), ArmorName::Heartbeat(HostId(host)));
        Identity { name, incarnation: Incarnation(1), host, cores: 1, seed: [0; 32], mirror: None, elected: false }
    }

    #[tokio::test]
    async fn one_heartbeat_hears_another_and_no_stranger() {
        let directory = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::create(directory.path()).unwrap());
        let mut heard = Vec::new();
        let mut all = Vec::new();
        for host in 1..=3 {
            home.make_host(HostId(host)).unwrap();
            let (reporter, happenings) = Reporter::new();
            all.push(Datagrams::open(home.clone(), &identity(host), reporter).await.unwrap());
            heard.push(happenings);
        }
        let (key, other) = (PairKey([1; 32]), PairKey([2; 32]));
        all[0].acquaint(HostId(2), key);
        all[1].acquaint(HostId(1), key);
        all[2].acquaint(HostId(2), other);
        let first = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                all[2].send(HostId(2), Datagram::Answer);
                all[0].send(HostId(2), Datagram::Probe);
                // Either may be lost, the first while the system has not said yet that it takes any.
                if let Ok(first) = tokio::time::timeout(Duration::from_millis(20), heard[1].recv()).await {
                    return first;
                }
            }
        });
        let first = first.await.unwrap();
        let expected = Input::Datagram { from: HostId(1), datagram: Datagram::Probe };
        assert!(matches!(first, Some(Happening::Input(input)) if input == expected));
    }
}
