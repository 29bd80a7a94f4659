//! What things are called: ids, terms, incarnations, timers and digests.
//!
//! Every kind of thing has a type of its own, so that a lane can never be taken for a task.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

macro_rules! number_name {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let bad = || BadName { text: text.to_owned(), expected: concat!($prefix, "NUMBER") };
                text.strip_prefix($prefix).and_then(|digits| digits.parse().ok()).map(Self).ok_or_else(bad)
            }
        }
    };
}

number_name!(
    /// A job, numbered in order of submission.
    JobId(u64), "j");
number_name!(
    /// A host, numbered in order of joining.
    HostId(u32), "h");
number_name!(
    /// A step of a job, from 0.
    StageId(u16), "s");
number_name!(
    /// One unit of work inside a stage: its number in the stage's range.
    TaskId(u64), "t");
number_name!(
    /// One replica's road through a job, from 0.
    LaneId(u16), "l");
number_name!(
    /// One place of a lane in which one execution at a time runs, from 0.
    SlotId(u16), "x");
number_name!(
    /// The number of an execution among those of the same task in the same lane, from 0.
    Attempt(u32), "a");
number_name!(
    /// The number of an ARMOR's life, from 1. The higher wins, the lower is ignored.
    Incarnation(u32), "i");
number_name!(
    /// The number of the FTM's reign, from 1. The higher wins, the lower is ignored.
    Term(u64), "term ");

/// A name that does not read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {text:?}")]
pub struct BadName {
    pub text: String,
    pub expected: &'static str,
}

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Digest(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl Digest {
    /// The first eight hexadecimal digits: enough to tell results apart in a report.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.short())
    }
}

/// Who an ARMOR is, and how others reach it: the name says its kind and what it serves.
///
/// There is one of each kind where it says so: one FTM, a daemon and a Heartbeat a host, an SM, a
/// Voter and a Fanout a job, an Execution a lane, and for a while an Init a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum ArmorName {
    #[n(0)]
    Ftm,
    #[n(1)]
    Daemon(#[n(0)] HostId),
    #[n(2)]
    Surrogate(#[n(0)] JobId),
    #[n(3)]
    Voter(#[n(0)] JobId),
    #[n(4)]
    Fanout(#[n(0)] JobId),
    #[n(5)]
    Execution(#[n(0)] JobId, #[n(1)] LaneId),
    /// A user's command that watches a job; not an ARMOR, but it is spoken to like one.
    /// The number is drawn by the command itself.
    #[n(6)]
    User(#[n(0)] u64),
    /// Tells other hosts that this one lives, and watches some of them.
    #[n(60)]
    Heartbeat(#[n(0)] HostId),
    /// Keeps a copy of what the SM and the Voter of a job save.
    #[n(61)]
    Mirror(#[n(0)] JobId),
    #[n(80)]
    Init(#[n(0)] HostId),
}

/// What an ARMOR is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Kind {
    #[n(0)]
    Ftm,
    #[n(1)]
    Daemon,
    #[n(2)]
    Surrogate,
    #[n(3)]
    Voter,
    #[n(4)]
    Fanout,
    #[n(5)]
    Execution,
    #[n(6)]
    User,
    #[n(60)]
    Heartbeat,
    #[n(61)]
    Mirror,
    #[n(80)]
    Init,
}

impl Kind {
    /// The word a person reads and types.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ftm => "ftm",
            Kind::Daemon => "daemon",
            Kind::Surrogate => "surrogate",
            Kind::Voter => "voter",
            Kind::Fanout => "fanout",
            Kind::Execution => "execution",
            Kind::User => "user",
            Kind::Heartbeat => "heartbeat",
            Kind::Mirror => "mirror",
            Kind::Init => "init",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl ArmorName {
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            ArmorName::Ftm => Kind::Ftm,
            ArmorName::Daemon(_) => Kind::Daemon,
            ArmorName::Surrogate(_) => Kind::Surrogate,
            ArmorName::Voter(_) => Kind::Voter,
            ArmorName::Fanout(_) => Kind::Fanout,
            ArmorName::Execution(..) => Kind::Execution,
            ArmorName::User(_) => Kind::User,
            ArmorName::Heartbeat(_) => Kind::Heartbeat,
            ArmorName::Mirror(_) => Kind::Mirror,
            ArmorName::Init(_) => Kind::Init,
        }
    }

    /// The host that it belongs to by its name, if it belongs to one.
    #[must_use]
    pub fn host(self) -> Option<HostId> {
        match self {
            ArmorName::Daemon(host) | ArmorName::Heartbeat(host) | ArmorName::Init(host) => Some(host),
            ArmorName::Ftm
            | ArmorName::Surrogate(_)
            | ArmorName::Voter(_)
            | ArmorName::Fanout(_)
            | ArmorName::Mirror(_)
            | ArmorName::Execution(..)
            | ArmorName::User(_) => None,
        }
    }

    /// The job it serves, if it serves one.
    #[must_use]
    pub fn job(self) -> Option<JobId> {
        match self {
            ArmorName::Surrogate(job)
            | ArmorName::Voter(job)
            | ArmorName::Fanout(job)
            | ArmorName::Mirror(job)
            | ArmorName::Execution(job, _) => Some(job),
            ArmorName::Ftm
            | ArmorName::Daemon(_)
            | ArmorName::User(_)
            | ArmorName::Heartbeat(_)
            | ArmorName::Init(_) => None,
        }
    }
}

/// Prints as `ftm`, `daemon-h1`, `surrogate-j3`, `execution-j3-l0`: fit for a file name.
impl fmt::Display for ArmorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            ArmorName::Ftm => write!(f, "{kind}"),
            ArmorName::Daemon(host) | ArmorName::Heartbeat(host) | ArmorName::Init(host) => write!(f, "{kind}-{host}"),
            ArmorName::Surrogate(job) | ArmorName::Voter(job) | ArmorName::Fanout(job) | ArmorName::Mirror(job) => {
                write!(f, "{kind}-{job}")
            }
            ArmorName::Execution(job, lane) => write!(f, "{kind}-{job}-{lane}"),
            ArmorName::User(number) => write!(f, "{kind}-{number}"),
        }
    }
}

impl FromStr for ArmorName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { text: text.to_owned(), expected: "an ARMOR such as ftm, daemon-h1 or execution-j1-l0" };
        let mut parts = text.split('-');
        let (kind, first, second) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(bad());
        }
        match (kind, first, second) {
            ("ftm", None, None) => Ok(ArmorName::Ftm),
            ("daemon", Some(host), None) => Ok(ArmorName::Daemon(host.parse()?)),
            ("heartbeat", Some(host), None) => Ok(ArmorName::Heartbeat(host.parse()?)),
            ("surrogate", Some(job), None) => Ok(ArmorName::Surrogate(job.parse()?)),
            ("voter", Some(job), None) => Ok(ArmorName::Voter(job.parse()?)),
            ("mirror", Some(job), None) => Ok(ArmorName::Mirror(job.parse()?)),
            ("fanout", Some(job), None) => Ok(ArmorName::Fanout(job.parse()?)),
            ("execution", Some(job), Some(lane)) => Ok(ArmorName::Execution(job.parse()?, lane.parse()?)),
            ("init", Some(host), None) => Ok(ArmorName::Init(host.parse()?)),
            ("user", Some(number), None) => number.parse().map(ArmorName::User).map_err(|_| bad()),
            _ => Err(bad()),
        }
    }
}

/// One run of one task in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ExecutionId {
    #[n(0)]
    pub stage: StageId,
    #[n(1)]
    pub task: TaskId,
    #[n(2)]
    pub attempt: Attempt,
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stage, self.task, self.attempt)
    }
}

/// Milliseconds since an origin that only this process knows: for differences, never for dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Millis(#[n(0)] pub u64);

impl Millis {
    /// The time from `earlier` to here; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add for Millis {
    type Output = Millis;

    fn add(self, other: Millis) -> Millis {
        Millis(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms < 1_000 => write!(f, "{ms} ms"),
            ms => write!(f, "{}.{:01} s", ms / 1_000, ms % 1_000 / 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself() {
        let job = JobId(3);
        let names = [
            ArmorName::Ftm,
            ArmorName::Daemon(HostId(1)),
            ArmorName::Surrogate(job),
            ArmorName::Voter(job),
            ArmorName::Fanout(job),
            ArmorName::Execution(job, LaneId(2)),
            ArmorName::User(99),
            ArmorName::Heartbeat(HostId(2)),
            ArmorName::Mirror(job),
            ArmorName::Init(HostId(2)),
        ];
        for name in names {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn a_bad_name_says_what_was_expected() {
        let error = "j3-x".parse::<ArmorName>().unwrap_err().to_string();
        assert!(error.contains("execution-j1-l0"), "{error}");
        assert!("lane1".parse::<LaneId>().is_err());
    }
}
