//! Carries out what an ARMOR asks of the file system, off the event loop, and reports.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::bulk::{Roads, shelf};
use crate::event_loop::Reporter;
use crate::files::listing::{Limit, Listing, beneath};
use crate::home::Home;
use crate::index;
use crate::perform::Slots;
use crate::perform::slots::Surroundings;
use crate::perform::spool::GrowingDigest;
use crate::slot::program::look_up;
use chameleon_core::job::OsBytes;
use chameleon_core::names::{Digest, ExecutionId, HostId, JobId, LaneId};
use chameleon_core::world::{FileCommand, FileEvent, Input, Region};

/// The file system, as an ARMOR sees it.
#[derive(Debug, Clone)]
pub struct Files {
    pub(super) roads: Roads,
    pub(super) home: Arc<Home>,
    pub(super) host: HostId,
    reporter: Reporter,
    pub(super) spool: Arc<Mutex<GrowingDigest>>,
}

impl Files {
    #[must_use]
    pub fn new(roads: Roads, host: HostId, reporter: Reporter) -> Self {
        let home = roads.home().clone();
        Files { roads, home, host, reporter, spool: Arc::default() }
    }

    /// `slots`: those of this ARMOR. Their view must not be in use while the files under it change.
    pub fn command(&self, command: FileCommand, slots: &mut Slots) {
        let files = self.clone();
        let surroundings = slots.surroundings().clone();
        let closed = matches!(command, FileCommand::Commit { .. }).then(|| slots.closed());
        tokio::spawn(async move {
            if let Some(closed) = closed {
                closed.await;
            }
            let work = move || {
                if let Some(event) = files.carry_out(command, &surroundings) {
                    files.reporter.file(event);
                }
            };
            tokio::task::spawn_blocking(work).await
        });
    }

    fn carry_out(&self, command: FileCommand, surroundings: &Surroundings) -> Option<FileEvent> {
        match command {
            FileCommand::Commit { job, stage, pass, changes } => {
                Some(FileEvent::Committed { stage, outcome: self.commit(job, stage, pass, &changes) })
            }
            FileCommand::Offer { job, stage, input, whereabouts } => {
                let outcome = self.offer(job, stage, &input, &whereabouts);
                Some(FileEvent::Offered { stage, input, outcome })
            }
            FileCommand::Fetch { job, stage, input, offer, whereabouts } => {
                let outcome = self.fetch(job, stage, &input, &offer, &whereabouts);
                Some(FileEvent::Fetched { stage, input, outcome })
            }
            FileCommand::Digest { job, stage, input } => {
                let outcome =
                    self.digest(job, &input, surroundings).map_err(|error| format!("{input} cannot be read: {error}"));
                Some(FileEvent::Digested { stage, input, outcome })
            }
            FileCommand::Prefix { job, lane, execution, region, offset } => {
                self.prefix(job, lane, execution, region, offset)
            }
            FileCommand::KeepIndex { job, pass, at, entries } => {
                let kept = shelf::admit(&self.home, self.host, job, pass)
                    .and_then(|()| index::append(&self.home.index(self.host, job), at, &entries));
                Some(FileEvent::IndexKept { outcome: kept.map_err(|error| error.to_string()) })
            }
        }
    }

    // ---- digests ----

    fn digest(&self, job: JobId, input: &Input, surroundings: &Surroundings) -> io::Result<Digest> {
        match input {
            Input::Spool(length) => self.digest_spool(job, *length),
            Input::Path(path) | Input::Directory(path) => digest_tree(&path_of(path)),
            Input::Program(word) => digest_tree(&find_program(word, surroundings)?),
            // It is nowhere before it is made.
            Input::Build(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn digest_spool(&self, job: JobId, length: u64) -> io::Result<Digest> {
        let spool = self.home.spool(self.host, job);
        let mut growing = self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if length == 0 { Ok(Digest(*blake3::hash(b"").as_bytes())) } else { growing.digest(&spool, length) }
    }

    fn prefix(
        &self,
        job: JobId,
        lane: LaneId,
        execution: ExecutionId,
        region: Region,
        offset: u64,
    ) -> Option<FileEvent> {
        let slot = self.home.lane(self.host, job, lane).join(format!("slot-{}", region.slot.0));
        let length = offset.min(region.length);
        let digest = digest_region(&slot.join("out.pack"), region.offset, length).ok()?;
        Some(FileEvent::Prefix { execution, so_far: Region { length, digest, ..region } })
    }
}

pub(super) fn path_of(bytes: &OsBytes) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

pub(super) fn bytes_of(path: &Path) -> OsBytes {
    path.as_os_str().as_bytes().to_vec().into()
}

fn find_program(word: &OsBytes, surroundings: &Surroundings) -> io::Result<PathBuf> {
    let Surroundings { directory, path, mirror } = surroundings;
    let mirrored = mirror.as_ref().and_then(|mirror| {
        let found = look_up(OsStr::from_bytes(word), &beneath(mirror, directory), path.as_deref()).ok()?;
        word.contains(&b'/').then_some(found)
    });
    let found = mirrored.map_or_else(|| look_up(OsStr::from_bytes(word), directory, path.as_deref()), Ok);
    found.map_err(|_unfound| io::ErrorKind::NotFound.into())
}

/// A file's bytes, or for a directory all below it.
fn digest_tree(path: &Path) -> io::Result<Digest> {
    let data = fs::metadata(path)?;
    if data.is_dir() {
        let listed = Listing::of(path, Path::new(""), Limit::NONE).map_err(io::Error::other)?;
        return Ok(listed.0.digest());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

fn digest_region(path: &Path, offset: u64, length: u64) -> io::Result<Digest> {
    let file = File::open(path)?;
    let (mut hasher, mut done, mut buffer) = (blake3::Hasher::new(), 0, vec![0; 1 << 20]);
    while done < length {
        let most = buffer.len().min(usize::try_from(length - done).unwrap_or(buffer.len()));
        let read = file.read_at(&mut buffer[..most], offset + done)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..read]);
        done += read as u64;
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}
