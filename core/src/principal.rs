//! Who somebody is beyond one machine: the path of a SPIFFE-style name, as a certificate carries it.
//!
//! ```text
//!   spiffe://CLUSTER/host/h2                          a host; it signs what is below it
//!   spiffe://CLUSTER/host/h2/armor/execution-j1-l0    an ARMOR of that host
//!   spiffe://CLUSTER/user/NAME                        a person
//! ```
//!
//! What each may claim and reach is decided here; that a certificate really says so is checked by
//! whoever reads it.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::names::{ArmorName, BadName, HostId, Kind};

/// The longest name of a host or a person, in bytes.
pub const LONGEST_NAME: usize = 63;

/// Somebody who can prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Principal {
    #[n(0)]
    Host(#[n(0)] HostId),
    #[n(1)]
    Armor(#[n(0)] HostId, #[n(1)] ArmorName),
    #[n(2)]
    User(#[n(0)] String),
}

/// What somebody is let in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Role {
    #[n(0)]
    Host,
    #[n(1)]
    User,
    /// A host that may also serve as FTM.
    #[n(2)]
    Ftm,
}

impl crate::word::Word for Role {
    const WHAT: &'static str = "a role";
    const WORDS: &'static [(&'static str, Self)] = &[("host", Role::Host), ("user", Role::User), ("ftm", Role::Ftm)];
}

impl Principal {
    /// The host it is on, if it is bound to one.
    #[must_use]
    pub fn host(&self) -> Option<HostId> {
        match self {
            Principal::Host(host) | Principal::Armor(host, _) => Some(*host),
            Principal::User(_) => None,
        }
    }

    /// Who vouches for it: its host, or nobody but the cluster's authority.
    #[must_use]
    pub fn issuer(&self) -> Option<Principal> {
        match self {
            Principal::Armor(host, _) => Some(Principal::Host(*host)),
            Principal::Host(_) | Principal::User(_) => None,
        }
    }

    /// Who was let in, and whose revocation ends this one.
    #[must_use]
    pub fn member(&self) -> Principal {
        self.issuer().unwrap_or_else(|| self.clone())
    }

    /// Whether it may speak under this name.
    #[must_use]
    pub fn may_be(&self, name: ArmorName) -> bool {
        match self {
            Principal::Armor(host, own) => *own == name && name.host().is_none_or(|bound| bound == *host),
            Principal::User(_) => name.kind() == Kind::User,
            // It signs, and speaks through its ARMORs only.
            Principal::Host(_) => false,
        }
    }

    /// Whether it may open a link to this ARMOR: people speak to those who serve their jobs, and to
    /// nobody who rules over a host.
    #[must_use]
    pub fn may_reach(&self, name: ArmorName) -> bool {
        match self {
            Principal::Armor(..) => true,
            Principal::User(_) => matches!(name.kind(), Kind::Ftm | Kind::Surrogate | Kind::Fanout),
            Principal::Host(_) => false,
        }
    }
}

/// Prints as the path of its name.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Host(host) => write!(f, "host/{host}"),
            Principal::Armor(host, name) => write!(f, "host/{host}/armor/{name}"),
            Principal::User(name) => write!(f, "user/{name}"),
        }
    }
}

impl FromStr for Principal {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { text: text.to_owned(), expected: "a name such as host/h2 or user/ann" };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["host", host] => Ok(Principal::Host(host.parse()?)),
            ["host", host, "armor", name] => Ok(Principal::Armor(host.parse()?, name.parse()?)),
            ["user", name] if is_fit(name) => Ok(Principal::User((*name).to_owned())),
            _ => Err(bad()),
        }
    }
}

/// Whether a host or a person may be called so: lower-case letters, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_fit(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(letter) && name.as_bytes()[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{JobId, LaneId};

    const LANE: ArmorName = ArmorName::Execution(JobId(1), LaneId(0));

    #[test]
    fn every_name_reads_back_as_itself() {
        let all = [
            Principal::Host(HostId(2)),
            Principal::Armor(HostId(2), LANE),
            Principal::Armor(HostId(1), ArmorName::Ftm),
            Principal::User("ann".to_owned()),
        ];
        for principal in all {
            assert_eq!(principal.to_string().parse(), Ok(principal));
        }
        for bad in ["", "host", "host/2", "user/", "user/a/b", "user/../x", "host/h1/armor", "user/Ann Lee"] {
            assert!(bad.parse::<Principal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_speaks_under_a_name_that_is_not_theirs() {
        let host = HostId(2);
        let daemon = ArmorName::Daemon;
        let user = Principal::User("ann".to_owned());
        let table = [
            (Principal::Armor(host, LANE), LANE, true),
            (Principal::Armor(host, LANE), ArmorName::Execution(JobId(1), LaneId(1)), false),
            (Principal::Armor(host, daemon(host)), daemon(host), true),
            (Principal::Armor(host, daemon(HostId(3))), daemon(HostId(3)), false),
            (Principal::Host(host), daemon(host), false),
            (user.clone(), ArmorName::User(9), true),
            (user.clone(), daemon(host), false),
            (user, ArmorName::Ftm, false),
        ];
        for (principal, name, expected) in table {
            assert_eq!(principal.may_be(name), expected, "{principal} as {name}");
        }
    }

    #[test]
    fn people_reach_no_daemon_and_no_lane() {
        let user = Principal::User("ann".to_owned());
        let reached = [ArmorName::Ftm, ArmorName::Surrogate(JobId(1)), ArmorName::Fanout(JobId(1))];
        assert!(reached.into_iter().all(|name| user.may_reach(name)));
        let others = [ArmorName::Daemon(HostId(1)), ArmorName::Voter(JobId(1)), LANE, ArmorName::User(1)];
        assert!(!others.into_iter().any(|name| user.may_reach(name)));
    }
}
