//! Copying a whole directory, where its changes cannot be held by an overlay.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use super::manifest::Owner;
use super::redo::Attributes;
use super::tree::{Time, names};
use super::{FilesError, OnPath};

/// The most bytes of files that a copied directory may hold.
pub const LIMIT: u64 = 1024 * 1024 * 1024;

/// Why a directory cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("copy {}: with it the directory exceeds the {} MiB up to which a copy is made", .path.display(), .limit >> 20)]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("copy {}: it is a pipe, a socket or a device", .path.display())]
    Special { path: PathBuf },
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Copies a directory with everything beneath it to `target`, which must not exist; bytes are shared where the file
/// system can. Names in errors are those beneath `shown`.
pub fn copy_directory(source: &Path, target: &Path, shown: &Path, limit: u64) -> Result<(), CopyError> {
    let mut left = limit;
    Copying { limit, left: &mut left }.directory(source, target, shown)
}

struct Copying<'a> {
    limit: u64,
    left: &'a mut u64,
}

impl Copying<'_> {
    fn directory(&mut self, source: &Path, target: &Path, shown: &Path) -> Result<(), CopyError> {
        fs::create_dir(target).on("copy", shown)?;
        for name in names(source).on("list", shown)? {
            self.entry(&source.join(&name), &target.join(&name), &shown.join(&name))?;
        }
        keep_attributes(&fs::metadata(source).on("read", shown)?, target)
    }

    fn entry(&mut self, source: &Path, target: &Path, shown: &Path) -> Result<(), CopyError> {
        let metadata = fs::symlink_metadata(source).on("read", shown)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return self.directory(source, target, shown);
        }
        if kind.is_symlink() {
            fs::read_link(source).and_then(|link| symlink(link, target)).on("copy", shown)?;
        } else if kind.is_file() {
            let too_large = || CopyError::TooLarge { path: shown.to_owned(), limit: self.limit };
            *self.left = self.left.checked_sub(metadata.len()).ok_or_else(too_large)?;
            copy_file(source, target).on("copy", shown)?;
        } else {
            return Err(CopyError::Special { path: shown.to_owned() });
        }
        keep_attributes(&metadata, target)
    }
}

fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut to = File::options().write(true).create_new(true).mode(0o600).open(target)?;
    if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
        io::copy(&mut from, &mut to)?;
    }
    Ok(())
}

fn keep_attributes(metadata: &fs::Metadata, target: &Path) -> Result<(), CopyError> {
    let attributes = Attributes {
        mode: (!metadata.is_symlink()).then_some(metadata.mode() & 0o7777),
        owner: Owner { user: metadata.uid(), group: metadata.gid() },
        modified: Time(metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok(attributes.give_to(target)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stops_at_its_limit_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("in")).unwrap();
        fs::write(source.join("in/large"), [0; 100]).unwrap();
        let copy = |name: &str, limit| copy_directory(&source, &folder.path().join(name), Path::new("/shown"), limit);
        copy("fits", 100).unwrap();
        assert_eq!(fs::read(folder.path().join("fits/in/large")).unwrap(), [0; 100]);
        let error = copy("large", 99).unwrap_err().to_string();
        assert!(error.contains("/shown/in/large"), "{error}");
    }
}
