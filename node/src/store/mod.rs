//! The store of the FTM: records under keys, changed in transactions that are on disk when they return.
//!
//! Every transaction compares the reign, the term and who holds it: a store that has seen a higher term
//! obeys no lower one.

#[cfg(test)]
mod contract;
mod embedded;
mod etcd;
pub mod health;
pub mod members;

use std::fmt;
use std::path::PathBuf;

use chameleon_core::names::Term;
use chameleon_core::shell::Saved;
use minicbor::{Decode, Encode};

pub use embedded::Embedded;
pub use etcd::{Electorate, Etcd, NOBODY};
pub use members::MembersError;

/// Who writes: a term, and the process that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Reign {
    #[n(0)]
    pub term: Term,
    /// The process, as `pid-start-boot`; in a store that several hosts share, the host.
    #[n(1)]
    pub holder: String,
}

impl fmt::Display for Reign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.term, self.holder)
    }
}

/// Why the store did not serve. Nothing of a refused transaction was done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store {path} is ruled by {found}, so {ours} is over")]
    Deposed { path: PathBuf, found: Reign, ours: Reign },
    #[error("the store {path} was made by a newer Chameleon (format {found}); use that one, or another --home")]
    Newer { path: PathBuf, found: u64 },
    #[error("the store {path} is damaged, and jobs in it cannot be trusted: {why}; it was left as it is")]
    Damaged { path: PathBuf, why: String },
    #[error(
        "the store {path} has {found} under that prefix, and nothing of it was touched: give this cluster another one"
    )]
    Foreign { path: PathBuf, found: String },
    #[error("the store {path} does not answer, so nothing more can be decided: {why}")]
    Unreachable { path: PathBuf, why: String },
    #[error("another process has the store {path} open")]
    InUse { path: PathBuf },
    #[error("cannot use the store {path}, so nothing more can be decided: {why}")]
    System { path: PathBuf, why: String },
}

/// An open store under a reign.
pub trait Store: fmt::Debug + Send + Sync {
    /// All records: those with keys by key, then the others as they came.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn records(&self) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Makes all these changes, or none, and waits until the disk has them.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn commit(&self, records: &[Saved]) -> Result<(), StoreError>;

    /// The same store under the same reign, for another thread.
    fn share(&self) -> Box<dyn Store>;
}
