//! What ARMORs ask of the file system. All of it may take long, and is done by another thread.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::names::{Digest, ExecutionId, HostId, JobId, LaneId, StageId};
use chameleon_core::world::{CommitOutcome, FileCommand, FileEvent, Input, Piece, Region};

use super::slots::{Slots, Surroundings, os_string};
use crate::event_loop::Reporter;
use crate::files::blobs::{Blobs, digest_of};
use crate::files::commit::{Commit, CommitError, commit};
use crate::files::manifest::Manifest;
use crate::files::{FilesError, tree};
use crate::home::{Home, HomeError, commits};
use crate::slot::program::look_up;

/// How long an earlier life may take to let go of a commit, in steps of [`PAUSE`].
const ATTEMPTS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Does what is asked of the file system.
#[derive(Debug)]
pub struct Files {
    home: Arc<Home>,
    host: HostId,
    reporter: Reporter,
}

impl Files {
    #[must_use]
    pub fn new(home: Arc<Home>, host: HostId, reporter: Reporter) -> Files {
        Files { home, host, reporter }
    }

    /// `slots`: those of this ARMOR, which must not use files that are changed.
    pub fn perform(&self, command: FileCommand, slots: &mut Slots) {
        match command {
            FileCommand::Commit { job, stage, directory: _, manifests } => {
                let (home, host) = (self.home.clone(), self.host);
                let closed = slots.closed();
                self.answer(closed, move || {
                    let outcome = commit_all(&home, host, job, stage, &manifests);
                    Some(FileEvent::Committed { stage, outcome })
                });
            }
            FileCommand::Digest { job, stage, input } => {
                let spool = self.home.job(job).join("stdin.spool");
                let surroundings = slots.surroundings().clone();
                self.answer(std::future::ready(()), move || {
                    let outcome = digest(&input, &spool, &surroundings).map_err(|why| format!("{input}: {why}"));
                    Some(FileEvent::Digested { stage, input, outcome })
                });
            }
            FileCommand::Prefix { job, lane, execution, region, offset } => {
                let pack = self.pack(job, lane, region);
                self.answer(std::future::ready(()), move || prefix(&pack, execution, region, offset));
            }
            FileCommand::KeepIndex { job, pieces } => {
                let directory = self.home.job(job);
                self.answer(std::future::ready(()), move || {
                    let failure = keep_index(&directory, &pieces).err().map(|error| error.to_string());
                    Some(FileEvent::IndexKept { failure })
                });
            }
        }
    }

    fn pack(&self, job: JobId, lane: LaneId, region: Region) -> PathBuf {
        self.home.lane(self.host, job, lane).join(format!("slot-{}/out.pack", region.slot.0))
    }

    /// Reports what another thread finds out, once something else has come to pass.
    fn answer(
        &self,
        after: impl Future<Output = ()> + Send + 'static,
        work: impl FnOnce() -> Option<FileEvent> + Send + 'static,
    ) {
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            after.await;
            if let Ok(Some(event)) = tokio::task::spawn_blocking(work).await {
                reporter.file(event);
            }
        });
    }
}

fn commit_all(home: &Home, host: HostId, job: JobId, stage: StageId, manifests: &[Digest]) -> CommitOutcome {
    match try_commit(home, host, job, stage, manifests) {
        Ok(count) => CommitOutcome::Done(count),
        Err(CommitError::Conflict { paths }) => {
            let bytes = |path: PathBuf| path.as_os_str().as_bytes().to_vec().into();
            CommitOutcome::Conflict(paths.into_iter().map(bytes).collect())
        }
        Err(error) => CommitOutcome::Failed(format!("cannot {error}")),
    }
}

fn try_commit(home: &Home, host: HostId, job: JobId, stage: StageId, manifests: &[Digest]) -> Result<u64, CommitError> {
    let blobs = Blobs::open(&home.blobs(host, job)).map_err(CommitError::Staging)?;
    let read = |&digest: &Digest| Manifest::read(&blobs, digest);
    let manifests = manifests.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(CommitError::Staging)?;
    let manifest = Manifest::of_all(manifests);
    let pointers = commits().map_err(|error| CommitError::Staging(not_made(home, error)))?;
    let id = format!("{}-{job}-{stage}", home.id());
    let this = Commit { id: &id, manifest: &manifest, blobs: &blobs, pointers: &pointers, own: &[] };
    for _ in 0..ATTEMPTS {
        match commit(&this, &mut |_step| {}) {
            Err(CommitError::Alive { .. }) => std::thread::sleep(PAUSE),
            outcome => return outcome.map(|()| manifest.changes.len() as u64),
        }
    }
    Err(CommitError::Alive { id })
}

fn not_made(home: &Home, error: HomeError) -> FilesError {
    let source = io::Error::other(error);
    FilesError::Path { action: "keep a list of unfinished commits for", path: home.path().to_owned(), source }
}

fn digest(input: &Input, spool: &Path, surroundings: &Surroundings) -> Result<Digest, String> {
    let of_file = |path: &Path| digest_of(path).map(|(digest, _)| digest).map_err(|error| format!("cannot {error}"));
    match input {
        Input::Spool(length) => digest_of_first(spool, 0, *length).map_err(|error| error.to_string()),
        Input::Path(path) => {
            let path = PathBuf::from(os_string(path));
            if path.is_dir() {
                digest_of_tree(&path).map_err(|error| format!("cannot {error}"))
            } else {
                of_file(&path)
            }
        }
        Input::Program(word) => {
            let Surroundings { directory, path } = surroundings;
            let program = look_up(&os_string(word), directory, path.as_deref());
            of_file(&program.map_err(|_| "there is no such program".to_owned())?)
        }
    }
}

/// Of names, kinds, modes and contents of everything below a directory.
fn digest_of_tree(directory: &Path) -> Result<Digest, FilesError> {
    let error = |source| FilesError::Path { action: "read", path: directory.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    for (path, stamp) in tree::beneath(directory).map_err(error)? {
        let full = directory.join(os_string(&path));
        let content = match stamp.mode & libc::S_IFMT {
            libc::S_IFREG => digest_of(&full)?.0,
            libc::S_IFLNK => {
                let target: OsString = fs::read_link(&full).map_err(error)?.into_os_string();
                Digest(*blake3::hash(target.as_bytes()).as_bytes())
            }
            _ => Digest::default(),
        };
        hasher.update(&(path.len() as u64).to_le_bytes()).update(&path);
        hasher.update(&stamp.mode.to_le_bytes()).update(&content.0);
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}

fn digest_of_first(path: &Path, offset: u64, length: u64) -> io::Result<Digest> {
    let file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut part = Part { file: &file, at: offset, end: offset + length };
    hasher.update_reader(&mut part)?;
    match part.at == part.end {
        true => Ok(Digest(*hasher.finalize().as_bytes())),
        false => Err(io::Error::other(format!("{} bytes are missing", part.end - part.at))),
    }
}

/// A part of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn prefix(pack: &Path, execution: ExecutionId, region: Region, offset: u64) -> Option<FileEvent> {
    match digest_of_first(pack, region.offset, offset) {
        Ok(digest) => Some(FileEvent::Prefix { execution, so_far: Region { length: offset, digest, ..region } }),
        Err(error) => {
            crate::log!("the output of {execution} cannot be read again from {}: {error}", pack.display());
            None
        }
    }
}

fn keep_index(directory: &Path, pieces: &[Piece]) -> io::Result<()> {
    crate::home::make_directory(directory)?;
    let bytes = minicbor::to_vec(pieces).expect("writing to memory cannot fail");
    crate::home::write_whole(&directory.join("output.index"), &bytes)
}
