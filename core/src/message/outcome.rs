//! How jobs end.

use minicbor::{Decode, Encode};

use crate::world::End;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// A result was decided: the program's own exit code (the first that is not 0, of all tasks).
    #[n(0)]
    Result {
        #[n(0)]
        end: End,
    },
    /// No trustworthy result: a safe abort, with the evidence in a sentence. Exit 123.
    #[n(1)]
    Untrusted {
        #[n(0)]
        why: String,
        /// Bytes of output that were already released.
        #[n(1)]
        released: u64,
    },
    /// The deadline passed. Exit 124.
    #[n(2)]
    Deadline,
    /// Chameleon itself could not do it. Exit 125.
    #[n(3)]
    Failed {
        #[n(0)]
        why: String,
    },
    /// The user cancelled; the code is the one a shell would show.
    #[n(4)]
    Cancelled {
        #[n(0)]
        code: u8,
    },
}

impl Outcome {
    /// What `chameleon run` exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Result { end } => end.code(),
            Outcome::Untrusted { .. } => 123,
            Outcome::Deadline => 124,
            Outcome::Failed { .. } => 125,
            Outcome::Cancelled { code } => *code,
        }
    }

    /// The word a person reads, also in `--status-file`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Result { .. } => "result",
            Outcome::Untrusted { .. } => "untrusted",
            Outcome::Deadline => "deadline",
            Outcome::Failed { .. } => "failed",
            Outcome::Cancelled { .. } => "cancelled",
        }
    }
}
