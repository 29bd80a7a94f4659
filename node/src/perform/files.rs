//! Carries out what an ARMOR asks of the file system, off the event loop, and reports.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::event_loop::Reporter;
use crate::files::blobs::Blobs;
use crate::files::commit::{self, Commit, CommitError};
use crate::files::manifest::{Content, Manifest};
use crate::files::{FilesError, OnPath, tree};
use crate::home::Home;
use crate::perform::spool::GrowingDigest;
use chameleon_core::job::OsBytes;
use chameleon_core::names::{Digest, ExecutionId, HostId, JobId, LaneId, StageId};
use chameleon_core::world::{CommitOutcome, FileCommand, FileEvent, Input, Piece, Region};

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

    pub fn command(&self, command: FileCommand) {
        let files = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Some(event) = files.carry_out(command) {
                files.reporter.file(event);
            }
        });
    }

    fn carry_out(&self, command: FileCommand) -> Option<FileEvent> {
        match command {
            FileCommand::Commit { job, stage, directory: _, manifests } => {
                Some(FileEvent::Committed { stage, outcome: self.commit(job, stage, &manifests) })
            }
            FileCommand::Digest { job, stage, input } => {
                let outcome = self.digest(job, &input).map_err(|error| format!("{input} cannot be read: {error}"));
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
        match commit::commit(&request, &mut |_step| {}) {
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
        let home = blake3::hash(self.home.path().as_os_str().as_bytes()).to_hex();
        format!("{}-{job}-{stage}", &home[..16])
    }

    // ---- digests ----

    fn digest(&self, job: JobId, input: &Input) -> io::Result<Digest> {
        match input {
            Input::Spool(length) => {
                let spool = self.home.job(job).join("stdin.spool");
                let mut growing = self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if *length == 0 { Ok(Digest(*blake3::hash(b"").as_bytes())) } else { growing.digest(&spool, *length) }
            }
            Input::Path(path) => digest_tree(&path_of(path)),
            Input::Program(word) => digest_tree(&find_program(word)?),
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

fn path_of(bytes: &OsBytes) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The file that a command's first word means, by this process' `PATH`.
fn find_program(word: &OsBytes) -> io::Result<PathBuf> {
    if word.contains(&b'/') {
        return Ok(path_of(word));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs =
        |file: &PathBuf| fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let mut files = std::env::split_paths(&path).map(|directory| directory.join(path_of(word)));
    files.find(runs).ok_or_else(|| io::ErrorKind::NotFound.into())
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
