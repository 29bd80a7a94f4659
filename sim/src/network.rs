//! Invented links: one directed stream from each sender to each peer it ever spoke to.
//!
//! What is sent on a link arrives in order, each message after a delay of its own. When a link breaks,
//! a first part of what is on its way still arrives and the rest is lost; the sender notices a little
//! later, and what it says meanwhile is lost too. Then it dials again until it is through.
//!
//! This file keeps the links; the world delivers.

use std::collections::BTreeMap;

use chameleon_core::names::ArmorName;

use crate::chance::Chance;
use crate::process::Pid;

/// One attempt to be linked, successful or not. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection(pub u64);

/// The shortest wait before dialling again, and the longest, in microseconds.
const BACKOFF_US: (u64, u64) = (1_000, 50_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Dialling,
    Greeting,
    Up,
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    state: State,
    backoff_us: u64,
}

#[derive(Debug)]
struct Stream {
    from: Pid,
    to: ArmorName,
    /// Who accepted it.
    peer: Pid,
    sent: u64,
    arrived: u64,
    /// Broken: frames from this number on are lost.
    cut: Option<u64>,
    last_arrival_us: u64,
}

/// All links there are.
#[derive(Debug, Default)]
pub struct Network {
    links: BTreeMap<(Pid, ArmorName), Link>,
    streams: BTreeMap<Connection, Stream>,
    connections: u64,
}

/// What becomes of something that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It arrives at this process then, as this frame of the connection.
    Arrives { at_us: u64, peer: Pid, connection: Connection, frame: u64 },
    /// It is lost.
    Vanishes,
    /// It is lost, and a first link must be dialled.
    Dial,
}

impl Network {
    /// Sends something from a process to a peer.
    pub fn send(&mut self, from: Pid, to: ArmorName, now_us: u64, delay_us: u64) -> Sent {
        let Some(link) = self.links.get(&(from, to)) else {
            self.open(from, to);
            return Sent::Dial;
        };
        let stream = self.streams.get_mut(&link.connection);
        let Some(stream) = stream.filter(|stream| link.state == State::Up && stream.cut.is_none()) else {
            return Sent::Vanishes;
        };
        let at_us = (now_us + delay_us).max(stream.last_arrival_us + 1);
        stream.last_arrival_us = at_us;
        stream.sent += 1;
        Sent::Arrives { at_us, peer: stream.peer, connection: link.connection, frame: stream.sent - 1 }
    }

    /// The sender wants a link to this peer, which is still to be dialled.
    pub fn open(&mut self, from: Pid, to: ArmorName) {
        let link = Link { connection: Connection(0), state: State::Dialling, backoff_us: BACKOFF_US.0 };
        self.links.insert((from, to), link);
    }

    /// Whether the sender still wants this link and it is not up: it must be dialled.
    #[must_use]
    pub fn wants(&self, from: Pid, to: ArmorName) -> bool {
        self.links.get(&(from, to)).is_some_and(|link| link.state == State::Dialling)
    }

    /// The peer can be reached; it has not answered yet.
    pub fn greet(&mut self, from: Pid, to: ArmorName, peer: Pid, now_us: u64) -> Option<Connection> {
        let link = self.links.get_mut(&(from, to))?;
        self.connections += 1;
        link.connection = Connection(self.connections);
        link.state = State::Greeting;
        let stream = Stream { from, to, peer, sent: 0, arrived: 0, cut: None, last_arrival_us: now_us };
        self.streams.insert(link.connection, stream);
        Some(link.connection)
    }

    /// The peer could not be reached: how long to wait before dialling again, in microseconds.
    pub fn refused(&mut self, from: Pid, to: ArmorName) -> Option<u64> {
        let link = self.links.get_mut(&(from, to))?;
        let wait_us = link.backoff_us;
        link.backoff_us = (wait_us * 2).min(BACKOFF_US.1);
        Some(wait_us)
    }

    /// The peer has answered: the link is up, if it is still this one that is wanted.
    pub fn welcome(&mut self, connection: Connection) -> Option<(Pid, ArmorName)> {
        let stream = self.streams.get(&connection).filter(|stream| stream.cut.is_none())?;
        let key = (stream.from, stream.to);
        let link = self.links.get_mut(&key).filter(|link| link.connection == connection)?;
        link.state = State::Up;
        link.backoff_us = BACKOFF_US.0;
        Some(key)
    }

    /// The sender waits for its welcome no longer; whether it had none on this connection, and dials again.
    pub fn tire(&mut self, from: Pid, to: ArmorName, connection: Connection) -> bool {
        let link = self.links.get_mut(&(from, to)).filter(|link| link.connection == connection);
        let Some(link) = link.filter(|link| link.state == State::Greeting) else { return false };
        link.state = State::Dialling;
        true
    }

    /// A frame arrives; false if it was lost on the way.
    pub fn arrives(&mut self, connection: Connection, frame: u64) -> bool {
        let Some(stream) = self.streams.get_mut(&connection) else { return false };
        let lost = stream.cut.is_some_and(|cut| frame >= cut);
        if !lost {
            stream.arrived = frame + 1;
        }
        !lost
    }

    /// The connection breaks; true if it was not broken before.
    pub fn cut(&mut self, connection: Connection, chance: &mut Chance) -> bool {
        let Some(stream) = self.streams.get_mut(&connection).filter(|stream| stream.cut.is_none()) else {
            return false;
        };
        stream.cut = Some(chance.within(stream.arrived, stream.sent + 1));
        true
    }

    /// The sender notices that its connection is broken: whether it was up, or `None` if it no longer cares.
    pub fn broke(&mut self, from: Pid, to: ArmorName, connection: Connection) -> Option<bool> {
        let link = self.links.get_mut(&(from, to)).filter(|link| link.connection == connection)?;
        let was_up = link.state == State::Up;
        link.state = State::Dialling;
        Some(was_up)
    }

    /// The sender does not want the link any more. What is on its way arrives.
    pub fn forget(&mut self, from: Pid, to: ArmorName) {
        self.links.remove(&(from, to));
    }

    /// A process is gone: its own connections are cut, and those of others to it are returned.
    pub fn gone(&mut self, pid: Pid, chance: &mut Chance) -> Vec<(Connection, Pid, ArmorName)> {
        self.links.retain(|&(from, _), _| from != pid);
        let own: Vec<Connection> =
            self.streams.iter().filter(|(_, stream)| stream.from == pid).map(|(&connection, _)| connection).collect();
        for connection in own {
            self.cut(connection, chance);
        }
        self.whole().filter(|(connection, ..)| self.streams[connection].peer == pid).collect()
    }

    /// The links to this peer that lead to another process than this one, whether or not their senders know that.
    pub fn astray(&self, to: ArmorName, peer: Pid) -> impl Iterator<Item = (Connection, Pid)> + '_ {
        let leads = move |link: &Link| link.state != State::Dialling && self.peer(link.connection) != Some(peer);
        let links = self.links.iter().filter(move |(key, link)| key.1 == to && leads(link));
        links.map(|(&(from, _), link)| (link.connection, from))
    }

    /// Who accepted a connection.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<Pid> {
        self.streams.get(&connection).map(|stream| stream.peer)
    }

    /// The connections that are not broken, with who speaks to whom.
    pub fn whole(&self) -> impl Iterator<Item = (Connection, Pid, ArmorName)> + '_ {
        let whole = self.streams.iter().filter(|(_, stream)| stream.cut.is_none());
        whole.map(|(&connection, stream)| (connection, stream.from, stream.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Pid = Pid(1);
    const B: Pid = Pid(2);

    fn up() -> (Network, Connection) {
        let mut network = Network::default();
        assert_eq!(network.send(A, ArmorName::Ftm, 0, 5), Sent::Dial);
        assert_eq!(network.send(A, ArmorName::Ftm, 0, 5), Sent::Vanishes, "said before the link is up");
        let connection = network.greet(A, ArmorName::Ftm, B, 0).unwrap();
        assert_eq!(network.welcome(connection), Some((A, ArmorName::Ftm)));
        (network, connection)
    }

    fn arrival(sent: Sent) -> u64 {
        let Sent::Arrives { at_us, .. } = sent else { panic!("{sent:?}") };
        at_us
    }

    #[test]
    fn frames_keep_their_order_whatever_their_delays() {
        let (mut network, _) = up();
        let arrivals: Vec<u64> = [90, 10, 50].map(|delay| arrival(network.send(A, ArmorName::Ftm, 0, delay))).to_vec();
        assert!(arrivals.is_sorted_by(|a, b| a < b), "{arrivals:?}");
    }

    #[test]
    fn a_break_loses_the_later_frames_and_never_an_earlier_one_alone() {
        for seed in 0..30 {
            let (mut network, connection) = up();
            for _ in 0..4 {
                network.send(A, ArmorName::Ftm, 0, 5);
            }
            assert!(network.arrives(connection, 0));
            assert!(network.cut(connection, &mut Chance::of(seed)));
            let rest: Vec<bool> = (1..4).map(|frame| network.arrives(connection, frame)).collect();
            assert!(rest.is_sorted_by(|a, b| a >= b), "{rest:?}");
            assert_eq!(network.send(A, ArmorName::Ftm, 9, 5), Sent::Vanishes);
            assert_eq!(network.broke(A, ArmorName::Ftm, connection), Some(true));
            assert!(network.wants(A, ArmorName::Ftm));
        }
    }

    #[test]
    fn a_forgotten_link_is_not_dialled_again() {
        let (mut network, connection) = up();
        network.forget(A, ArmorName::Ftm);
        network.cut(connection, &mut Chance::of(1));
        assert_eq!(network.broke(A, ArmorName::Ftm, connection), None);
        assert!(!network.wants(A, ArmorName::Ftm));
    }
}
