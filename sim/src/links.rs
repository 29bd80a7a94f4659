//! Links between processes: what is said on them, and how they are made, break and are made again.

use chameleon_core::armor::LinkEvent;
use chameleon_core::message::Message;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Input;

use crate::network::{Connection, Sent};
use crate::process::{Arrival, Pid, Process};
use crate::tell;
use crate::world::{Next, World};

/// How long a caller of another host waits for its welcome, in microseconds.
const WELCOME_WITHIN_US: u64 = 10_000_000;

impl World {
    /// Sends a message, which is encoded on its way.
    pub fn send(&mut self, from: Pid, to: ArmorName, mut message: Message) {
        let Some(identity) = self.processes.get(&from).and_then(Process::identity) else { return };
        let (name, incarnation) = (identity.name, identity.incarnation);
        self.standing.corrupt(identity, &mut message);
        let delay_us = self.chance.delay_us(60);
        match self.network.send(from, to, self.agenda.now_us(), delay_us) {
            Sent::Dial => self.later(100, Next::Dial { from, to }),
            Sent::Vanishes => {}
            Sent::Arrives { at_us, peer, connection, frame } => {
                tell::message(self, name, to, &message);
                let bytes = minicbor::to_vec(&message).expect("writing to memory cannot fail");
                let what = Arrival::Frame { from: name, incarnation, connection, frame, bytes };
                let (here, there) = (self.host_of(from), self.host_of(peer));
                if self.fabric.connects(here, there) {
                    self.agenda.at(at_us, &mut self.chance, Next::Arrive { at: peer, what });
                } else {
                    self.fabric.hold(here, there, peer, what);
                }
            }
        }
    }

    pub(crate) fn dial(&mut self, from: Pid, to: ArmorName) {
        if !self.network.wants(from, to) {
            return;
        }
        let reached =
            |peer: Pid| self.fabric.connects(self.host_of(from), self.host_of(peer)) && !self.are_parted(from, peer);
        let peer = self.bound.get(&to).copied().filter(|&peer| reached(peer));
        match peer.and_then(|peer| Some((peer, self.network.greet(from, to, peer, self.agenda.now_us())?))) {
            Some((peer, connection)) => {
                self.later(40, Next::Arrive { at: peer, what: Arrival::Hello { from, connection } });
                // Its machine accepts what it will not answer; by then its ARMORs may live elsewhere.
                if self.fabric.is_frozen(self.host_of(peer)) {
                    self.after(WELCOME_WITHIN_US, Next::Tire { from, to, connection });
                }
            }
            None => self.dial_again(from, to),
        }
    }

    pub(crate) fn tire(&mut self, from: Pid, to: ArmorName, connection: Connection) {
        if self.network.tire(from, to, connection) {
            self.dial(from, to);
        }
    }

    fn dial_again(&mut self, from: Pid, to: ArmorName) {
        if let Some(wait_us) = self.network.refused(from, to) {
            let late_us = self.chance.within(0, 500);
            self.after(wait_us + late_us, Next::Dial { from, to });
        }
    }

    pub(crate) fn greeted(&mut self, pid: Pid, from: Pid, connection: Connection) {
        let Some(identity) = self.processes.get(&pid).and_then(Process::identity) else { return };
        let incarnation = identity.incarnation;
        self.later(40, Next::Arrive { at: from, what: Arrival::Welcome { connection, incarnation } });
    }

    pub(crate) fn welcomed(&mut self, pid: Pid, connection: Connection, incarnation: Incarnation) {
        let Some((_, peer)) = self.network.welcome(connection) else { return };
        self.present(pid, peer);
        self.feed(pid, Input::Link(LinkEvent::Up { peer, incarnation }));
    }

    pub(crate) fn broke(&mut self, pid: Pid, peer: ArmorName, connection: Connection) {
        let Some(was_up) = self.network.broke(pid, peer, connection) else { return };
        if was_up {
            self.feed(pid, Input::Link(LinkEvent::Down { peer }));
        }
        self.dial_again(pid, peer);
    }

    /// Whoever is linked to an FTM that was replaced looks whether it is elsewhere, and then waits for no sign of it.
    pub(crate) fn follow_reign(&mut self) {
        let Some(&ftm) = self.bound.get(&ArmorName::Ftm) else { return };
        let astray: Vec<(Connection, Pid)> = self.network.astray(ArmorName::Ftm, ftm).collect();
        for (connection, from) in astray {
            self.network.cut(connection, &mut self.chance);
            self.later(80, Next::Arrive { at: from, what: Arrival::Broke { to: ArmorName::Ftm, connection } });
        }
    }

    /// Breaks a connection to a process of this host: its sender will notice, once it hears of it.
    pub fn cut(&mut self, connection: Connection, from: Pid, to: ArmorName, host: HostId) {
        if self.network.cut(connection, &mut self.chance) {
            let what = Arrival::Broke { to, connection };
            let here = self.host_of(from);
            if self.fabric.connects(here, host) {
                self.later(80, Next::Arrive { at: from, what });
            } else {
                self.fabric.hold(host, here, from, what);
            }
        }
    }
}
