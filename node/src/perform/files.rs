//! Carries out what an ARMOR asks of the file system, off the event loop, and reports.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::event_loop::Reporter;
use crate::files::blobs::Blobs;
use crate::files::commit::{self, Commit, CommitError};
use crate::files::manifest::{Content, Manifest};
use crate::files::{FilesError, OnPath, tree};
use crate::home::Home;
use crate::perform::Slots;
use crate::perform::slots::Surroundings;
use crate::perform::spool::GrowingDigest;
use crate::slot::program::look_up;
use chameleon_core::job::OsBytes;
use chameleon_core::names::{Digest, ExecutionId, HostId, JobId, LaneId, StageId};
use chameleon_core::world::{CommitOutcome, FileCommand, FileEvent, Input, Piece, Region};

const ATTEMPTS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// The file system, as an ARMOR sees it.
#[derive(Debug, Clone)]
pub struct Files {
    home: Arc<Home>,
    host: HostId,
    reporter: Reporter,
    spool: Arc<Mutex<GrowingDigest>>,
}

impl Files {
    #[must_use]
    pub fn new(home: Arc<Home>, host: HostId, reporter: Reporter) -> Self {
        Files { home, host, reporter, spool: Arc::default() }
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
            FileCommand::Commit { job, stage, directory: _, manifests } => {
                Some(FileEvent::Committed { stage, outcome: self.commit(job, stage, &manifests) })
            }
            FileCommand::Digest { job, stage, input } => {
                let outcome =
                    self.digest(job, &input, surroundings).map_err(|error| format!("{input} cannot be read: {error}"));
                Some(FileEvent::Digested { stage, input, outcome })
            }
            FileCommand::Prefix { job, lane, execution, region, offset } => {
                self.prefix(job, lane, execution, region, offset)
            }
            FileCommand::KeepIndex { job, pieces } => {
                let failure = self.keep_index(job, &pieces).err().map(|error| error.to_string());
                Some(FileEvent::IndexKept { failure })
            }
        }
    }

    // ---- commit ----

    fn commit(&self, job: JobId, stage: StageId, manifests: &[Digest]) -> CommitOutcome {
        let (blobs, manifest) = match self.gather(job, manifests) {
            Ok(gathered) => gathered,
            Err(why) => return CommitOutcome::Failed(format!("{why}; nothing was changed")),
        };
        let id = self.commit_id(job, stage);
        let pointers = Home::commits();
        if let Err(error) = fs::create_dir_all(&pointers) {
            return CommitOutcome::Failed(format!(
                "failed to make {}: {error}; nothing was changed",
                pointers.display()
            ));
        }
        let request = Commit { id: &id, manifest: &manifest, blobs: &blobs, pointers: &pointers, own: &[] };
        match commit_patiently(&request) {
            Ok(()) => CommitOutcome::Done(manifest.changes.len() as u64),
            Err(CommitError::Conflict { paths }) => {
                CommitOutcome::Conflict(paths.iter().map(|path| path.as_os_str().as_bytes().to_vec().into()).collect())
            }
            Err(error) => CommitOutcome::Failed(format!("failed to {error}")),
        }
    }

    /// All change sets as one, with all contents on this host.
    fn gather(&self, job: JobId, manifests: &[Digest]) -> Result<(Blobs, Manifest), String> {
        let failed = |error: FilesError| format!("failed to {error}");
        let ours = Blobs::open(&self.home.job_on(self.host, job).join("blobs")).map_err(failed)?;
        let mut all = Manifest::default();
        for &digest in manifests {
            if !ours.holds(digest) {
                self.fetch(job, digest, &ours).map_err(failed)?;
            }
            let manifest = Manifest::read(&ours, digest).map_err(failed)?;
            let both = |path: OsBytes| {
                let path = String::from_utf8_lossy(&path).into_owned();
                format!("tasks of the stage changed {path} to different ends, so none of them may win")
            };
            all = all.merged_with(manifest).map_err(both)?;
        }
        Ok((ours, all))
    }

    /// Copies a change set and its contents from another host of this home.
    fn fetch(&self, job: JobId, digest: Digest, ours: &Blobs) -> Result<(), FilesError> {
        let hosts = self.home.path().join("hosts");
        for host in tree::names(&hosts).on("list", &hosts)? {
            let store = hosts.join(host).join("jobs").join(job.to_string()).join("blobs");
            let Some(theirs) = store.is_dir().then(|| Blobs::open(&store)).transpose()? else { continue };
            if !theirs.holds(digest) {
                continue;
            }
            for change in Manifest::read(&theirs, digest)?.changes {
                if let Content::File { digest, .. } = change.now {
                    ours.copy(&theirs.path(digest))?;
                }
            }
            ours.copy(&theirs.path(digest))?;
            return Ok(());
        }
        Ok(())
    }

    /// Unlike the id of any other commit of this user, and the same when it is tried again.
    fn commit_id(&self, job: JobId, stage: StageId) -> String {
        format!("{}{stage}", self.home.commits_of(job))
    }

    // ---- digests ----

    fn digest(&self, job: JobId, input: &Input, surroundings: &Surroundings) -> io::Result<Digest> {
        match input {
            Input::Spool(length) => {
                let spool = self.home.job(job).join("stdin.spool");
                let mut growing = self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if *length == 0 { Ok(Digest(*blake3::hash(b"").as_bytes())) } else { growing.digest(&spool, *length) }
            }
            Input::Path(path) => digest_tree(&path_of(path)),
            Input::Program(word) => digest_tree(&find_program(word, surroundings)?),
        }
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

    // ---- index ----

    fn keep_index(&self, job: JobId, pieces: &[Piece]) -> io::Result<()> {
        let directory = self.home.job(job);
        fs::create_dir_all(&directory)?;
        let bytes = minicbor::to_vec(pieces).map_err(io::Error::other)?;
        let new = directory.join("output.index.new");
        fs::write(&new, bytes)?;
        File::open(&new)?.sync_data()?;
        fs::rename(&new, directory.join("output.index"))?;
        File::open(&directory)?.sync_data()
    }
}

/// An earlier life of this ARMOR that was killed may take a moment to let go of its commit.
fn commit_patiently(request: &Commit<'_>) -> Result<(), CommitError> {
    for _ in 0..ATTEMPTS {
        match commit::commit(request, &mut |_step| {}) {
            Err(CommitError::Alive { .. }) => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    commit::commit(request, &mut |_step| {})
}

fn path_of(bytes: &OsBytes) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn find_program(word: &OsBytes, surroundings: &Surroundings) -> io::Result<PathBuf> {
    let Surroundings { directory, path } = surroundings;
    let found = look_up(OsStr::from_bytes(word), directory, path.as_deref());
    found.map_err(|_unfound| io::ErrorKind::NotFound.into())
}

/// A file's bytes, or for a directory the names, kinds and contents of all below it.
fn digest_tree(path: &Path) -> io::Result<Digest> {
    if !fs::metadata(path)?.is_dir() {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        return Ok(Digest(*hasher.finalize().as_bytes()));
    }
    let mut hasher = blake3::Hasher::new();
    for (name, _) in tree::beneath(path)? {
        let entry = path.join(path_of(&name));
        hasher.update(&(name.len() as u64).to_le_bytes()).update(&name);
        let data = fs::symlink_metadata(&entry)?;
        if data.is_symlink() {
            hasher.update(b"l").update(fs::read_link(&entry)?.as_os_str().as_bytes());
        } else if data.is_file() {
            hasher.update(b"f").update(&digest_tree(&entry)?.0);
        }
    }
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
