//! Bytes between hosts: what programs printed and wrote, inputs, the spool of standard input, the index of a job's
//! output.
//!
//! Decisions never see them (D8: ids, not data). Whoever needs bytes asks the host that has them, over any stream that
//! leads there, and believes none that does not bear out its digest. A transfer that is cut goes on from where it was; a
//! host that is gone or gives wrong bytes is passed over for the next that has them; concurrent wishes for the same
//! bytes on one host share one transfer; what cannot be kept (a full disk) leaves nothing half.
//!
//! Each daemon serves them from threads of its own, so that no decision waits for a disk or a slow reader.
//!
//! | file | what it does |
//! |---|---|
//! | [`frame`] | what is asked and answered, decoded by a pure function |
//! | [`desk`] | gives bytes out |
//! | [`shelf`] | finds them, for those who may have them |
//! | [`roads`] | how hosts are reached |
//! | [`caller`] | asks a host |
//! | [`pace`] | how fast the bytes came |
//! | [`fetch`] | gets bytes from whichever host has them, and checks them |

pub mod caller;
pub mod desk;
pub mod fetch;
pub mod frame;
pub mod pace;
pub mod roads;
pub mod shelf;

use std::io;

use chameleon_core::names::{Digest, HostId};

pub use caller::Caller;
pub use desk::Desk;
pub use frame::{Refusal, Stream};
pub use roads::Roads;

/// Why bytes could not be had. Nothing half is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    #[error("{host} cannot be reached: {source}")]
    Unreachable { host: HostId, source: io::Error },
    #[error("{host} broke off after {after} bytes: {source}")]
    Cut { host: HostId, after: u64, source: io::Error },
    #[error("{host} {refusal}")]
    Refused { host: HostId, refusal: Refusal },
    #[error("{host} gave other bytes than those of {digest}")]
    Wrong { host: HostId, digest: Digest },
    #[error("{host} has {length} bytes of it, more than the {most} that it can have")]
    TooLong { host: HostId, length: u64, most: u64 },
    #[error("no host is known to have it")]
    Nowhere,
    /// All who should have it were asked.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Everywhere(Vec<BulkError>),
    /// It arrived and could not be kept.
    #[error("what arrived cannot be kept in {path}: {source}")]
    Unkept { path: std::path::PathBuf, source: io::Error },
}

impl BulkError {
    /// Whether the same host may well answer a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            BulkError::Unreachable { .. } | BulkError::Cut { .. } => true,
            BulkError::Refused { refusal, .. } => *refusal == Refusal::Busy,
            BulkError::Everywhere(errors) => errors.iter().any(BulkError::may_pass),
            BulkError::Wrong { .. } | BulkError::TooLong { .. } | BulkError::Nowhere | BulkError::Unkept { .. } => {
                false
            }
        }
    }
}
