//! What a slot is to be, and why it cannot be.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chameleon_core::job::Files;

use crate::files::FilesError;
use crate::os::facilities::Facilities;

/// Says whether the contents of a path (relative to the run directory) are overlooked by the vote.
pub type Masked = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a slot is to be.
#[derive(Clone)]
pub struct SlotSpec {
    /// The executable that runs as the shim with the one argument `slot`: Chameleon itself.
    pub shim: PathBuf,
    /// A directory of the slot's own: packs and layers. It continues where an earlier life stopped.
    pub work: PathBuf,
    /// The content store, best on the same file system as `work`.
    pub blobs: PathBuf,
    /// On another host than the job's origin: the directory that stands for the root there. What was laid in it is
    /// shown at its own path.
    pub mirror: Option<PathBuf>,
    /// The run directory, absolute.
    pub directory: PathBuf,
    pub files: Files,
    /// Paths that may be written besides; relative ones start at the run directory.
    pub outputs: Vec<PathBuf>,
    /// Paths that stay visible even where they would be hidden; relative ones start at the run directory.
    pub inputs: Vec<PathBuf>,
    /// The command's first word, so that the file it means stays visible too.
    pub program: OsString,
    /// `NAME=value`.
    pub environment: Vec<OsString>,
    pub umask: u32,
    /// Whether programs may use the network.
    pub net: bool,
    pub masked: Masked,
    /// What keeps programs from the host; `None`: Linux's facilities, and where the kernel refuses them, POSIX's.
    pub facilities: Option<Facilities>,
}

/// Why a slot cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    #[error("use {}: {source}", .path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error("hold what is written in /: it is the whole system; run in a directory of your own, or with --files none")]
    WholeSystem,
    #[error(
        "hold what is written in {}: what is written there acts at once on the system; run in a directory of your own, \
         or with --files none", .directory.display()
    )]
    System { directory: PathBuf },
    #[error(
        "hold what is written in {}: another file system is mounted beneath it at {}; run in a directory without \
         mounts, or use --files none", .directory.display(), .mount.display()
    )]
    Submount { directory: PathBuf, mount: PathBuf },
    #[error("{0}")]
    NoNamespaces(String),
    #[error(
        "hold what is written in {}: on a host with POSIX facilities alone, nothing but the run directory is held; \
         `only = {{ facilities = \"linux\" }}` under [placement] asks for another host", .directory.display()
    )]
    NotHeld { directory: PathBuf },
    #[error(
        "show {} as it is on the job's origin: on a host with POSIX facilities alone, nothing but the run directory is \
         shown; `only = {{ facilities = \"linux\" }}` under [placement] asks for another host", .path.display()
    )]
    NotShown { path: PathBuf },
    #[error("start the slot's own process: {0}")]
    Shim(String),
    #[error("reach the slot's own process: {0}")]
    Control(io::Error),
    #[error(transparent)]
    Files(#[from] FilesError),
}
