//! Contents by their BLAKE3 digest: one file a content, named by the digest, never changed, verified when read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use chameleon_core::names::Digest;

use super::{FilesError, OnPath};

/// A directory of contents.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: PathBuf,
}

const CHUNK: usize = 1024 * 1024;
/// Numbers the contents that this process is writing.
static PARTIALS: AtomicU64 = AtomicU64::new(0);

impl Blobs {
    /// Opens a store, creating its directory if need be.
    pub fn open(store: &Path) -> Result<Blobs, FilesError> {
        let blobs = Blobs::at(store);
        blobs.make()?;
        Ok(blobs)
    }

    /// A store whose directory is made for its first content: most slots keep none.
    #[must_use]
    pub fn at(store: &Path) -> Blobs {
        Blobs { store: store.to_owned() }
    }

    fn make(&self) -> Result<(), FilesError> {
        fs::create_dir_all(&self.store).on("make the content store", &self.store)
    }

    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.store.join(digest.to_string())
    }

    #[must_use]
    pub fn holds(&self, digest: Digest) -> bool {
        self.path(digest).exists()
    }

    /// Takes over a file: it is gone from where it was. Its bytes are moved and not copied if they lie on the same
    /// file system.
    pub fn adopt(&self, file: &Path) -> Result<(Digest, u64), FilesError> {
        fs::set_permissions(file, Permissions::from_mode(0o600)).on("keep the contents of", file)?;
        let (digest, len) = digest_of(file)?;
        let blob = self.path(digest);
        if blob.exists() {
            fs::remove_file(file).on("remove a second copy of", file)?;
            return Ok((digest, len));
        }
        self.make()?;
        match fs::rename(file, &blob) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.copy(file)?;
                fs::remove_file(file).on("remove", file)?;
            }
            moved => moved.on("keep the contents of", file)?,
        }
        Ok((digest, len))
    }

    /// Keeps a copy of a file, which stays where it is.
    pub fn copy(&self, file: &Path) -> Result<(Digest, u64), FilesError> {
        let mut source = File::open(file).on("read", file)?;
        let mut hasher = blake3::Hasher::new();
        let (partial, mut target) = self.partial()?;
        let len = copy_hashing(&mut source, &mut target, &mut hasher).on("keep the contents of", file)?;
        let digest = Digest(hasher.finalize().into());
        fs::rename(&partial, self.path(digest)).on("keep the contents of", file)?;
        Ok((digest, len))
    }

    /// Keeps these bytes.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, FilesError> {
        let digest = Digest(blake3::hash(bytes).into());
        if !self.holds(digest) {
            let (partial, mut target) = self.partial()?;
            target.write_all(bytes).on("write", &partial)?;
            fs::rename(&partial, self.path(digest)).on("keep", &partial)?;
        }
        Ok(digest)
    }

    /// All bytes of a content, verified.
    pub fn read(&self, digest: Digest) -> Result<Vec<u8>, FilesError> {
        let bytes = fs::read(self.path(digest)).map_err(|error| self.unreadable(digest, error.to_string()))?;
        match blake3::hash(&bytes).as_bytes() == &digest.0 {
            true => Ok(bytes),
            false => Err(self.unreadable(digest, "its bytes are not what they were".into())),
        }
    }

    /// Writes a content into `target`, sharing the bytes where the file system can, and verifies what was written.
    pub fn write_into(&self, digest: Digest, target: &Path) -> Result<File, FilesError> {
        let mut source = File::open(self.path(digest)).map_err(|error| self.unreadable(digest, error.to_string()))?;
        let mut copy = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(target)
            .on("write", target)?;
        let mut hasher = blake3::Hasher::new();
        if rustix::fs::ioctl_ficlone(&copy, &source).is_ok() {
            hasher.update_reader(&mut copy).on("verify", target)?;
        } else {
            copy_hashing(&mut source, &mut copy, &mut hasher).on("write", target)?;
        }
        match hasher.finalize().as_bytes() == &digest.0 {
            true => Ok(copy),
            false => Err(self.unreadable(digest, "its bytes are not what they were".into())),
        }
    }

    /// Makes all contents that were kept so far survive a power loss.
    pub fn sync(&self) -> Result<(), FilesError> {
        let directory = match File::open(&self.store) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.on("open", &self.store)?,
        };
        rustix::fs::syncfs(&directory).on("make durable", &self.store)
    }

    fn unreadable(&self, digest: Digest, why: String) -> FilesError {
        FilesError::Blob { digest, store: self.store.clone(), why }
    }

    fn partial(&self) -> Result<(PathBuf, File), FilesError> {
        self.make()?;
        let number = PARTIALS.fetch_add(1, Ordering::Relaxed);
        let partial = self.store.join(format!("partial-{}-{number}", std::process::id()));
        let file = File::create(&partial).on("write", &partial)?;
        Ok((partial, file))
    }
}

/// The digest and length of a file's contents.
pub fn digest_of(file: &Path) -> Result<(Digest, u64), FilesError> {
    let mut hasher = blake3::Hasher::new();
    let source = File::open(file).on("read", file)?;
    hasher.update_reader(source).on("read", file)?;
    Ok((Digest(hasher.finalize().into()), hasher.count()))
}

fn copy_hashing(source: &mut File, target: &mut File, hasher: &mut blake3::Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut len = 0;
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok(len);
        }
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read])?;
        len += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_are_kept_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        let files = ["one", "two"].map(|name| folder.path().join(name));
        for file in &files {
            fs::write(file, "same").unwrap();
        }
        let digests = files.each_ref().map(|file| blobs.adopt(file).unwrap());
        assert_eq!(digests[0], digests[1]);
        assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 1);
        assert!(files.iter().all(|file| !file.exists()));
        assert_eq!(blobs.read(digests[0].0).unwrap(), b"same");
        assert_eq!(blobs.put(b"same").unwrap(), digests[0].0);
    }

    #[test]
    fn a_content_that_has_rotted_is_never_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let digest = blobs.put(b"right").unwrap();
        fs::write(blobs.path(digest), "wrong").unwrap();
        assert!(blobs.read(digest).is_err());
        let error = blobs.write_into(digest, &folder.path().join("target")).unwrap_err().to_string();
        assert!(error.contains("not what they were"), "{error}");
    }
}
