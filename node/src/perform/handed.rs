//! Decided output of an earlier stage, as the standard input of a program: copied out of the packs that
//! hold it, and checked against the digests that were voted on before the program may read a byte.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chameleon_core::names::JobId;
use chameleon_core::world::{Piece, Region};
use rustix::fs::{Mode, OFlags};

use crate::home::Home;

/// Bytes that are copied at once.
const CHUNK: usize = 256 * 1024;

/// One file that begins with the first byte of the first piece and ends with the last of the last. It lies
/// in `directory` under no name, and goes with the program.
///
/// # Errors
/// A piece is missing, or is not what was decided: a sentence that says which.
pub(super) fn open(home: &Home, job: JobId, pieces: &[Piece], directory: &Path) -> Result<OwnedFd, String> {
    let failed = |error: io::Error| format!("standard input from an earlier stage: {error}");
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
    let mut file = File::from(file);
    for piece in pieces {
        let lane = home.lane(piece.host, job, piece.lane);
        let pack = lane.join(format!("slot-{}", piece.stdout.slot.0)).join("out.pack");
        let name = || format!("the output of {} in lane {}", piece.execution, piece.lane);
        let is_decided = copy(&pack, piece.stdout, &mut file).map_err(|error| format!("{}: {error}", name()))?;
        if !is_decided {
            return Err(format!("{} is not what was decided any more", name()));
        }
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(file.into())
}

/// Copies a region; `false`: its bytes are others than those with its digest.
fn copy(pack: &Path, region: Region, to: &mut impl Write) -> io::Result<bool> {
    let (from, mut hasher) = (File::open(pack)?, blake3::Hasher::new());
    let (mut at, end) = (region.offset, region.offset + region.length);
    let mut buffer = vec![0; CHUNK];
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        from.read_exact_at(&mut buffer[..most], at)?;
        hasher.update(&buffer[..most]);
        to.write_all(&buffer[..most])?;
        at += most as u64;
    }
    Ok(*hasher.finalize().as_bytes() == region.digest.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::{Digest, SlotId};

    #[test]
    fn what_is_handed_over_is_what_was_decided_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let pack = directory.path().join("out.pack");
        std::fs::write(&pack, b"before,decided,after").unwrap();
        let region =
            Region { slot: SlotId(0), offset: 7, length: 7, digest: Digest(*blake3::hash(b"decided").as_bytes()) };
        let mut copied = Vec::new();
        assert!(copy(&pack, region, &mut copied).unwrap());
        assert_eq!(copied, b"decided");
        std::fs::write(&pack, b"before,DECIDED,after").unwrap();
        assert!(!copy(&pack, region, &mut Vec::new()).unwrap(), "a changed byte is noticed");
        std::fs::write(&pack, b"before").unwrap();
        assert!(copy(&pack, region, &mut Vec::new()).is_err(), "a missing one, too");
    }
}
