//! Committing a winner's changes to the user's directories: all of them, once, whatever dies in between.
//!
//! ```text
//! pointer ─► contents staged, durable ─► conflicts? ─► list durable ─► steps ─► directories durable ─► marked as done
//!                                                  (no return)
//! ```
//!
//! A crash before the list is durable leaves the user's files untouched, and what was staged is removed by the next
//! start; a crash after it is rolled forward by the next start, which finds it by its pointer. While a commit lives it
//! holds a lock on its pointer, so that nobody rolls it forward behind its back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use rustix::fs::FlockOperation;

use super::blobs::Blobs;
use super::manifest::{Before, Change, Content, Manifest};
use super::redo::{self, RedoList, Staged, StagedContent, path_of};
use super::tree::{self, Stamp, present};
use super::{FilesError, OnPath};
use chameleon_core::job::OsBytes;

/// One commit.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Names the staging directories and the pointer: fit for a file name, and not used by another commit.
    pub id: &'a str,
    pub manifest: &'a Manifest,
    pub blobs: &'a Blobs,
    /// A directory of the user's, on a disk, where unfinished commits are looked for.
    pub pointers: &'a Path,
    /// Absolute paths that Chameleon itself writes to, such as the file that stdout goes to: no conflict.
    pub own: &'a [PathBuf],
}

/// Why a commit did not happen, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(
        "commit: someone else changed {} while the job ran; nothing was overwritten",
        .paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Conflict { paths: Vec<PathBuf> },
    #[error("commit: {0}; nothing was changed")]
    Staging(FilesError),
    #[error("finish a commit: {0}; the next start of chameleon goes on with it")]
    Unfinished(FilesError),
    #[error("commit: another process is committing {id} right now")]
    Alive { id: String },
}

/// What became of a commit that an earlier life left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// It is done now.
    RolledForward { id: String },
    /// It was done before, and has not been forgotten yet.
    Done { id: String },
    /// It had not come to the point of no return; nothing of it is left.
    Discarded { id: String },
    /// It is being carried out right now, by another process.
    Alive { id: String },
}

/// What the pointer says: where the stages are.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pointer {
    #[n(0)]
    stages: Vec<OsBytes>,
}

const LIST: &str = "list";
/// Up to so many files or directories are made durable one by one; beyond, the whole file system is.
const FEW: usize = 32;

/// Commits. `between` is called between every two steps with the name of the next one.
///
/// Committing again what is committed does nothing, until it is forgotten with [`forget`].
pub fn commit(commit: &Commit<'_>, between: &mut dyn FnMut(&str)) -> Result<(), CommitError> {
    if commit.manifest.changes.is_empty() {
        return Ok(());
    }
    let (pointer, done) = (commit.pointers.join(commit.id), done_mark(commit.pointers, commit.id));
    let claim = Claim::take(commit.pointers, commit.id)?;
    // The pointer before the mark: it becomes the mark, so that one of them is seen if there is one.
    if pointer.exists() {
        match recover(&pointer, commit.id, between).map_err(CommitError::Unfinished)? {
            Recovered::RolledForward { .. } | Recovered::Done { .. } => return Ok(()),
            Recovered::Discarded { .. } => {}
            Recovered::Alive { id } => return Err(CommitError::Alive { id }),
        }
    }
    if done.exists() {
        // It may have died while it cleared away.
        return recover(&done, &format!("{}{DONE}", commit.id), between).map(|_| ()).map_err(CommitError::Unfinished);
    }
    let (staged, list) = redo::plan(commit.manifest, commit.id).map_err(CommitError::Staging)?;
    between("pointer");
    let pointer = claim.publish(pointer, &list.stages).map_err(CommitError::Staging)?;
    let prepared = prepare(commit, &staged, &list, between);
    if let Err(error) = prepared {
        // What cannot be removed now is removed by the next start: the pointer is only removed when all else is.
        let _ = discard(&list.stages).and_then(|()| pointer.remove());
        return Err(error);
    }
    complete(&list, between).and_then(|()| pointer.conclude(&list.stages, between)).map_err(CommitError::Unfinished)
}

/// Forgets that a commit was done: to be called once that is known elsewhere, durably.
pub fn forget(pointers: &Path, id: &str) -> Result<(), FilesError> {
    let done = done_mark(pointers, id);
    match fs::remove_file(&done) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.on("remove", &done),
    }
}

/// Forgets that commits were done whose ids begin so.
pub fn forget_all(pointers: &Path, beginning: &str) -> Result<(), FilesError> {
    if present(pointers).on("read", pointers)?.is_none() {
        return Ok(());
    }
    let names = tree::names(pointers).on("list", pointers)?;
    let ids = names.iter().filter_map(|name| name.to_str()?.strip_suffix(DONE));
    ids.filter(|id| id.starts_with(beginning)).try_for_each(|id| forget(pointers, id))
}

fn done_mark(pointers: &Path, id: &str) -> PathBuf {
    pointers.join(format!("{id}{DONE}"))
}

/// Finishes or removes what earlier lives have left unfinished. To be called before anything else is started.
pub fn roll_forward(pointers: &Path, between: &mut dyn FnMut(&str)) -> Result<Vec<Recovered>, CommitError> {
    let mut recovered = Vec::new();
    if present(pointers).on("read", pointers).map_err(CommitError::Unfinished)?.is_none() {
        return Ok(recovered);
    }
    let mut failure = None;
    for name in tree::names(pointers).on("list", pointers).map_err(CommitError::Unfinished)? {
        // One that cannot be finished keeps no other from being finished.
        match recover(&pointers.join(&name), &name.to_string_lossy(), between) {
            Ok(outcome) => recovered.push(outcome),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(recovered), |error| Err(CommitError::Unfinished(error)))
}

fn recover(path: &Path, name: &str, between: &mut dyn FnMut(&str)) -> Result<Recovered, FilesError> {
    let id = name.trim_start_matches(UNREADY).trim_end_matches(DONE).to_owned();
    let file = match File::open(path) {
        // Whoever carried it out has just brought it further.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::Alive { id }),
        opened => opened.on("open", path)?,
    };
    if !lock(&file, path) {
        return Ok(Recovered::Alive { id });
    }
    if name.ends_with(DONE) {
        discard(&read::<Pointer>(path)?.stages)?;
        return Ok(Recovered::Done { id });
    }
    if name.starts_with(UNREADY) {
        fs::remove_file(path).on("remove", path)?;
        return Ok(Recovered::Discarded { id });
    }
    let held = HeldPointer { path: path.to_owned(), _file: file };
    let pointer: Pointer = read(path)?;
    let list_path = pointer.stages.first().map(|stage| path_of(stage).join(LIST));
    match list_path.filter(|list| list.exists()) {
        Some(list) => {
            complete(&read(&list)?, between)?;
            held.conclude(&pointer.stages, between)?;
            Ok(Recovered::RolledForward { id })
        }
        None => {
            discard(&pointer.stages)?;
            held.remove()?;
            Ok(Recovered::Discarded { id })
        }
    }
}

/// Locks a file and says whether that worked, and whether it still has its name: its last holder may have renamed or
/// removed it between our opening and locking it.
fn lock(file: &File, path: &Path) -> bool {
    let inode = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| metadata.ino());
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && inode(fs::metadata(path)) == inode(file.metadata())
}

fn read<T: for<'b> Decode<'b, ()>>(path: &Path) -> Result<T, FilesError> {
    let bytes = fs::read(path).on("read", path)?;
    let decoded = minicbor::decode(&bytes);
    decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string())).on("understand", path)
}

/// A pointer file that this process has locked.
struct HeldPointer {
    path: PathBuf,
    _file: File,
}

/// A pointer that is being written has this before its name.
const UNREADY: char = '.';
/// A pointer whose commit is done has this after its name, and no meaning but that.
const DONE: &str = ".done";

/// A pointer that is not ready yet: who holds it decides alone what becomes of the commit.
struct Claim {
    unready: PathBuf,
    file: File,
    published: bool,
}

impl Claim {
    /// Takes it, unless someone else has it.
    fn take(pointers: &Path, id: &str) -> Result<Claim, CommitError> {
        let unready = pointers.join(format!("{UNREADY}{id}"));
        let open = || {
            fs::create_dir_all(pointers).on("make", pointers)?;
            // Not truncated: until it is locked it may be somebody else's.
            File::options().write(true).create(true).truncate(false).open(&unready).on("write", &unready)
        };
        let file = open().map_err(CommitError::Staging)?;
        if !lock(&file, &unready) {
            return Err(CommitError::Alive { id: id.to_owned() });
        }
        Ok(Claim { unready, file, published: false })
    }

    /// Makes it a pointer, whole and durable.
    fn publish(mut self, path: PathBuf, stages: &[OsBytes]) -> Result<HeldPointer, FilesError> {
        let mut file = self.file.try_clone().on("hold", &self.unready)?;
        file.set_len(0).on("write", &self.unready)?;
        write_durably(&mut file, &Pointer { stages: stages.to_vec() }, &self.unready)?;
        fs::rename(&self.unready, &path).on("write", &path)?;
        self.published = true;
        path.parent().map_or(Ok(()), sync_directory)?;
        Ok(HeldPointer { path, _file: file })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.unready);
        }
    }
}

impl HeldPointer {
    /// Marks the commit as done, and only then removes what it was done from: whoever finds no list and no mark
    /// would take it for one that never came to the point of no return.
    fn conclude(self, stages: &[OsBytes], between: &mut dyn FnMut(&str)) -> Result<(), FilesError> {
        between("mark as done");
        let mut done = self.path.clone().into_os_string();
        done.push(DONE);
        fs::rename(&self.path, &done).on("mark as done", &self.path)?;
        self.path.parent().map_or(Ok(()), sync_directory)?;
        between("remove stages");
        discard(stages)
    }

    fn remove(self) -> Result<(), FilesError> {
        fs::remove_file(&self.path).on("remove", &self.path)?;
        self.path.parent().map_or(Ok(()), sync_directory)
    }
}

fn write_durably<T: Encode<()>>(file: &mut File, value: &T, path: &Path) -> Result<(), FilesError> {
    let bytes = minicbor::to_vec(value).expect("encoding into memory cannot fail");
    file.write_all(&bytes).and_then(|()| file.sync_all()).on("write", path)
}

fn sync_directory(directory: &Path) -> Result<(), FilesError> {
    File::open(directory).and_then(|directory| directory.sync_all()).on("make durable", directory)
}

/// Everything up to and including the point of no return.
fn prepare(
    commit: &Commit<'_>,
    staged: &[Staged],
    list: &RedoList,
    between: &mut dyn FnMut(&str),
) -> Result<(), CommitError> {
    stage(commit.blobs, staged, list, between).map_err(CommitError::Staging)?;
    between("check");
    let conflicts = conflicts(commit).map_err(CommitError::Staging)?;
    if !conflicts.is_empty() {
        return Err(CommitError::Conflict { paths: conflicts });
    }
    let Some(first) = list.stages.first().map(path_of) else { return Ok(()) };
    between("list");
    let unready = first.join("list.new");
    (|| {
        let mut file = File::create(&unready).on("write", &unready)?;
        write_durably(&mut file, list, &unready)?;
        between("list in place");
        fs::rename(&unready, first.join(LIST)).on("write", &unready)?;
        sync_directory(first)
    })()
    .map_err(CommitError::Staging)
}

fn stage(blobs: &Blobs, staged: &[Staged], list: &RedoList, between: &mut dyn FnMut(&str)) -> Result<(), FilesError> {
    discard(&list.stages)?;
    for stage in list.stages.iter().map(path_of) {
        between("stage");
        std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(stage).on("make", stage)?;
    }
    for one in staged {
        between("content");
        match &one.content {
            StagedContent::Blob(digest) => {
                let file = blobs.write_into(*digest, &one.path)?;
                one.attributes.give_to(&one.path)?;
                if staged.len() <= FEW {
                    file.sync_all().on("make durable", &one.path)?;
                }
            }
            StagedContent::Link(target) => {
                std::os::unix::fs::symlink(target, &one.path).on("make", &one.path)?;
                one.attributes.give_to(&one.path)?;
            }
        }
    }
    between("contents durable");
    for stage in list.stages.iter().map(path_of) {
        if staged.len() > FEW { sync_file_system(stage)? } else { sync_directory(stage)? }
    }
    Ok(())
}

fn sync_file_system(directory: &Path) -> Result<(), FilesError> {
    let open = File::open(directory).on("open", directory)?;
    rustix::fs::syncfs(&open).on("make durable", directory)
}

fn discard(stages: &[OsBytes]) -> Result<(), FilesError> {
    stages.iter().map(path_of).try_for_each(|stage| tree::remove(stage).on("remove", stage))
}

/// The paths that are not as they were when the changes were collected.
fn conflicts(commit: &Commit<'_>) -> Result<Vec<PathBuf>, FilesError> {
    let manifest = commit.manifest;
    let mut made = BTreeSet::new();
    let mut found = Vec::new();
    for change in &manifest.changes {
        let path = redo::target(manifest, change);
        let has_parent = path.parent().is_none_or(|parent| made.contains(parent) || is_directory(parent));
        let undisturbed = commit.own.contains(&path) || (has_parent && is_as_before(change, &path)?);
        if !undisturbed {
            found.push(path.clone());
        }
        if matches!(change.now, Content::Directory { .. }) {
            made.insert(path);
        }
    }
    Ok(found)
}

fn is_directory(path: &Path) -> bool {
    present(path).is_ok_and(|found| found.is_some_and(|found| found.is_dir()))
}

fn is_as_before(change: &Change, path: &Path) -> Result<bool, FilesError> {
    let now = Stamp::at(path).on("read", path)?;
    Ok(match (&change.before, now) {
        (Before::Disturbed, _) => false,
        (Before::Absent, now) => now.is_none(),
        (Before::Present { .. }, None) => false,
        (Before::Present { stamp, beneath }, Some(now)) => {
            stamp.holds(&now) && (!vanishes(change, stamp) || same_beneath(path, beneath)?)
        }
    })
}

fn vanishes(change: &Change, stamp: &Stamp) -> bool {
    stamp.is_directory() && !matches!(change.now, Content::Directory { .. })
}

fn same_beneath(path: &Path, before: &[(OsBytes, Stamp)]) -> Result<bool, FilesError> {
    let now = tree::beneath(path).on("read", path)?;
    let same = |(one, other): (&(OsBytes, Stamp), &(OsBytes, Stamp))| one.0 == other.0 && one.1.holds(&other.1);
    Ok(now.len() == before.len() && before.iter().zip(&now).all(same))
}

/// Everything from the point of no return until it is done; may be done again at any time.
fn complete(list: &RedoList, between: &mut dyn FnMut(&str)) -> Result<(), FilesError> {
    for step in &list.steps {
        between("step");
        step.carry_out()?;
    }
    between("directories durable");
    let touched: BTreeSet<&Path> = list.steps.iter().filter_map(redo::Step::touched_directory).collect();
    if touched.len() > FEW {
        list.stages.iter().try_for_each(|stage| sync_file_system(path_of(stage)))?;
    } else {
        touched.into_iter().filter(|path| is_directory(path)).try_for_each(sync_directory)?;
    }
    Ok(())
}
