//! How bytes are called that no decision sees: inputs, changes and outputs, by what they are and where they lie.

use minicbor::{Decode, Encode};

use crate::job::{Build, Job, Origin, OsBytes};
use crate::names::{Digest, ExecutionId, HostId, LaneId, StageId};
use crate::world::Region;

/// Something that all lanes must receive alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Input {
    /// The first bytes of the job's spooled standard input.
    #[n(0)]
    Spool(#[n(0)] u64),
    /// A file, or a directory with all below it.
    #[n(1)]
    Path(#[n(0)] OsBytes),
    /// The file that a command's first word means, looked up as the program would be. What a host has under that
    /// name already, it uses.
    #[n(2)]
    Program(#[n(0)] OsBytes),
    /// A run directory of which no inputs are declared: with all below it, if that is little.
    #[n(3)]
    Directory(#[n(0)] OsBytes),
    /// What a build makes: its sources are fetched, and it is carried out unless that was done before.
    #[n(4)]
    Build(#[n(0)] Box<Build>),
}

/// Where a job's files lie, and how programs are found there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Whereabouts {
    #[n(0)]
    pub origin: Origin,
    /// The run directory.
    #[n(1)]
    pub directory: OsBytes,
    /// The value of `PATH`; empty if there is none.
    #[n(2)]
    pub search: OsBytes,
}

impl Whereabouts {
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let search = job.environment.iter().find_map(|entry| entry.strip_prefix(b"PATH="));
        let search = search.unwrap_or_default().to_vec().into();
        Whereabouts { origin: job.origin, directory: job.directory.clone(), search }
    }
}

/// An input that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Offer {
    /// What every lane must come to.
    #[n(0)]
    pub digest: Digest,
    /// The blob that lists what belongs to it; `None` for the spool.
    #[n(1)]
    pub listing: Option<Digest>,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::Spool(length) => write!(f, "the first {length} bytes of standard input"),
            Input::Path(path) | Input::Program(path) | Input::Directory(path) => {
                f.write_str(&String::from_utf8_lossy(path))
            }
            Input::Build(build) => build.fmt(f),
        }
    }
}

/// A decided change set: each winner has kept it on its host, in a list of its own, alike in what was voted on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ChangeSet {
    /// Hosts and their lists; the first that can be had serves.
    #[n(0)]
    pub kept: Vec<(HostId, Digest)>,
    /// What lanes on the job's origin changed are copies, too.
    #[n(1)]
    pub all_mirrored: bool,
}

/// Another host where a decided execution's output lies: a winner's own copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Holder {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub lane: LaneId,
    #[n(2)]
    pub stdout: Region,
    /// Its own: nobody votes on standard error.
    #[n(3)]
    pub stderr: Region,
}

/// A piece of the decided output, in the order in which it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Piece {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub lane: LaneId,
    #[n(2)]
    pub execution: ExecutionId,
    #[n(3)]
    pub stdout: Region,
    #[n(4)]
    pub stderr: Region,
    /// Where else it lies, one entry a host.
    #[n(5)]
    pub others: Vec<Holder>,
}

impl Piece {
    /// Where the very bytes of its standard output lie. A winner need not have printed the same, only what counts as
    /// the same.
    #[must_use]
    pub fn holders_alike(&self) -> Vec<(HostId, LaneId, Region)> {
        let others = self.others.iter().map(|other| (other.host, other.lane, other.stdout));
        let all = std::iter::once((self.host, self.lane, self.stdout)).chain(others);
        all.filter(|(_, _, region)| region.digest == self.stdout.digest).collect()
    }
}

/// What is kept of a job for those who ask when it is over.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum IndexEntry {
    #[n(0)]
    Piece(#[n(0)] Piece),
    /// Tasks of the last stage that came to no result, or to a failure of the program's own.
    #[n(1)]
    Failed(#[n(0)] StageId, #[n(1)] Vec<(u64, u64)>),
    /// Tasks of the last stage that may be started at most once, and may have been: nobody knows.
    #[n(2)]
    Unclear(#[n(0)] StageId, #[n(1)] Vec<(u64, u64)>),
    /// The last entry. Without it the job went on elsewhere, and what is here is a part.
    #[n(3)]
    Whole,
}
