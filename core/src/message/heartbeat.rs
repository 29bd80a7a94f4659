//! What a Heartbeat can be told, by the FTM over a link and by other Heartbeats in datagrams.

use minicbor::{Decode, Encode};

use crate::names::{HostId, Incarnation, Millis, Term};
use crate::world::Knock;

/// To a Heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum HeartbeatMessage {
    /// FTM → Heartbeat: beat to these hosts, and watch those. Said whenever the link comes up and
    /// whenever hosts come or go; the last of the highest term stands. Answered by `FtmMessage::Hears` of each.
    #[n(0)]
    Watch {
        #[n(0)]
        term: Term,
        #[n(1)]
        beat_to: Vec<HostId>,
        #[n(2)]
        watch: Vec<HostId>,
        /// By which what is said to these hosts, and heard of them, is authenticated.
        #[n(3)]
        keys: Vec<(HostId, PairKey)>,
    },
    /// FTM → Heartbeat: do you hear this host? Answered by `FtmMessage::Hears`.
    #[n(1)]
    Ask {
        #[n(0)]
        host: HostId,
    },
}

/// The key that two hosts share; it authenticates their datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct PairKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// Keys are not shown.
impl std::fmt::Debug for PairKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairKey")
    }
}

/// What Heartbeats tell each other: numbered, and lost at times. Each is small enough for one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Datagram {
    /// This host lives.
    #[n(0)]
    Beat {
        /// The sender's life, in which it numbers from 1.
        #[n(0)]
        life: Incarnation,
        #[n(1)]
        number: u64,
        /// How late the sender's own timer was: what it was starved of, at least.
        #[n(2)]
        late: Millis,
    },
    /// The recipient is suspected: it is to answer at once.
    #[n(1)]
    Probe,
    /// The answer to a probe.
    #[n(2)]
    Answer,
    /// The recipient's beat of this number was heard; said of every few.
    #[n(140)]
    Heard {
        #[n(0)]
        number: u64,
    },
}

/// How one host hears another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Hearing {
    /// For how long nothing was heard, beyond what the observer itself slept through.
    #[n(0)]
    pub silent: Millis,
    /// The longest silence that may be an accident, by what was measured before.
    #[n(1)]
    pub bound: Millis,
    /// How late the silent host said that its own timer was, of late.
    #[n(2)]
    pub late: Millis,
    /// Share of its beats that were lost, per mille.
    #[n(3)]
    pub loss_per_mille: u16,
    /// What its machine did when it was knocked at.
    #[n(4)]
    pub knock: Option<Knock>,
}

impl Hearing {
    /// Whether the silence is within its bound.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.silent <= self.bound
    }
}

/// What one host measured of another; what it did not measure is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Measured {
    #[n(0)]
    pub host: HostId,
    /// Until the other end had heard a beat and said so.
    #[n(1)]
    pub round_trip_us: Option<u64>,
    /// Share of the other host's beats that did not come here.
    #[n(2)]
    pub loss_per_mille: Option<u16>,
    /// How fast the last long transfer came from there.
    #[n(3)]
    pub bytes_per_s: Option<u64>,
}

/// What is the matter with a host that nobody hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum HostFault {
    /// Its machine answers that nobody lives there: its processes died.
    #[n(0)]
    Dead,
    /// Its machine opens the door, and nobody in there looks: its processes are stopped.
    #[n(1)]
    Frozen,
    /// Nothing answers at all: the machine is dead, or cut off from all others.
    #[n(2)]
    Unreachable,
}
