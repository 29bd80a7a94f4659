//! The address book of a cluster: where its hosts are reached, which of them the FTM is on, and who is
//! let in no more. The FTM writes it; each daemon keeps it for all processes of its home.

use minicbor::{Decode, Encode};

use crate::names::HostId;
use crate::principal::Principal;

/// What the FTM tells every daemon whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Book {
    /// The host on which the FTM is.
    #[n(0)]
    pub ftm: HostId,
    /// In order of hosts.
    #[n(1)]
    pub hosts: Vec<Entry>,
    /// Hosts and persons that were let in once and are no more.
    #[n(2)]
    pub revoked: Vec<Principal>,
}

/// Where a host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    #[n(0)]
    pub host: HostId,
    /// As its people call it.
    #[n(1)]
    pub name: String,
    /// `ADDRESS:PORT`.
    #[n(2)]
    pub address: String,
    /// It may serve as FTM.
    #[n(3)]
    #[cbor(default)]
    pub may_serve: bool,
}

impl Book {
    /// Where this host is reached, as far as it is known.
    #[must_use]
    pub fn address(&self, host: HostId) -> Option<&str> {
        self.hosts.iter().find(|entry| entry.host == host).map(|entry| entry.address.as_str())
    }

    /// Where the FTM may be: first where it was last.
    pub fn may_have_ftm(&self) -> impl Iterator<Item = HostId> + '_ {
        let others = self.hosts.iter().filter(|entry| entry.may_serve && entry.host != self.ftm);
        std::iter::once(self.ftm).chain(others.map(|entry| entry.host))
    }

    /// Whether this one is let in no more, itself or the host that vouches for it.
    #[must_use]
    pub fn is_revoked(&self, principal: &Principal) -> bool {
        self.revoked.contains(&principal.member())
    }
}
