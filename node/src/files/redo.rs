//! The redo log of a commit: what has to be done to a user's directories, as a list of idempotent steps.
//!
//! Contents wait, complete and durable, in a staging directory on the same file system; a step renames one into place,
//! so that no file is ever half written. Doing the whole list again, from any point on, ends in the same state.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chameleon_core::job::OsBytes;
use chameleon_core::names::Digest;
use minicbor::{Decode, Encode};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::manifest::{Before, Change, Content, Manifest, Owner};
use super::tree::{Stamp, Time, present};
use super::{FilesError, OnPath};

/// Everything that is left to do once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RedoList {
    /// Staging directories, one a root that has changes; the list itself lies in the first.
    #[n(0)]
    pub stages: Vec<OsBytes>,
    #[n(1)]
    pub steps: Vec<Step>,
}

/// One idempotent step. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Step {
    /// Make a directory writable for what follows, or give it back its mode.
    #[n(0)]
    SetMode {
        #[n(0)]
        path: OsBytes,
        #[n(1)]
        mode: u32,
    },
    /// Remove what is no directory, if it is still this one.
    #[n(1)]
    Unlink {
        #[n(0)]
        path: OsBytes,
        #[n(1)]
        stamp: Stamp,
    },
    /// Remove a directory if it is empty; someone may have put something there in the meantime.
    #[n(2)]
    RemoveDirectory {
        #[n(0)]
        path: OsBytes,
    },
    #[n(3)]
    MakeDirectory {
        #[n(0)]
        path: OsBytes,
    },
    /// Rename a staged file or link into place.
    #[n(4)]
    Place {
        #[n(0)]
        staged: OsBytes,
        #[n(1)]
        path: OsBytes,
    },
    /// Give a directory its owner, mode and time, once it holds all it shall hold.
    #[n(5)]
    Finish {
        #[n(0)]
        path: OsBytes,
        #[n(1)]
        attributes: Attributes,
    },
}

/// What an inode has besides its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Attributes {
    /// `None`: a symbolic link, which has none of its own.
    #[n(0)]
    pub mode: Option<u32>,
    #[n(1)]
    pub owner: Owner,
    #[n(2)]
    pub modified: Time,
}

/// Something that must be staged before the list may become durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    pub path: PathBuf,
    pub content: StagedContent,
    pub attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StagedContent {
    Blob(Digest),
    Link(PathBuf),
}

pub(super) fn path_of(bytes: &OsBytes) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

pub(super) fn bytes_of(path: impl Into<PathBuf>) -> OsBytes {
    path.into().into_os_string().into_vec().into()
}

/// The directories beneath each root with changes in which a commit stages.
#[must_use]
pub fn stages(manifest: &Manifest, id: &str) -> Vec<(u16, PathBuf)> {
    let changed = manifest.roots.iter().filter(|root| manifest.changes.iter().any(|change| change.root == root.number));
    changed.map(|root| (root.number, path_of(&root.path).join(format!(".chameleon-commit-{id}")))).collect()
}

/// The absolute path of a change.
#[must_use]
pub fn target(manifest: &Manifest, change: &Change) -> PathBuf {
    let root = manifest.roots.iter().find(|root| root.number == change.root);
    let root = root.map_or(Path::new("/"), |root| path_of(&root.path));
    if change.path.is_empty() { root.to_owned() } else { root.join(path_of(&change.path)) }
}

/// Turns a change set into what must be staged and the steps that follow.
pub fn plan(manifest: &Manifest, id: &str) -> Result<(Vec<Staged>, RedoList), FilesError> {
    let stages = stages(manifest, id);
    let mut plan = Planning { staged: Vec::new(), steps: opened(manifest)?, finishes: Vec::new() };
    let closing: Vec<Step> = plan.steps.iter().filter_map(|step| closed(step, manifest)).collect();
    for step in &mut plan.steps {
        if let Step::SetMode { mode, .. } = step {
            *mode |= 0o700;
        }
    }
    for change in &manifest.changes {
        let stage = stages.iter().find(|(root, _)| *root == change.root).map(|(_, stage)| stage.as_path());
        plan.add(change, target(manifest, change), stage.unwrap_or(Path::new("/")));
    }
    let Planning { staged, mut steps, finishes } = plan;
    steps.extend(finishes.into_iter().rev());
    steps.extend(closing);
    let stages = stages.into_iter().map(|(_, stage)| bytes_of(stage)).collect();
    Ok((staged, RedoList { stages, steps }))
}

/// The directories that their owner may not write to but that need it, with the modes that they have.
fn opened(manifest: &Manifest) -> Result<Vec<Step>, FilesError> {
    let mut steps: Vec<Step> = Vec::new();
    let vanishing = |change: &Change, root: &Path| match &change.before {
        Before::Present { beneath, .. } => {
            beneath.iter().filter(|(_, stamp)| stamp.is_directory()).map(|(path, _)| root.join(path_of(path))).collect()
        }
        Before::Absent | Before::Disturbed => Vec::new(),
    };
    for change in &manifest.changes {
        let path = target(manifest, change);
        let inner: Vec<PathBuf> = vanishing(change, &path);
        let parent = path.parent().map(Path::to_owned).into_iter();
        let itself = path.is_dir().then(|| path.clone());
        for directory in parent.chain(itself).chain(inner) {
            let Some(stamp) = Stamp::at(&directory).on("read", &directory)? else { continue };
            let step = Step::SetMode { path: bytes_of(&directory), mode: stamp.mode & 0o7777 };
            if stamp.is_directory() && stamp.mode & 0o300 != 0o300 && !steps.contains(&step) {
                steps.push(step);
            }
        }
    }
    Ok(steps)
}

/// The step that gives an opened directory its mode back, unless the change set decides about it.
fn closed(step: &Step, manifest: &Manifest) -> Option<Step> {
    let Step::SetMode { path, .. } = step else { return None };
    let path = path_of(path);
    let decided = manifest.changes.iter().any(|change| {
        let changed = target(manifest, change);
        let vanished = !matches!(change.now, Content::Directory { .. });
        changed == path || (vanished && path.starts_with(&changed))
    });
    (!decided).then(|| step.clone())
}

struct Planning {
    staged: Vec<Staged>,
    steps: Vec<Step>,
    finishes: Vec<Step>,
}

impl Planning {
    fn add(&mut self, change: &Change, path: PathBuf, stage: &Path) {
        let attributes = |mode| Attributes { mode, owner: change.owner, modified: change.modified };
        let was_directory = matches!(&change.before, Before::Present { stamp, .. } if stamp.is_directory());
        match &change.now {
            Content::Directory { mode } => {
                if !was_directory {
                    self.remove(&change.before, &path);
                    self.steps.push(Step::MakeDirectory { path: bytes_of(&path) });
                }
                let finish = Step::Finish { path: bytes_of(path), attributes: attributes(Some(*mode)) };
                self.finishes.push(finish);
            }
            Content::File { mode, digest, .. } => {
                let content = StagedContent::Blob(*digest);
                self.place(change, path, stage, content, attributes(Some(*mode)));
            }
            Content::Symlink { target } => {
                let content = StagedContent::Link(path_of(target).to_owned());
                self.place(change, path, stage, content, attributes(None));
            }
            Content::Deleted => self.remove(&change.before, &path),
        }
    }

    fn place(&mut self, change: &Change, path: PathBuf, stage: &Path, content: StagedContent, attributes: Attributes) {
        if matches!(&change.before, Before::Present { stamp, .. } if stamp.is_directory()) {
            self.remove(&change.before, &path);
        }
        let staged = stage.join(self.staged.len().to_string());
        self.steps.push(Step::Place { staged: bytes_of(&staged), path: bytes_of(path) });
        self.staged.push(Staged { path: staged, content, attributes });
    }

    fn remove(&mut self, before: &Before, path: &Path) {
        let Before::Present { stamp, beneath } = before else { return };
        let inner = beneath.iter().rev().map(|(inner, stamp)| (path.join(path_of(inner)), *stamp));
        let steps = inner.chain([(path.to_owned(), *stamp)]).map(|(path, stamp)| match stamp.is_directory() {
            true => Step::RemoveDirectory { path: bytes_of(path) },
            false => Step::Unlink { path: bytes_of(path), stamp },
        });
        self.steps.extend(steps);
    }
}

impl Step {
    /// Carries the step out; it is no error if that has been done before.
    pub fn carry_out(&self) -> Result<(), FilesError> {
        match self {
            Step::SetMode { path, mode } => {
                let set = fs::set_permissions(path_of(path), Permissions::from_mode(*mode));
                unless(set, &[io::ErrorKind::NotFound]).on("set the mode of", path_of(path))
            }
            Step::Unlink { path, stamp } => unlink(path_of(path), stamp).on("remove", path_of(path)),
            Step::RemoveDirectory { path } => {
                let gone = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::DirectoryNotEmpty];
                unless(fs::remove_dir(path_of(path)), &gone).on("remove", path_of(path))
            }
            Step::MakeDirectory { path } => make_directory(path_of(path)).on("make", path_of(path)),
            Step::Place { staged, path } => place(path_of(staged), path_of(path)).on("write", path_of(path)),
            Step::Finish { path, attributes } => attributes.give_to(path_of(path)),
        }
    }

    /// The directory whose entries, or whose own attributes, the step changes.
    #[must_use]
    pub fn touched_directory(&self) -> Option<&Path> {
        match self {
            Step::SetMode { path, .. } | Step::Finish { path, .. } => Some(path_of(path)),
            Step::Unlink { path, .. }
            | Step::RemoveDirectory { path }
            | Step::MakeDirectory { path }
            | Step::Place { path, .. } => path_of(path).parent(),
        }
    }
}

fn unless(result: io::Result<()>, harmless: &[io::ErrorKind]) -> io::Result<()> {
    result.or_else(|error| if harmless.contains(&error.kind()) { Ok(()) } else { Err(error) })
}

fn unlink(path: &Path, stamp: &Stamp) -> io::Result<()> {
    match Stamp::at(path)? {
        Some(now) if now.holds_inode(stamp) => fs::remove_file(path),
        Some(_) | None => Ok(()),
    }
}

/// What is staged no more was placed before.
fn place(staged: &Path, path: &Path) -> io::Result<()> {
    if present(staged)?.is_some() { fs::rename(staged, path) } else { Ok(()) }
}

fn make_directory(path: &Path) -> io::Result<()> {
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let exists = present(path)?.is_some_and(|found| found.is_dir());
            if exists { Ok(()) } else { Err(error) }
        }
        other => other,
    }
}

impl Attributes {
    /// Gives them to what is at `path`, links not followed. Only root can give things away: for others, what they make
    /// is theirs anyway.
    pub fn give_to(&self, path: &Path) -> Result<(), FilesError> {
        let given = std::os::unix::fs::lchown(path, Some(self.owner.user), Some(self.owner.group));
        unless(given, &[io::ErrorKind::PermissionDenied]).on("give an owner to", path)?;
        if let Some(mode) = self.mode {
            fs::set_permissions(path, Permissions::from_mode(mode)).on("set the mode of", path)?;
        }
        let time = Timespec { tv_sec: self.modified.0, tv_nsec: self.modified.1 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).on("set the time of", path)
    }
}
