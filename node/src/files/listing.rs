//! What an input consists of, so that a host without it can have the same: each file by its digest, with mode and time.
//!
//! Two hosts have the same input when their listings have the same digest. Times are laid as they were, for programs
//! that look at them, and are no part of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use chameleon_core::job::OsBytes;
use chameleon_core::names::Digest;
use minicbor::{Decode, Encode};
use rustix::fs::{FlockOperation, flock};

use super::blobs::{Blobs, digest_of};
use super::tree::{self, Stamp, Time};
use super::{FilesError, OnPath};

/// Numbers the files that this process is laying.
static ARRIVALS: AtomicU64 = AtomicU64::new(0);

/// A file, or a directory with all below it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Listing {
    /// Its absolute path.
    #[n(0)]
    pub path: OsBytes,
    /// Directories before what they hold. The first is the input itself.
    #[n(1)]
    pub entries: Vec<Entry>,
}

/// One path of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Relative to the input; empty: the input itself.
    #[n(0)]
    pub path: OsBytes,
    #[n(1)]
    pub mode: u32,
    #[n(2)]
    pub modified: Time,
    #[n(3)]
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    #[n(0)]
    File {
        #[n(0)]
        len: u64,
        #[n(1)]
        digest: Digest,
    },
    #[n(1)]
    Directory,
    #[n(2)]
    Symlink(#[n(0)] OsBytes),
}

/// How much may be listed.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub paths: usize,
    pub bytes: u64,
}

impl Limit {
    /// For what was declared.
    pub const NONE: Limit = Limit { paths: usize::MAX, bytes: u64::MAX };
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    #[error("{} holds more than {} paths or {} MiB", .path.display(), .limit.paths, .limit.bytes >> 20)]
    TooMuch { path: PathBuf, limit: Limit },
    #[error("failed to {0}")]
    Files(#[from] FilesError),
}

impl Listing {
    /// Lists what is at an absolute path, with the stamps by which it is known later whether somebody changed it. Pipes,
    /// sockets and devices are left out, and so is `but` with all below it.
    ///
    /// # Errors
    /// See [`ListingError`].
    pub fn of(path: &Path, but: &Path, limit: Limit) -> Result<(Listing, Vec<(PathBuf, Stamp)>), ListingError> {
        let data = fs::metadata(path).on("read", path)?;
        let mut found = vec![(PathBuf::new(), Stamp::of(&data))];
        if data.is_dir() {
            walk(path, Path::new(""), but, &mut found, &mut limit.clone())
                .map_err(|stop| stop.into_error(path, limit))?;
        }
        let mut entries = Vec::with_capacity(found.len());
        let mut stamps = Vec::with_capacity(found.len());
        for (relative, stamp) in found {
            let full = if relative.as_os_str().is_empty() { path.to_owned() } else { path.join(&relative) };
            if let Some(entry) = entry(&full, &relative, &stamp)? {
                entries.push(entry);
                stamps.push((full, stamp));
            }
        }
        Ok((Listing { path: bytes(path), entries }, stamps))
    }

    /// What is compared: of a single file its content, as everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest {
        if let [Entry { kind: Kind::File { digest, .. }, .. }] = self.entries.as_slice() {
            return *digest;
        }
        let mut hasher = blake3::Hasher::new();
        for Entry { path, mode, modified: _, kind } in &self.entries {
            hasher.update(&minicbor::to_vec((path, mode, kind)).expect("writing to memory cannot fail"));
        }
        Digest(hasher.finalize().into())
    }

    /// The contents that belong to it.
    pub fn contents(&self) -> impl Iterator<Item = (Digest, u64)> + '_ {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::File { len, digest } => Some((*digest, *len)),
            Kind::Directory | Kind::Symlink(_) => None,
        })
    }

    /// Reads a listing that another host made.
    ///
    /// # Errors
    /// It is none, or it would lead out of the place where it is laid.
    pub fn read(bytes: &[u8]) -> Result<Listing, String> {
        let listing: Listing = minicbor::decode(bytes).map_err(|error| error.to_string())?;
        listing.check()?;
        Ok(listing)
    }

    /// Whether it may be laid.
    ///
    /// # Errors
    /// It would lead out of the place where it is laid.
    pub fn check(&self) -> Result<(), String> {
        let within = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let rest = as_path(&self.path).strip_prefix("/").map_err(|_| "its path is not absolute".to_owned())?;
        let mut directories = BTreeSet::new();
        for (number, entry) in self.entries.iter().enumerate() {
            let path = as_path(&entry.path);
            let is_root = path.as_os_str().is_empty();
            let has_place = is_root || path.parent().is_some_and(|parent| directories.contains(parent));
            if is_root != (number == 0) || !has_place || !within(path) || !within(rest) {
                return Err(format!("{} leads out of it", path.display()));
            }
            if entry.kind == Kind::Directory {
                directories.insert(path);
            }
        }
        Ok(())
    }

    /// Lays it beneath `mirror`, at its own absolute path. What is there already is left alone, so that it may be done
    /// again while programs read it.
    ///
    /// # Errors
    /// See [`FilesError`].
    pub fn lay(&self, blobs: &Blobs, mirror: &Path) -> Result<(), FilesError> {
        let root = beneath(mirror, as_path(&self.path));
        refuse_links(mirror, &root)?;
        // Not in the mirror itself, which programs may look at. Inputs overlap, and are laid one after the other.
        let arrivals = mirror.with_extension("arrivals");
        fs::create_dir_all(&arrivals).on("make", &arrivals)?;
        let turn = fs::File::open(&arrivals).on("open", &arrivals)?;
        flock(&turn, FlockOperation::LockExclusive).map_err(io::Error::from).on("lock", &arrivals)?;
        if let Some(parent) = root.parent() {
            fs::create_dir_all(parent).on("make", parent)?;
        }
        let full = |entry: &Entry| match entry.path.is_empty() {
            true => root.clone(),
            false => root.join(OsStr::from_bytes(&entry.path)),
        };
        for entry in &self.entries {
            lay(entry, &full(entry), blobs, &arrivals)?;
        }
        // What was put into a directory changed its time.
        for entry in self.entries.iter().rev().filter(|entry| entry.kind == Kind::Directory) {
            let path = full(entry);
            fs::set_permissions(&path, Permissions::from_mode(entry.mode)).on("prepare", &path)?;
            set_time(&path, entry.modified).on("prepare", &path)?;
        }
        Ok(())
    }
}

/// Notes that an input was laid whole in a mirror.
///
/// # Errors
/// See [`FilesError`].
pub fn note_laid(mirror: &Path, listing: &Listing) -> Result<(), FilesError> {
    let notes = mirror.with_extension("laid");
    fs::create_dir_all(&notes).on("make", &notes)?;
    let note = notes.join(blake3::hash(&listing.path).to_hex().as_str());
    fs::write(&note, listing.path.as_slice()).on("write", &note)
}

/// The inputs that were laid whole in a mirror: absolute paths, as they are to be shown.
///
/// # Errors
/// See [`FilesError`].
pub fn laid(mirror: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let notes = mirror.with_extension("laid");
    if tree::present(&notes).on("read", &notes)?.is_none() {
        return Ok(Vec::new());
    }
    let path = |name| {
        let note = notes.join(name);
        Ok(as_path(&fs::read(&note).on("read", &note)?.into()).to_owned())
    };
    tree::names(&notes).on("list", &notes)?.into_iter().map(path).collect()
}

/// An absolute path beneath a directory that stands for the root.
#[must_use]
pub fn beneath(mirror: &Path, path: &Path) -> PathBuf {
    mirror.join(path.strip_prefix("/").unwrap_or(path))
}

fn as_path(bytes: &OsBytes) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn bytes(path: &Path) -> OsBytes {
    path.as_os_str().as_bytes().to_vec().into()
}

/// What was laid before may hold a link that leads elsewhere: nothing is laid through it.
fn refuse_links(mirror: &Path, root: &Path) -> Result<(), FilesError> {
    let above = root.ancestors().skip(1).take_while(|path| path.starts_with(mirror));
    for path in above {
        if tree::present(path).on("read", path)?.is_some_and(|data| data.is_symlink()) {
            let source = io::Error::other("it is a link; name the path that it leads to as the input");
            return Err(FilesError::Path { action: "lay an input beneath", path: path.to_owned(), source });
        }
    }
    Ok(())
}

/// Why a walk ended early.
enum Stop {
    TooMuch,
    Failed(PathBuf, io::Error),
}

impl Stop {
    fn into_error(self, path: &Path, limit: Limit) -> ListingError {
        match self {
            Stop::TooMuch => ListingError::TooMuch { path: path.to_owned(), limit },
            Stop::Failed(path, source) => FilesError::Path { action: "read", path, source }.into(),
        }
    }
}

/// Before anything is digested: what is too much is noticed soon.
fn walk(
    root: &Path,
    relative: &Path,
    but: &Path,
    found: &mut Vec<(PathBuf, Stamp)>,
    limit: &mut Limit,
) -> Result<(), Stop> {
    let directory = root.join(relative);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Stop::Failed(path, error)
    };
    for name in tree::names(&directory).map_err(failed(&directory))? {
        let path = relative.join(&name);
        let full = root.join(&path);
        if full == but {
            continue;
        }
        let Some(stamp) = Stamp::at(&full).map_err(failed(&full))? else { continue };
        found.push((path.clone(), stamp));
        if found.len() > limit.paths {
            return Err(Stop::TooMuch);
        }
        if stamp.is_directory() {
            walk(root, &path, but, found, limit)?;
        } else {
            limit.bytes = limit.bytes.checked_sub(stamp.len).ok_or(Stop::TooMuch)?;
        }
    }
    Ok(())
}

fn entry(full: &Path, relative: &Path, stamp: &Stamp) -> Result<Option<Entry>, FilesError> {
    let kind = match stamp.mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink(bytes(&fs::read_link(full).on("read the link", full)?)),
        libc::S_IFREG => {
            let (digest, len) = digest_of(full)?;
            Kind::File { len, digest }
        }
        _ => return Ok(None),
    };
    Ok(Some(Entry { path: bytes(relative), mode: stamp.mode & 0o7777, modified: stamp.modified, kind }))
}

fn lay(entry: &Entry, path: &Path, blobs: &Blobs, arrivals: &Path) -> Result<(), FilesError> {
    let there = tree::present(path).on("read", path)?;
    match &entry.kind {
        Kind::Directory => {
            if there.is_none() {
                fs::create_dir(path).on("make", path)?;
            }
            fs::set_permissions(path, Permissions::from_mode(0o700)).on("prepare", path)
        }
        Kind::Symlink(target) => match there {
            Some(_) => Ok(()),
            None => {
                symlink(as_path(target), path).on("make the link", path)?;
                set_time(path, entry.modified).on("prepare", path)
            }
        },
        Kind::File { len, digest } => {
            let same =
                |data: fs::Metadata| data.len() == *len && Time(data.mtime(), data.mtime_nsec()) == entry.modified;
            if there.is_some_and(same) {
                return Ok(());
            }
            let number = ARRIVALS.fetch_add(1, Ordering::Relaxed);
            let beside = arrivals.join(format!("{}-{number}", std::process::id()));
            drop(blobs.write_into(*digest, &beside)?);
            fs::set_permissions(&beside, Permissions::from_mode(entry.mode)).on("prepare", &beside)?;
            set_time(&beside, entry.modified).on("prepare", &beside)?;
            fs::rename(&beside, path).on("put in place", path)
        }
    }
}

fn set_time(path: &Path, Time(seconds, nanoseconds): Time) -> io::Result<()> {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(root: &Path) {
        fs::create_dir_all(root.join("lib/empty")).unwrap();
        fs::write(root.join("tool"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("tool"), Permissions::from_mode(0o755)).unwrap();
        fs::write(root.join("lib/a"), "a").unwrap();
        symlink("../tool", root.join("lib/link")).unwrap();
    }

    #[test]
    fn what_is_laid_elsewhere_is_listed_alike_and_may_be_laid_again() {
        let folder = tempfile::tempdir().unwrap();
        let (origin, mirror) = (folder.path().join("origin"), folder.path().join("mirror"));
        make(&origin);
        let nothing = Path::new("");
        let (listing, stamps) = Listing::of(&origin, nothing, Limit::NONE).unwrap();
        assert_eq!(stamps.len(), listing.entries.len());
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        for name in ["tool", "lib/a"] {
            blobs.copy(&origin.join(name)).unwrap();
        }
        for _ in 0..2 {
            listing.lay(&blobs, &mirror).unwrap();
        }
        let (laid, _) = Listing::of(&beneath(&mirror, &origin), nothing, Limit::NONE).unwrap();
        assert_eq!(laid.entries, listing.entries, "with modes and times");
        assert_eq!(laid.digest(), listing.digest());
        fs::set_permissions(origin.join("tool"), Permissions::from_mode(0o644)).unwrap();
        assert_ne!(Listing::of(&origin, nothing, Limit::NONE).unwrap().0.digest(), listing.digest());
    }

    #[test]
    fn inputs_that_overlap_are_laid_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        make(&origin);
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        for name in ["tool", "lib/a"] {
            blobs.copy(&origin.join(name)).unwrap();
        }
        let listings = ["", "lib", "lib/a", "tool"].map(|name| {
            let path = if name.is_empty() { origin.clone() } else { origin.join(name) };
            Listing::of(&path, Path::new(""), Limit::NONE).unwrap().0
        });
        for round in 0..20 {
            let mirror = folder.path().join(format!("mirror-{round}"));
            std::thread::scope(|scope| {
                for listing in listings.iter().chain(&listings) {
                    scope.spawn(|| listing.lay(&blobs, &mirror).unwrap());
                }
            });
            let (laid, _) = Listing::of(&beneath(&mirror, &origin), Path::new(""), Limit::NONE).unwrap();
            assert_eq!(laid.digest(), listings[0].digest());
        }
    }

    #[test]
    fn what_is_too_much_is_not_listed_and_what_is_excepted_is_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let few = Limit { paths: 5, bytes: u64::MAX };
        assert!(matches!(Listing::of(folder.path(), Path::new(""), few), Err(ListingError::TooMuch { .. })));
        let small = Limit { paths: 100, bytes: 10 };
        assert!(matches!(Listing::of(folder.path(), Path::new(""), small), Err(ListingError::TooMuch { .. })));
        let (listing, _) = Listing::of(folder.path(), &folder.path().join("lib"), few).unwrap();
        let paths: Vec<&[u8]> = listing.entries.iter().map(|entry| entry.path.as_slice()).collect();
        assert_eq!(paths, [&b""[..], b"tool"]);
    }

    #[test]
    fn a_listing_that_leads_out_of_its_place_is_refused() {
        let entry =
            |path: &str, kind: Kind| Entry { path: bytes(Path::new(path)), mode: 0o755, modified: Time(0, 0), kind };
        let link = || Kind::Symlink(bytes(Path::new("/etc")));
        let cases = [
            ("/in", vec![entry("", Kind::Directory), entry("a", Kind::Directory), entry("a/b", link())], true),
            ("/in", vec![entry("", Kind::Directory), entry("../b", link())], false),
            ("/in", vec![entry("", Kind::Directory), entry("/etc/b", link())], false),
            ("/in", vec![entry("", Kind::Directory), entry("a", link()), entry("a/b", link())], false),
            ("/in/../..", vec![entry("", Kind::Directory)], false),
            ("in", vec![entry("", Kind::Directory)], false),
            ("/in", vec![entry("a", Kind::Directory)], false),
        ];
        for (path, entries, sound) in cases {
            let listing = Listing { path: bytes(Path::new(path)), entries };
            assert_eq!(Listing::read(&minicbor::to_vec(&listing).unwrap()).is_ok(), sound, "{listing:?}");
        }
        assert!(Listing::read(b"\xff\xff").is_err());
    }

    #[test]
    fn nothing_is_laid_through_a_link_that_was_laid_before() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = folder.path().join("mirror");
        fs::create_dir_all(&mirror).unwrap();
        symlink(folder.path(), mirror.join("link")).unwrap();
        let root = Entry { path: bytes(Path::new("")), mode: 0o755, modified: Time(0, 0), kind: Kind::Directory };
        let listing = Listing { path: bytes(Path::new("/link/new")), entries: vec![root] };
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        assert!(listing.lay(&blobs, &mirror).is_err());
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn a_single_file_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "same").unwrap();
        let (listing, _) = Listing::of(&folder.path().join("a"), Path::new(""), Limit::NONE).unwrap();
        assert_eq!(listing.digest(), Digest(*blake3::hash(b"same").as_bytes()));
    }
}
