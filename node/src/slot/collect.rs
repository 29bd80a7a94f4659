//! Collecting what an execution wrote, on a thread of its own so that the event loop goes on.

use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;

use super::event::{Changes, Ended};
use super::plan::Overlay;
use super::{Masked, layers};
use crate::files::harvest::{Harvest, HeldRoot, Layer, harvest};
use crate::files::manifest::Manifest;
use crate::files::{FilesError, OnPath, tree};
use crate::os::facilities::Facilities;

/// What was found.
pub(super) struct Collected {
    pub manifest: Manifest,
    /// `None`: nothing that is held was changed.
    pub changes: Option<Changes>,
}

/// An execution that has ended and whose changes are being collected.
pub(super) struct Harvesting {
    pub ended: Ended,
    task: JoinHandle<Result<Collected, FilesError>>,
}

impl Harvesting {
    pub fn begin(ended: Ended, job: Harvest, layers: Vec<PathBuf>, masked: Masked) -> Harvesting {
        Harvesting { ended, task: tokio::task::spawn_blocking(move || collect(&job, &layers, &masked)) }
    }
}

/// Waits for the end of the harvest, for ever if there is none. May be dropped and called again.
pub(super) async fn finished(harvesting: Option<&mut Harvesting>) -> Result<Collected, FilesError> {
    match harvesting {
        None => pending().await,
        Some(harvesting) => {
            (&mut harvesting.task).await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
        }
    }
}

/// The directories whose changes are kept, with their layers.
pub(super) fn held_roots(held: &Held) -> Vec<HeldRoot> {
    let kept = held.overlays.iter().filter(|overlay| overlay.kept);
    kept.map(|overlay| HeldRoot {
        number: overlay.root,
        directory: overlay.source().to_owned(),
        shown: overlay.directory().to_owned(),
        layer: held.layer(overlay),
        sealed: overlay.sealed,
        only: overlay.only.as_ref().map(|only| OsStr::from_bytes(only).to_owned()),
    })
    .collect()
}

/// What of a slot is held, and where.
pub(super) struct Held {
    /// The run directory.
    pub directory: PathBuf,
    pub overlays: Vec<Overlay>,
    /// The slot's own directory.
    pub work: PathBuf,
    pub facilities: Facilities,
}

impl Held {
    fn layer(&self, overlay: &Overlay) -> Layer {
        if self.facilities == Facilities::Posix {
            let within = overlay.directory().strip_prefix(&self.directory).unwrap_or(Path::new(""));
            return Layer::Copy(layers::run_copy(&self.work).join(within));
        }
        let layer = self.work.join(layers::directory(overlay.root));
        let copy = layer.join(layers::COPY);
        if copy.exists() { Layer::Copy(copy) } else { Layer::Upper(layer.join("upper")) }
    }

    /// The directories that are emptied for the next execution.
    pub fn layers(&self) -> Vec<PathBuf> {
        let roots: Vec<u16> = match self.facilities {
            Facilities::Linux => self.overlays.iter().map(|overlay| overlay.root).collect(),
            Facilities::Posix => vec![0],
        };
        roots.into_iter().map(|root| self.work.join(layers::directory(root))).collect()
    }
}

fn collect(job: &Harvest, layers: &[PathBuf], masked: &Masked) -> Result<Collected, FilesError> {
    let manifest = harvest(job)?;
    layers.iter().try_for_each(|layer| empty(layer).on("empty", layer))?;
    if manifest.changes.is_empty() {
        return Ok(Collected { manifest, changes: None });
    }
    let changes = Changes {
        vote: manifest.vote_digest(&**masked),
        manifest: manifest.keep(&job.blobs)?,
        count: manifest.changes.len() as u64,
        bytes: manifest.bytes(),
    };
    Ok(Collected { manifest, changes: Some(changes) })
}

/// Makes a layer fit for the next execution.
fn empty(layer: &Path) -> io::Result<()> {
    tree::remove(&layer.join(layers::COPY))?;
    let upper = layer.join("upper");
    if upper.exists() { tree::empty(&upper) } else { Ok(()) }
}
