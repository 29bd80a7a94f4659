//! What a slot's programs write to stdout or stderr: appended to one file, a *pack*, and hashed on the way.
//!
//! The output of one execution is a contiguous region of the pack.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chameleon_core::names::Digest;

/// Prefixes of the output are reported at every multiple of this many bytes.
pub const CHUNK: u64 = 256 * 1024;
/// A hasher's state is kept at every multiple of this many bytes, so that the digest of any prefix costs at most this
/// much reading.
const SNAPSHOT: u64 = 4 * 1024 * 1024;

/// A contiguous part of a pack: the output of one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// In the pack, in bytes.
    pub offset: u64,
    pub len: u64,
    pub digest: Digest,
}

/// The digest of a prefix of an execution's pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub len: u64,
    pub digest: Digest,
}

/// The pack of one output of a slot, and the region of it that is being written.
#[derive(Debug)]
pub struct Pack {
    file: File,
    start: u64,
    len: u64,
    hasher: blake3::Hasher,
    boundaries: Vec<Digest>,
    snapshots: Vec<blake3::Hasher>,
    buffer: Vec<u8>,
    flip: bool,
}

impl Pack {
    /// Opens the pack at `path`, creating it if need be; it continues where it ends.
    pub fn open(path: &Path) -> io::Result<Pack> {
        let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
        let start = file.metadata()?.len();
        Ok(Pack {
            file,
            start,
            len: 0,
            hasher: blake3::Hasher::new(),
            boundaries: Vec::new(),
            snapshots: Vec::new(),
            buffer: Vec::new(),
            flip: false,
        })
    }

    /// Begins the region of the next execution; `flip`: one bit of it is to be wrong.
    pub fn begin(&mut self, flip: bool) {
        self.start += self.len;
        self.flip = flip;
        self.forget();
    }

    fn forget(&mut self) {
        if self.len > 0 {
            self.hasher.reset();
        }
        self.len = 0;
        self.boundaries.clear();
        self.snapshots.clear();
    }

    /// Takes what is in the pipe, up to the next chunk boundary. `WouldBlock`: nothing is in it now.
    pub fn read(&mut self, pipe: &OwnedFd) -> io::Result<()> {
        if self.buffer.is_empty() {
            // Most programs of a large array write little: the first look is made with a small buffer.
            self.buffer.resize(4096, 0);
        }
        let most = usize::try_from(CHUNK - self.len % CHUNK).unwrap_or(usize::MAX).min(self.buffer.len());
        let read = rustix::io::read(pipe, &mut self.buffer[..most])?;
        self.append(read)?;
        if read == self.buffer.len() && read < CHUNK as usize {
            self.buffer.resize(CHUNK as usize, 0);
        }
        Ok(())
    }

    /// Takes everything that is in the pipe: to be called when nothing runs in the slot.
    pub fn drain(&mut self, pipe: &OwnedFd) -> io::Result<()> {
        loop {
            match self.read(pipe) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if std::mem::take(&mut self.flip) {
            // An empty output has no bit to flip: a byte that no program wrote stands for it.
            self.buffer[0] = 1;
            self.append(1)?;
        }
        Ok(())
    }

    fn append(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        if std::mem::take(&mut self.flip) {
            self.buffer[count / 2] ^= 1;
        }
        let bytes = &self.buffer[..count];
        self.file.write_all_at(bytes, self.start + self.len)?;
        self.hasher.update(bytes);
        self.len += count as u64;
        if self.len.is_multiple_of(CHUNK) {
            self.boundaries.push(Digest(self.hasher.finalize().into()));
        }
        if self.len.is_multiple_of(SNAPSHOT) {
            self.snapshots.push(self.hasher.clone());
        }
        Ok(())
    }

    /// How many bytes of the running or last execution have arrived.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.len
    }

    #[must_use]
    pub fn prefix(&self) -> Prefix {
        Prefix { len: self.len, digest: Digest(self.hasher.finalize().into()) }
    }

    #[must_use]
    pub fn region(&self) -> Region {
        let Prefix { len, digest } = self.prefix();
        Region { offset: self.start, len, digest }
    }

    /// The digest of the first `len` bytes of the running or last execution; `None`: it has not written so many.
    pub fn digest_at(&self, len: u64) -> io::Result<Option<Digest>> {
        if len > self.len {
            return Ok(None);
        }
        if len.is_multiple_of(CHUNK) && len > 0 {
            return Ok(Some(self.boundaries[(len / CHUNK) as usize - 1]));
        }
        let snapshots = (len / SNAPSHOT) as usize;
        let mut hasher = snapshots.checked_sub(1).map_or_else(blake3::Hasher::new, |last| self.snapshots[last].clone());
        let mut at = snapshots as u64 * SNAPSHOT;
        let mut buffer = vec![0; CHUNK as usize];
        while at < len {
            let most = buffer.len().min((len - at) as usize);
            self.file.read_exact_at(&mut buffer[..most], self.start + at)?;
            hasher.update(&buffer[..most]);
            at += most as u64;
        }
        Ok(Some(Digest(hasher.finalize().into())))
    }

    /// Takes the last execution's bytes out of the pack again.
    pub fn discard(&mut self) -> io::Result<()> {
        if self.len > 0 {
            self.file.set_len(self.start)?;
        }
        self.forget();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::PipeFlags;

    fn pipe() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe_with(PipeFlags::NONBLOCK).unwrap()
    }

    fn fill(pack: &mut Pack, bytes: &[u8]) {
        let (reader, writer) = pipe();
        let mut rest = bytes;
        while !rest.is_empty() {
            let some = rustix::io::write(&writer, &rest[..rest.len().min(50_000)]).unwrap();
            rest = &rest[some..];
            pack.drain(&reader).unwrap();
        }
        pack.drain(&reader).unwrap();
    }

    #[test]
    fn the_digest_of_any_prefix_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let mut pack = Pack::open(&folder.path().join("out.pack")).unwrap();
        let bytes: Vec<u8> = (0..SNAPSHOT + CHUNK + 777).map(|at| ((at * at) >> 7) as u8).collect();
        pack.begin(false);
        fill(&mut pack, b"an earlier execution");
        pack.begin(false);
        fill(&mut pack, &bytes);
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, SNAPSHOT, SNAPSHOT + 5, bytes.len() as u64] {
            let expected = Digest(blake3::hash(&bytes[..len as usize]).into());
            assert_eq!(pack.digest_at(len).unwrap(), Some(expected), "{len}");
        }
        assert_eq!(pack.digest_at(bytes.len() as u64 + 1).unwrap(), None);
        assert_eq!(pack.region().offset, 20);
    }

    #[test]
    fn a_discarded_execution_leaves_no_byte_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.pack");
        let mut pack = Pack::open(&path).unwrap();
        for (text, keep) in [("one", true), ("wrong", false), ("two", true)] {
            pack.begin(false);
            fill(&mut pack, text.as_bytes());
            if !keep {
                pack.discard().unwrap();
            }
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
    }

    #[test]
    fn a_flipped_output_differs_in_one_bit_and_an_empty_one_gains_a_byte() {
        let folder = tempfile::tempdir().unwrap();
        for (text, flipped) in [(&b"abc"[..], &b"acc"[..]), (b"", b"\x01")] {
            let path = folder.path().join(format!("{}.pack", text.len()));
            let mut pack = Pack::open(&path).unwrap();
            pack.begin(true);
            fill(&mut pack, text);
            assert_eq!(std::fs::read(&path).unwrap(), flipped);
            assert_eq!(pack.region().digest, Digest(blake3::hash(flipped).into()));
        }
    }
}
