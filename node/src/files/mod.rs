//! What programs have changed: found, kept by content, compared, and committed.
//!
//! `harvest` turns an overlay's upper layer into a `manifest` (the difference between before and after, which is
//! voted on) and `blobs` (the contents). `redo` turns the winner's manifest into steps, and `commit` carries them out
//! so that a crash between any two of them is made good by the next start.

pub mod blobs;
pub mod commit;
pub mod compare;
pub mod copy;
pub mod harvest;
pub mod listing;
pub mod manifest;
pub mod redo;
pub mod tree;

use std::io;
use std::path::{Path, PathBuf};

use chameleon_core::names::Digest;

/// What can go wrong with files that programs wrote. Nothing in a user's directory has been changed when one of these
/// is returned, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{action} {}: {source}", .path.display())]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error("read content {} from {}: {why}", .digest, .store.display())]
    Blob { digest: Digest, store: PathBuf, why: String },
    #[error("read the list of changes {0}: {1}")]
    Manifest(Digest, String),
}

impl FilesError {
    /// Whether the disk (or the user's share of it) is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, FilesError::Path { source, .. } if full(source))
    }
}

/// Names the action and the path of a failure.
pub(crate) trait OnPath<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T, FilesError>;
}

impl<T, E: Into<io::Error>> OnPath<T> for Result<T, E> {
    fn on(self, action: &'static str, path: &Path) -> Result<T, FilesError> {
        self.map_err(|source| FilesError::Path { action, path: path.to_owned(), source: source.into() })
    }
}
