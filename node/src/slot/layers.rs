//! Where a slot keeps, in its own directory, what programs write.

use std::path::{Path, PathBuf};

/// Where the layer of one root lies inside the slot's work directory.
#[must_use]
pub fn directory(root: u16) -> PathBuf {
    PathBuf::from(format!("layers/{root}"))
}

/// The name of a copied directory in its layer; an overlay's layer has none.
pub const COPY: &str = "copy";

/// Where programs run that are shown no directory at another's path: in a copy of the run directory.
#[must_use]
pub fn run_copy(work: &Path) -> PathBuf {
    work.join(directory(0)).join(COPY)
}
