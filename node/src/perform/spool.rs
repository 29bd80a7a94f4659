//! The spooled standard input of a job: given to a program as far as every lane has it, and digested
//! as it grows.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chameleon_core::names::Digest;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Bytes copied at once.
const CHUNK: usize = 64 << 10;

/// Copies the spool into a program's standard input, no further than allowed. Dropped: it ends.
#[derive(Debug)]
pub struct Feeder {
    allowed: watch::Sender<(u64, bool)>,
}

impl Feeder {
    /// Starts to feed; the end that is returned is the program's standard input.
    pub fn start(spool: PathBuf) -> io::Result<(Feeder, OwnedFd)> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        let (allowed, limit) = watch::channel((0, false));
        let writer = crate::os::readiness::watch(writer, tokio::io::Interest::WRITABLE)?;
        tokio::spawn(async move {
            // A program that closes its input early is its own affair.
            let _ = feed(&spool, &writer, limit).await;
        });
        Ok((Feeder { allowed }, reader))
    }

    /// All lanes have this much, and that is all of it if `end`.
    pub fn allow(&self, upto: u64, end: bool) {
        self.allowed.send_replace((upto, end));
    }
}

async fn feed(spool: &Path, writer: &AsyncFd<OwnedFd>, mut limit: watch::Receiver<(u64, bool)>) -> io::Result<()> {
    let mut file = None;
    let mut position = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        let (upto, end) = *limit.borrow_and_update();
        while position < upto {
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(File::open(spool)?),
            };
            let most = CHUNK.min(usize::try_from(upto - position).unwrap_or(CHUNK));
            let read = file.read_at(&mut buffer[..most], position)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            write_all(writer, &buffer[..read]).await?;
            position += read as u64;
        }
        if end {
            return Ok(());
        }
        if limit.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn write_all(writer: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = writer.writable().await?;
        match ready.try_io(|writer| Ok(rustix::io::write(writer.get_ref().as_fd(), bytes)?)) {
            Ok(written) => bytes = &bytes[written?..],
            Err(_would_block) => {}
        }
    }
    Ok(())
}

/// Digests a file that only grows, each byte once.
#[derive(Debug, Default)]
pub struct GrowingDigest {
    hasher: blake3::Hasher,
    position: u64,
}

impl GrowingDigest {
    /// Digest of the first `length` bytes.
    ///
    /// # Errors
    /// The file cannot be read, or has fewer bytes.
    pub fn digest(&mut self, path: &Path, length: u64) -> io::Result<Digest> {
        if length < self.position {
            *self = GrowingDigest::default();
        }
        if length > self.position {
            let file = File::open(path)?;
            let mut buffer = vec![0; 1 << 20];
            while self.position < length {
                let most = buffer.len().min(usize::try_from(length - self.position).unwrap_or(buffer.len()));
                let read = file.read_at(&mut buffer[..most], self.position)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.hasher.update(&buffer[..read]);
                self.position += read as u64;
            }
        }
        Ok(Digest(*self.hasher.finalize().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_file_has_the_digest_of_what_it_has_so_far() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool");
        let bytes: Vec<u8> = (0..3_000_000u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut growing = GrowingDigest::default();
        for length in [0, 1, 1_500_000, 3_000_000, 7] {
            let expected = Digest(*blake3::hash(&bytes[..length]).as_bytes());
            assert_eq!(growing.digest(&path, length as u64).unwrap(), expected, "{length}");
        }
        assert_eq!(growing.digest(&path, 3_000_001).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
