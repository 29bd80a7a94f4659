//! Gets bytes from whichever host has them, checks them while they arrive, and keeps them whole or not at all.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use chameleon_core::names::{Digest, HostId, LaneId};
use chameleon_core::world::Region;
use rustix::fs::FlockOperation;

use super::BulkError;
use super::caller::Caller;
use super::frame::{Stream, Wish};
use crate::files::blobs::Blobs;

/// How often all hosts are asked, and how long is waited in between: a daemon that died is back within that time.
const ROUNDS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// Asks one host after the other until one attempt succeeds; again, while one may be back in a moment.
///
/// # Errors
/// What the last round brought; at once, what was not the host's fault.
pub fn from_any<T>(hosts: &[HostId], mut attempt: impl FnMut(HostId) -> Result<T, BulkError>) -> Result<T, BulkError> {
    let mut errors = vec![BulkError::Nowhere];
    for round in 0..ROUNDS {
        if round > 0 {
            thread::sleep(PAUSE);
        }
        errors.clear();
        for &host in hosts {
            match attempt(host) {
                Ok(done) => return Ok(done),
                Err(error @ BulkError::Unkept { .. }) => return Err(error),
                Err(error) => errors.push(error),
            }
        }
        if !errors.iter().any(BulkError::may_pass) {
            break;
        }
    }
    match errors.len() {
        0 => Err(BulkError::Nowhere),
        1 => Err(errors.remove(0)),
        _ => Err(BulkError::Everywhere(errors)),
    }
}

/// Gets a content of at most `most` bytes into the store, unless it is there. Whoever else on this host wants it at the
/// same time waits for the same transfer.
///
/// # Errors
/// See [`BulkError`].
pub fn blob(caller: &mut Caller, hosts: &[HostId], digest: Digest, most: u64, blobs: &Blobs) -> Result<(), BulkError> {
    keep(blobs, digest, hosts, |arriving, host| {
        let from = arriving.hasher.count();
        arriving.go_on(caller, host, Wish::Blob { digest, from }, most.saturating_sub(from))
    })
}

/// Gets what a program printed into the store of contents, from whichever host has it: a host, the lane there, and the
/// region of that lane's output. They are alike.
///
/// # Errors
/// See [`BulkError`].
pub fn output(caller: &mut Caller, holders: &[(HostId, LaneId, Region)], blobs: &Blobs) -> Result<(), BulkError> {
    let Some((.., Region { digest, length, .. })) = holders.first().copied() else { return Err(BulkError::Nowhere) };
    let hosts: Vec<HostId> = holders.iter().map(|(host, ..)| *host).collect();
    keep(blobs, digest, &hosts, |arriving, host| {
        let holder = holders.iter().find(|(holder, ..)| *holder == host);
        let (_, lane, region) = holder.copied().ok_or(BulkError::Nowhere)?;
        let (from, stream) = (arriving.hasher.count(), Stream::Out);
        let (offset, length) = (region.offset + from, length.saturating_sub(from));
        arriving.go_on(caller, host, Wish::Output { lane, slot: region.slot, stream, offset, length }, length)
    })
}

/// Keeps a content whole once one of the hosts gave it, unless it is there.
fn keep(
    blobs: &Blobs,
    digest: Digest,
    hosts: &[HostId],
    mut ask: impl FnMut(&mut Arriving, HostId) -> Result<(), BulkError>,
) -> Result<(), BulkError> {
    if blobs.holds(digest) {
        return Ok(());
    }
    let Some(mut arriving) = Arriving::begin(blobs, digest)? else { return Ok(()) };
    match from_any(hosts, |host| ask(&mut arriving, host)) {
        Ok(()) => arriving.finish(&blobs.path(digest)),
        // What came before a cut is kept for the next attempt; what cannot be finished here goes.
        Err(error) => {
            if !error.may_pass() {
                let _ = fs::remove_file(&arriving.path);
            }
            Err(error)
        }
    }
}

/// A content on its way. The file is locked by whoever writes it, and has a name that the next one finds again.
struct Arriving {
    path: PathBuf,
    file: File,
    digest: Digest,
    hasher: blake3::Hasher,
}

impl Arriving {
    /// Takes the file over, with what an earlier attempt left in it; `None`: the content has arrived meanwhile.
    fn begin(blobs: &Blobs, digest: Digest) -> Result<Option<Arriving>, BulkError> {
        let path = blobs.path(digest).with_extension("arriving");
        let unkept = |source| BulkError::Unkept { path: path.clone(), source };
        loop {
            let mut file =
                File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(unkept)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| unkept(error.into()))?;
            if blobs.holds(digest) {
                remove_if_same(&path, &file);
                return Ok(None);
            }
            if is_at(&path, &file) {
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(&mut file).map_err(unkept)?;
                return Ok(Some(Arriving { path, file, digest, hasher }));
            }
        }
    }

    /// Asks a host for what is missing.
    fn go_on(&mut self, caller: &mut Caller, host: HostId, wish: Wish, most: u64) -> Result<(), BulkError> {
        let from = self.hasher.count();
        let unkept = |path: &Path, source| BulkError::Unkept { path: path.to_owned(), source };
        self.file.seek(SeekFrom::Start(from)).map_err(|source| unkept(&self.path, source))?;
        let (file, hasher, path) = (&mut self.file, &mut self.hasher, &self.path);
        caller.ask(host, wish, most, &mut |piece| {
            file.write_all(piece).map_err(|source| unkept(path, source))?;
            hasher.update(piece);
            Ok(())
        })?;
        if self.hasher.finalize().as_bytes() == &self.digest.0 {
            return Ok(());
        }
        // Any byte of it may be the wrong one.
        self.hasher.reset();
        self.file.set_len(0).map_err(|source| unkept(&self.path, source))?;
        Err(BulkError::Wrong { host, digest: self.digest })
    }

    fn finish(self, target: &Path) -> Result<(), BulkError> {
        fs::rename(&self.path, target).map_err(|source| BulkError::Unkept { path: self.path, source })
    }
}

fn is_at(path: &Path, file: &File) -> bool {
    let inode = |data: fs::Metadata| (data.dev(), data.ino());
    let (there, ours) = (fs::metadata(path).map(inode), file.metadata().map(inode));
    matches!((there, ours), (Ok(there), Ok(ours)) if there == ours)
}

fn remove_if_same(path: &Path, file: &File) {
    if is_at(path, file) {
        let _ = fs::remove_file(path);
    }
}

/// Gets the spooled standard input of a job up to `length` bytes: what is there already is not asked for again.
///
/// # Errors
/// See [`BulkError`].
pub fn spool(caller: &mut Caller, origin: HostId, length: u64, path: &Path) -> Result<(), BulkError> {
    let unkept = |source| BulkError::Unkept { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(unkept)?;
    }
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(unkept)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| unkept(error.into()))?;
    from_any(&[origin], |host| {
        let offset = file.seek(SeekFrom::End(0)).map_err(unkept)?;
        if offset >= length {
            return Ok(());
        }
        let left = length - offset;
        caller.ask(host, Wish::Spool { offset, length: left }, left, &mut |piece| {
            file.write_all(piece).map_err(unkept)
        })?;
        Ok(())
    })
}
