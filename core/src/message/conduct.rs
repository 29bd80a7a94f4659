//! What a host has done to those who relied on it, as it is kept and shown.

use minicbor::{Decode, Encode};

use crate::message::HostFault;
use crate::names::{HostId, JobId, Millis};

/// Something that speaks against a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Incident {
    /// It was taken for lost.
    #[n(0)]
    Lost(#[n(0)] HostFault),
    /// Its daemon was replaced, though the host was not lost.
    #[n(1)]
    DaemonDied,
    /// A lane of this job repeated a wrong value there: what surrounds the lane is at fault.
    #[n(2)]
    Blamed(#[n(0)] JobId),
    /// A test task had another answer than the known one, or none in time.
    #[n(3)]
    TestFailed,
}

/// The record of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Conduct {
    /// When, in milliseconds since 1970, and what; the latest last.
    #[n(0)]
    pub incidents: Vec<(u64, Incident)>,
    /// What happened before this counts no more.
    #[n(1)]
    pub counts_from_unix_ms: u64,
    /// How often it was quarantined since a person pardoned it last.
    #[n(2)]
    pub times: u32,
    #[n(3)]
    pub quarantine: Option<Quarantine>,
    /// How often it was tested.
    #[n(4)]
    pub paroles: u32,
}

/// A host gets no lanes for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Quarantine {
    #[n(0)]
    pub since_unix_ms: u64,
    /// How long nothing is tried there.
    #[n(1)]
    pub wait: Millis,
    /// Test tasks that it has done right, once it is on parole.
    #[n(2)]
    pub parole: Option<u32>,
}

/// A try to get a lost host back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Tried {
    #[n(0)]
    pub host: HostId,
    /// How many tries there were by now.
    #[n(1)]
    pub tries: u32,
    /// Its revive command was started; it was called in any case.
    #[n(2)]
    pub by_command: bool,
    /// `None`: that was the last time.
    #[n(3)]
    pub again: Option<Millis>,
}
