//! What a directory tree holds, seen as facts about paths.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use chameleon_core::job::OsBytes;
use minicbor::{Decode, Encode};

/// Enough about an inode to notice that someone else has changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Stamp {
    /// Type and permissions, as in `st_mode`.
    #[n(0)]
    pub mode: u32,
    #[n(1)]
    pub device: u64,
    #[n(2)]
    pub inode: u64,
    #[n(3)]
    pub len: u64,
    #[n(4)]
    pub modified: Time,
    #[n(5)]
    pub changed: Time,
}

/// A point in time on the file system's clock: seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Time(#[n(0)] pub i64, #[n(1)] pub i64);

impl Time {
    /// Now. File systems stamp changes with this clock or with one that lags it by a few milliseconds.
    #[must_use]
    pub fn now() -> Time {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Time(now.tv_sec, now.tv_nsec)
    }
}

impl Stamp {
    #[must_use]
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            mode: metadata.mode(),
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: Time(metadata.mtime(), metadata.mtime_nsec()),
            changed: Time(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp of what is at `path` now, links not followed; `None`: nothing is.
    pub fn at(path: &Path) -> io::Result<Option<Stamp>> {
        present(path).map(|found| found.as_ref().map(Stamp::of))
    }

    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// Whether both are the same inode, whatever has become of it.
    #[must_use]
    pub fn holds_inode(&self, other: &Stamp) -> bool {
        let kind = |stamp: &Stamp| stamp.mode & libc::S_IFMT;
        (self.device, self.inode, kind(self)) == (other.device, other.inode, kind(other))
    }

    /// Whether `now` is still the same thing. A directory stays the same when its entries change.
    #[must_use]
    pub fn holds(&self, now: &Stamp) -> bool {
        let same_place = (self.device, self.inode, self.mode) == (now.device, now.inode, now.mode);
        same_place && (self.is_directory() || self == now)
    }
}

/// What is at `path`, links not followed; `None`: nothing is.
pub fn present(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Everything beneath a directory with its stamp, each directory before what it holds, paths relative to `directory`.
pub fn beneath(directory: &Path) -> io::Result<Vec<(OsBytes, Stamp)>> {
    let mut found = Vec::new();
    collect_beneath(directory, b"", &mut found)?;
    Ok(found)
}

fn collect_beneath(directory: &Path, prefix: &[u8], found: &mut Vec<(OsBytes, Stamp)>) -> io::Result<()> {
    for name in names(directory)? {
        let (full, path) = (directory.join(&name), join(prefix, &name));
        let Some(stamp) = Stamp::at(&full)? else { continue };
        found.push((path.clone().into(), stamp));
        if stamp.is_directory() {
            collect_beneath(&full, &path, found)?;
        }
    }
    Ok(())
}

/// A relative path with one more name.
#[must_use]
pub fn join(path: &[u8], name: &OsStr) -> Vec<u8> {
    let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
    [path, separator, name.as_bytes()].concat()
}

/// Removes a directory and everything beneath it, also where permissions were taken away. It is no error if it does
/// not exist.
pub fn remove(directory: &Path) -> io::Result<()> {
    if present(directory)?.is_none() {
        return Ok(());
    }
    empty(directory)?;
    fs::remove_dir(directory)
}

/// Removes everything beneath a directory, also where permissions were taken away.
pub fn empty(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    names(directory)?.iter().try_for_each(|name| remove_entry(&directory.join(name)))
}

/// Removes whatever is there. It is no error if nothing is.
pub fn remove_entry(path: &Path) -> io::Result<()> {
    match present(path)? {
        None => Ok(()),
        Some(entry) if entry.is_dir() => remove(path),
        Some(_) => fs::remove_file(path),
    }
}
