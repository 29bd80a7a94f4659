//! The reign, as the store of several candidates has it.

use minicbor::{Decode, Encode};

use crate::names::{HostId, Term};

/// Who has the reign, by the store of several candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
pub struct Reign {
    #[n(0)]
    pub term: Term,
    /// Where its FTM is raised.
    #[n(1)]
    pub host: HostId,
    /// By which the candidate knows that it was its own that was granted.
    #[n(2)]
    pub request: u64,
}

/// What a candidate sees of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReignSight {
    Seen {
        reign: Reign,
        /// Grows with everything that a reign changes in the store.
        changes: u64,
    },
    /// There was no answer: what was asked may have been done, or may be done yet.
    Nothing,
}
