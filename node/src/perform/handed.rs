//! Decided output of an earlier stage, as the standard input of a program: copied out of the packs that
//! hold it, and checked against the digests that were voted on before the program may read a byte.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chameleon_core::world::{Piece, Region};
use rustix::fs::{Mode, OFlags};

use super::slots::Inputs;
use crate::bulk::{Caller, fetch};
use crate::files::blobs::Blobs;

/// Bytes that are copied at once.
const CHUNK: usize = 256 * 1024;

/// One file that begins with the first byte of the first piece and ends with the last of the last. It lies
/// in the slot's directory under no name, and goes with the program.
///
/// # Errors
/// A piece is missing, or is not what was decided: a sentence that says which.
pub(super) fn open(inputs: &Inputs, pieces: &[Piece]) -> Result<OwnedFd, String> {
    let failed = |error: io::Error| format!("standard input from an earlier stage: {error}");
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(&inputs.directory, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(file.map_err(|error| failed(error.into()))?);
    let mut caller = Caller::new(inputs.roads.clone(), inputs.job, inputs.pass);
    for piece in pieces.iter().filter(|piece| piece.stdout.length > 0) {
        append(inputs, &mut caller, piece, &mut file)
            .map_err(|why| format!("the output of {} in lane {}: {why}", piece.execution, piece.lane))?;
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(file.into())
}

/// Out of a pack of this host if it is there, else out of a copy of another host's, which is fetched once.
fn append(inputs: &Inputs, caller: &mut Caller, piece: &Piece, file: &mut File) -> Result<(), String> {
    let (home, Inputs { host, job, .. }) = (inputs.roads.home(), inputs);
    let holders = piece.holders_alike();
    let begins = file.stream_position().map_err(|error| error.to_string())?;
    let mut spoilt = None;
    for (_, lane, region) in holders.iter().filter(|(holder, ..)| holder == host) {
        let pack = home.lane(*host, *job, *lane).join(format!("slot-{}", region.slot.0)).join("out.pack");
        match copy(&pack, *region, file) {
            Ok(true) => return Ok(()),
            Ok(false) => spoilt = Some("it is not what was decided any more".to_owned()),
            Err(error) => spoilt = Some(error.to_string()),
        }
        file.set_len(begins).and_then(|()| file.seek(SeekFrom::Start(begins))).map_err(|error| error.to_string())?;
    }
    let others: Vec<_> = holders.into_iter().filter(|(holder, ..)| holder != host).collect();
    if let (Some(why), true) = (spoilt, others.is_empty()) {
        return Err(why);
    }
    let blobs = Blobs::open(&home.job_on(*host, *job).join("blobs")).map_err(|error| format!("failed to {error}"))?;
    fetch::output(caller, &others, &blobs).map_err(|error| error.to_string())?;
    let fetched = Region { offset: 0, ..piece.stdout };
    match copy(&blobs.path(piece.stdout.digest), fetched, file) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the copy of it on this host is not what was decided any more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
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
    use std::io::Read;
    use std::sync::Arc;

    use super::*;
    use crate::bulk::{Desk, Roads, shelf};
    use crate::home::Home;
    use chameleon_core::names::{Attempt, Digest, ExecutionId, HostId, JobId, LaneId, SlotId, StageId, TaskId};
    use chameleon_core::world::Holder;

    const JOB: JobId = JobId(1);
    const PASS: Digest = Digest([9; 32]);

    /// What is handed over when these hosts, from the first on, have these packs; asked on that host.
    fn handed(host: u32, packs: &[(u32, &[u8])]) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::create(&directory.path().join("home")).unwrap());
        let stdout =
            Region { slot: SlotId(0), offset: 7, length: 7, digest: Digest(*blake3::hash(b"decided").as_bytes()) };
        let lane = |host: u32| LaneId(u16::try_from(host).unwrap());
        let mut holders = Vec::new();
        for &(host, bytes) in packs {
            let id = HostId(host);
            home.make_host(id).unwrap();
            shelf::admit(&home, id, JOB, PASS).unwrap();
            Desk::new(&home, id).unwrap().open(&home, id).unwrap();
            let slot = home.lane(id, JOB, lane(host)).join("slot-0");
            std::fs::create_dir_all(&slot).unwrap();
            std::fs::write(slot.join("out.pack"), bytes).unwrap();
            holders.push(Holder { host: id, lane: lane(host), stdout, stderr: Region::default() });
        }
        let first = holders.remove(0);
        let execution = ExecutionId { stage: StageId(0), task: TaskId(0), attempt: Attempt::default() };
        let Holder { host: holder, lane, stdout, stderr } = first;
        let piece = Piece { host: holder, lane, execution, stdout, stderr, others: holders };
        let host = HostId(host);
        home.make_host(host).unwrap();
        let inputs = Inputs {
            roads: Roads::new(home, None),
            host,
            job: JOB,
            pass: PASS,
            directory: directory.path().to_owned(),
            mirror: None,
        };
        let mut bytes = Vec::new();
        File::from(open(&inputs, &[piece.clone(), piece])?).read_to_end(&mut bytes).unwrap();
        Ok(bytes)
    }

    /// Hosts, and what is in their packs.
    type Packs = &'static [(u32, &'static [u8])];

    #[test]
    fn what_is_handed_over_is_what_was_decided_or_nothing() {
        const RIGHT: &[u8] = b"before,decided,after";
        const WRONG: &[u8] = b"before,DECIDED,after";
        const SHORT: &[u8] = b"before";
        let table: [(&str, u32, Packs, bool); 7] = [
            ("it is here", 1, &[(1, RIGHT)], true),
            ("it is on another host", 2, &[(1, RIGHT)], true),
            ("a changed byte is noticed", 1, &[(1, WRONG)], false),
            ("a missing one, too", 1, &[(1, SHORT)], false),
            ("also on another host", 2, &[(1, WRONG)], false),
            ("another host has it as it was", 1, &[(1, WRONG), (2, RIGHT)], true),
            ("the next has it", 3, &[(1, SHORT), (2, WRONG), (4, RIGHT)], true),
        ];
        for (what, host, packs, is_there) in table {
            let handed = handed(host, packs);
            assert_eq!(handed.clone().ok(), is_there.then(|| b"decideddecided".to_vec()), "{what}: {handed:?}");
        }
    }
}
