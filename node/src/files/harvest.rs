//! Collecting what a program has changed from the upper layers of its overlays.
//!
//! A change set is the difference between what was there before and what is there after; how the program got there
//! does not matter. So every path is looked at in three places: *before* (the directory itself), *upper* (what the
//! program wrote) and *from* (where the overlay takes the rest from, which is elsewhere only beneath a directory that
//! was renamed, and nowhere beneath one that was made anew). The marks that the kernel leaves in an upper layer
//! (whiteouts, opaque and redirected directories) are understood here and nowhere else.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use chameleon_core::job::OsBytes;

use super::blobs::Blobs;
use super::manifest::{Before, Change, Content, Manifest, Owner, Root, path_order};
use super::tree::{self, Stamp, Time, present};
use super::{FilesError, OnPath, compare};
use crate::os::linux::handle::FileHandle;

/// What is collected, and from where.
#[derive(Debug, Clone)]
pub struct Harvest {
    pub roots: Vec<HeldRoot>,
    /// Where contents go.
    pub blobs: Blobs,
    /// When the program started: what others changed since then is marked as disturbed.
    pub since: Time,
}

/// One directory whose changes were held.
#[derive(Debug, Clone)]
pub struct HeldRoot {
    pub number: u16,
    /// The directory itself, untouched by the program.
    pub directory: PathBuf,
    /// The path at which the program sees it.
    pub shown: PathBuf,
    /// What the program wrote.
    pub layer: Layer,
    /// The only entry that may change; `None`: any.
    pub only: Option<OsString>,
    /// Its own mode was not what programs saw.
    pub sealed: bool,
}

/// How what a program wrote is laid down.
#[derive(Debug, Clone)]
pub enum Layer {
    /// The upper layer of an overlay.
    Upper(PathBuf),
    /// A whole copy of the directory, changed.
    Copy(PathBuf),
}

/// Collects the changes. File contents move into the blob store: the layers are used up.
pub fn harvest(harvest: &Harvest) -> Result<Manifest, FilesError> {
    let mut manifest = Manifest::default();
    for root in &harvest.roots {
        let path = root.shown.as_os_str().as_bytes().to_vec().into();
        manifest.roots.push(Root { number: root.number, path });
        let before = Some(root.directory.clone());
        let (upper, from) = match &root.layer {
            Layer::Upper(upper) => (Some(upper.clone()), before.clone()),
            Layer::Copy(copy) => (None, Some(copy.clone())),
        };
        let mut walk = Walk { harvest, root, manifest: &mut manifest, copied_up: Vec::new() };
        walk.visit(Vec::new(), before, upper, from)?;
        walk.mark_disturbed()?;
    }
    manifest.changes.sort_by(|one, other| one.root.cmp(&other.root).then_with(|| path_order(&one.path, &other.path)));
    Ok(manifest)
}

struct Walk<'a> {
    harvest: &'a Harvest,
    root: &'a HeldRoot,
    manifest: &'a mut Manifest,
    /// Files that were copied up from a file which is not in their place: its handle, and the change.
    copied_up: Vec<(FileHandle, usize)>,
}

/// What is at a path after the execution, and in which place it was found.
struct After {
    path: PathBuf,
    metadata: Metadata,
    written: bool,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        path: Vec<u8>,
        before: Option<PathBuf>,
        upper: Option<PathBuf>,
        from: Option<PathBuf>,
    ) -> Result<(), FilesError> {
        let was = look(before.as_deref())?;
        let after = after(upper, from.as_deref())?;
        let Some(after) = after else {
            return was.map_or(Ok(()), |_| self.note(path, Content::Deleted, None, before.as_deref()));
        };
        let kind = after.metadata.file_type();
        if kind.is_dir() {
            self.visit_directory(path, before, was.as_ref(), &after, from)
        } else if kind.is_file() {
            self.visit_file(path, before.as_deref(), was.as_ref(), &after)
        } else if kind.is_symlink() {
            let target = |link: &Path| fs::read_link(link).on("read the link", link);
            let now = target(&after.path)?;
            let same = match (was, &before) {
                (Some(was), Some(before)) if was.is_symlink() => target(before)? == now,
                _ => false,
            };
            let now = Content::Symlink { target: now.into_os_string().into_vec().into() };
            if same { Ok(()) } else { self.note(path, now, Some(&after.metadata), before.as_deref()) }
        } else {
            self.manifest.unsupported.push(self.full(&path));
            Ok(())
        }
    }

    fn visit_directory(
        &mut self,
        path: Vec<u8>,
        before: Option<PathBuf>,
        was: Option<&Metadata>,
        after: &After,
        from: Option<PathBuf>,
    ) -> Result<(), FilesError> {
        let mode = after.metadata.mode() & 0o7777;
        let before_directory = before.clone().filter(|_| was.is_some_and(Metadata::is_dir));
        let same = was.is_some_and(|was| was.is_dir() && was.mode() & 0o7777 == mode);
        let ours = path.is_empty() && self.root.sealed;
        if !same && !ours && self.may_change(&path) {
            self.note(path.clone(), Content::Directory { mode }, Some(&after.metadata), before.as_deref())?;
        }
        let (upper, from) = match after.written {
            true => (Some(after.path.clone()), self.merged_from(&after.path, from)?),
            false => (None, from),
        };
        let from = match look(from.as_deref())? {
            Some(metadata) if metadata.is_dir() => from,
            _ => None,
        };
        for name in names_to_visit(before_directory.as_deref(), upper.as_deref(), from.as_deref())? {
            let child = tree::join(&path, &name);
            if self.may_change(&child) {
                let [before, upper, from] =
                    [&before_directory, &upper, &from].map(|place| place.as_ref().map(|place| place.join(&name)));
                self.visit(child, before, upper, from)?;
            } else {
                self.manifest.outside.push(self.full(&child));
            }
        }
        Ok(())
    }

    fn visit_file(
        &mut self,
        path: Vec<u8>,
        before: Option<&Path>,
        was: Option<&Metadata>,
        after: &After,
    ) -> Result<(), FilesError> {
        let mode = after.metadata.mode() & 0o7777;
        if let (Some(before), Some(was)) = (before, was) {
            let alike = was.is_file() && was.mode() & 0o7777 == mode && was.len() == after.metadata.len();
            if alike && equal_bytes(before, &after.path)? {
                return Ok(());
            }
        }
        let origin = if after.written && was.is_none() { mark(&after.path, "origin")? } else { None };
        // What is taken over is changed in place, which must not show under another name of the same file.
        let ours_alone = after.written && after.metadata.nlink() == 1;
        let kept =
            if ours_alone { self.harvest.blobs.adopt(&after.path) } else { self.harvest.blobs.copy(&after.path) };
        let (digest, len) = kept?;
        self.note(path, Content::File { mode, len, digest }, Some(&after.metadata), before)?;
        if let Some(handle) = origin.as_deref().and_then(origin_handle) {
            self.copied_up.push((handle, self.manifest.changes.len() - 1));
        }
        Ok(())
    }

    /// A file that was copied up from another place was moved there by the program, or linked. If the file it comes
    /// from is nowhere any more, somebody else has removed it meanwhile.
    fn mark_disturbed(&mut self) -> Result<(), FilesError> {
        if self.copied_up.is_empty() {
            return Ok(());
        }
        let directory = &self.root.directory;
        let found = tree::beneath(directory).on("list", directory)?;
        let files = found.into_iter().filter(|(_, stamp)| !stamp.is_directory());
        let handle = |path: OsBytes| FileHandle::at(&directory.join(OsStr::from_bytes(&path))).ok();
        let there: BTreeSet<FileHandle> = files.filter_map(|(path, _)| handle(path)).collect();
        for (_, change) in self.copied_up.iter().filter(|(handle, _)| !there.contains(handle)) {
            self.manifest.changes[*change].before = Before::Disturbed;
        }
        Ok(())
    }

    /// Where an overlay takes the rest of a written directory from.
    fn merged_from(&self, upper: &Path, from: Option<PathBuf>) -> Result<Option<PathBuf>, FilesError> {
        if mark(upper, "opaque")?.is_some_and(|value| value == b"y") {
            return Ok(None);
        }
        let Some(redirect) = mark(upper, "redirect")? else { return Ok(from) };
        Ok(match redirect.strip_prefix(b"/") {
            Some(absolute) => Some(self.root.directory.join(OsStr::from_bytes(absolute))),
            None => from.and_then(|from| Some(from.parent()?.join(OsStr::from_bytes(&redirect)))),
        })
    }

    fn may_change(&self, path: &[u8]) -> bool {
        let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        self.root.only.as_ref().is_none_or(|only| only.as_bytes() == first)
    }

    fn full(&self, path: &[u8]) -> OsBytes {
        self.root.shown.join(OsStr::from_bytes(path)).into_os_string().into_vec().into()
    }

    fn note(
        &mut self,
        path: Vec<u8>,
        now: Content,
        metadata: Option<&Metadata>,
        before: Option<&Path>,
    ) -> Result<(), FilesError> {
        let becomes_directory = matches!(now, Content::Directory { .. });
        let owner = metadata.map_or(Owner { user: 0, group: 0 }, |is| Owner { user: is.uid(), group: is.gid() });
        let modified = metadata.map_or(Time(0, 0), |is| Time(is.mtime(), is.mtime_nsec()));
        let before = before.map_or(Ok(Before::Absent), |before| self.state_before(before, becomes_directory))?;
        self.manifest.changes.push(Change { root: self.root.number, path: path.into(), now, owner, modified, before });
        Ok(())
    }

    fn state_before(&self, before: &Path, becomes_directory: bool) -> Result<Before, FilesError> {
        let Some(stamp) = Stamp::at(before).on("read", before)? else { return Ok(Before::Absent) };
        let vanishes = stamp.is_directory() && !becomes_directory;
        let beneath = if vanishes { tree::beneath(before).on("read", before)? } else { Vec::new() };
        let disturbed = |stamp: &Stamp| !stamp.is_directory() && stamp.changed > self.harvest.since;
        match disturbed(&stamp) || beneath.iter().any(|(_, stamp)| disturbed(stamp)) {
            true => Ok(Before::Disturbed),
            false => Ok(Before::Present { stamp, beneath }),
        }
    }
}

fn look(path: Option<&Path>) -> Result<Option<Metadata>, FilesError> {
    path.map_or(Ok(None), |path| present(path).on("read", path))
}

/// What is at a path after the execution: what was written there, else what shows through.
fn after(upper: Option<PathBuf>, from: Option<&Path>) -> Result<Option<After>, FilesError> {
    if let Some(path) = upper
        && let Some(metadata) = look(Some(&path))?
    {
        let deleted = is_whiteout(&path, &metadata)?;
        return Ok((!deleted).then_some(After { path, metadata, written: true }));
    }
    let metadata = look(from)?;
    Ok(from.zip(metadata).map(|(path, metadata)| After { path: path.to_owned(), metadata, written: false }))
}

/// A whiteout is a character device 0/0, or an empty file with a mark.
fn is_whiteout(path: &Path, metadata: &Metadata) -> Result<bool, FilesError> {
    let kind = metadata.file_type();
    if kind.is_char_device() {
        return Ok(metadata.rdev() == 0);
    }
    Ok(kind.is_file() && metadata.len() == 0 && mark(path, "whiteout")?.is_some())
}

/// The file that an overlay's mark `origin` names (`struct ovl_fb`: five bytes, the last of which is the kind of the
/// handle, a UUID, and the handle); `None`: the file system beneath has no handles.
fn origin_handle(mark: &[u8]) -> Option<FileHandle> {
    Some(FileHandle { kind: *mark.get(4)?, bytes: mark.get(21..)?.to_vec() })
}

/// The value of a mark that the overlay has left on a path: privileged overlays use one namespace of extended
/// attributes, those of users another.
fn mark(path: &Path, name: &str) -> Result<Option<Vec<u8>>, FilesError> {
    let mut value = [0; 4096];
    for namespace in ["trusted", "user"] {
        match rustix::fs::lgetxattr(path, format!("{namespace}.overlay.{name}"), &mut value) {
            Ok(len) => return Ok(Some(value[..len].to_vec())),
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error).on("read the overlay's mark on", path),
        }
    }
    Ok(None)
}

/// If what shows through is what was there before, only written names can differ; else any name can.
fn names_to_visit(
    before: Option<&Path>,
    upper: Option<&Path>,
    from: Option<&Path>,
) -> Result<BTreeSet<OsString>, FilesError> {
    let places = if before == from { [upper, None, None] } else { [before, upper, from] };
    let mut all = BTreeSet::new();
    for place in places.into_iter().flatten() {
        all.extend(tree::names(place).on("list", place)?);
    }
    Ok(all)
}

fn equal_bytes(one: &Path, other: &Path) -> Result<bool, FilesError> {
    let open = |path: &Path| File::open(path).on("read", path);
    compare::equal(open(one)?, open(other)?).on("compare", one)
}
