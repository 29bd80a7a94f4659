//! Locks that end with their holder, however it ends.
//!
//! A lock belongs to an open file, so that it can be handed to another process with the descriptor:
//! whoever starts a daemon takes the daemon's lock first and hands it over, and there is never a
//! moment in which two could be started.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{path} is held by another process, so this one must not touch what it guards")]
    Held { path: PathBuf },
    #[error("cannot lock {path}: {source}")]
    System { path: PathBuf, source: io::Error },
}

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: OwnedFd,
}

impl Lock {
    /// Takes the lock of a file or directory, if nobody holds it. A file that is missing is made.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(path: &Path) -> Result<Lock, LockError> {
        let system = |source| LockError::System { path: path.to_owned(), source };
        let file = if path.is_dir() {
            File::open(path)
        } else {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
        };
        let file = file.map_err(system)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { file: file.into() }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held { path: path.to_owned() }),
            Err(error) => Err(system(error.into())),
        }
    }

    /// As [`Lock::take`], but gives a holder that is about to die this long.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take_within(path: &Path, patience: Duration) -> Result<Lock, LockError> {
        const PAUSE: Duration = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        loop {
            match Lock::take(path) {
                Err(LockError::Held { .. }) if waited < patience => std::thread::sleep(PAUSE),
                outcome => return outcome,
            }
            waited += PAUSE;
        }
    }

    /// A lock that another process took and handed over.
    #[must_use]
    pub fn handed(file: OwnedFd) -> Lock {
        Lock { file }
    }

    /// Writes the locked file anew.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        rustix::io::pwrite(&self.file, bytes, 0)?;
        rustix::fs::ftruncate(&self.file, bytes.len() as u64)?;
        Ok(())
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_keeps_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("lock")] {
            let lock = Lock::take(&path).unwrap();
            assert!(matches!(Lock::take(&path), Err(LockError::Held { .. })));
            assert!(matches!(Lock::take_within(&path, Duration::from_millis(5)), Err(LockError::Held { .. })));
            drop(lock);
            Lock::take(&path).unwrap();
        }
        let path = directory.path().join("lock");
        let lock = Lock::take(&path).unwrap();
        lock.write(b"long text").unwrap();
        lock.write(b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
