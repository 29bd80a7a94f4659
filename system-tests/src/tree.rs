//! A directory as it is compared: names, kinds, modes, contents and targets, and no times.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One path below the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Directory { mode: u32 },
    File { mode: u32, length: u64, digest: blake3::Hash },
    Symlink { target: PathBuf },
    Fifo { mode: u32 },
    Socket { mode: u32 },
    Device { mode: u32 },
}

/// All that is in a directory, by paths relative to it.
///
/// # Panics
/// If something in it cannot be read.
#[must_use]
pub fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    walk(directory, Path::new(""), &mut entries).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
    entries
}

fn walk(root: &Path, below: &Path, entries: &mut BTreeMap<PathBuf, Entry>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let path = below.join(entry?.file_name());
        let full = root.join(&path);
        let metadata = full.symlink_metadata()?;
        let (kind, mode) = (metadata.file_type(), metadata.mode() & 0o7777);
        let entry = if kind.is_dir() {
            walk(root, &path, entries)?;
            Entry::Directory { mode }
        } else if kind.is_symlink() {
            Entry::Symlink { target: fs::read_link(&full)? }
        } else if kind.is_fifo() {
            Entry::Fifo { mode }
        } else if kind.is_socket() {
            Entry::Socket { mode }
        } else if kind.is_file() {
            Entry::File { mode, length: metadata.len(), digest: digest(&full)? }
        } else {
            Entry::Device { mode }
        };
        entries.insert(path, entry);
    }
    Ok(())
}

/// The digest of a file's bytes.
///
/// # Errors
/// It cannot be read.
pub fn digest(path: &Path) -> io::Result<blake3::Hash> {
    digest_of(fs::File::open(path)?).map(|(digest, _)| digest)
}

/// The digest and the number of all bytes that come.
///
/// # Errors
/// They cannot be read.
pub fn digest_of(mut bytes: impl io::Read) -> io::Result<(blake3::Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let length = io::copy(&mut bytes, &mut hasher)?;
    Ok((hasher.finalize(), length))
}

/// In what two directories differ, a line each; empty if in nothing.
#[must_use]
pub fn differences(expected: &BTreeMap<PathBuf, Entry>, found: &BTreeMap<PathBuf, Entry>) -> Vec<String> {
    let paths: std::collections::BTreeSet<&PathBuf> = expected.keys().chain(found.keys()).collect();
    let differs = |path: &&PathBuf| expected.get(*path) != found.get(*path);
    let line =
        |path: &PathBuf| format!("{}: expected {:?}, found {:?}", path.display(), expected.get(path), found.get(path));
    paths.into_iter().filter(differs).map(line).collect()
}

/// Copies a directory with its modes and symlinks.
///
/// # Panics
/// If it cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg("--").arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "cp -a {} {}", from.display(), to.display());
}
