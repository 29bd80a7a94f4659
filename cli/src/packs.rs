//! Where the bytes of a job lie in a home. Everything is a region of the pack of the slot that made it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chameleon_core::names::{HostId, JobId, LaneId, SlotId};
use chameleon_core::world::Piece;

use crate::failure::Failure;

/// One of the two outputs of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// The packs of one job.
#[derive(Debug, Clone)]
pub struct Packs {
    home: PathBuf,
    pub job: JobId,
}

impl Packs {
    pub fn new(home: &Path, job: JobId) -> Self {
        Packs { home: home.to_owned(), job }
    }

    /// What the user's command and the job's ARMORs share of a job.
    pub fn job_directory(&self) -> PathBuf {
        self.home.join("jobs").join(self.job.to_string())
    }

    /// Where standard input is spooled.
    pub fn spool(&self) -> PathBuf {
        self.job_directory().join("stdin.spool")
    }

    /// What a lane keeps.
    pub fn lane(&self, host: HostId, lane: LaneId) -> PathBuf {
        let job = self.home.join("hosts").join(host.to_string()).join("jobs").join(self.job.to_string());
        job.join(format!("lane-{}", lane.0))
    }

    /// What one slot of a lane printed.
    pub fn pack(&self, host: HostId, lane: LaneId, slot: SlotId, stream: Stream) -> PathBuf {
        let name = match stream {
            Stream::Out => "out.pack",
            Stream::Err => "err.pack",
        };
        self.lane(host, lane).join(format!("slot-{}", slot.0)).join(name)
    }

    /// The directories of what the job's executions wrote, one a host.
    pub fn blobs(&self) -> Vec<PathBuf> {
        let hosts = std::fs::read_dir(self.home.join("hosts")).into_iter().flatten().flatten();
        hosts.map(|host| host.path().join("jobs").join(self.job.to_string()).join("blobs")).collect()
    }

    /// The packs of all that a lane printed, on whichever host it ran.
    pub fn outputs_of(&self, lane: LaneId) -> Vec<PathBuf> {
        let below = |directory: PathBuf| std::fs::read_dir(directory).into_iter().flatten().flatten();
        let hosts = below(self.home.join("hosts")).map(|host| host.path().join("jobs").join(self.job.to_string()));
        let slots = hosts.flat_map(|job| below(job.join(format!("lane-{}", lane.0))));
        let mut packs: Vec<PathBuf> =
            slots.map(|slot| slot.path().join("out.pack")).filter(|pack| pack.exists()).collect();
        packs.sort();
        packs
    }

    /// The pieces of decided output in the order in which they are printed; none if the job has
    /// not kept any.
    pub fn index(&self) -> Result<Option<Vec<Piece>>, Failure> {
        let path = self.job_directory().join("output.index");
        let unreadable = |why| Failure::Unreadable { what: "the index of the output", path: path.clone(), why };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(unreadable(why)),
        };
        let pieces = minicbor::decode(&bytes);
        pieces.map(Some).map_err(|why| unreadable(io::Error::new(io::ErrorKind::InvalidData, why.to_string())))
    }
}

/// Bytes of a file, from an offset on, at most so many.
pub struct Part<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl<'a> Part<'a> {
    pub fn new(file: &'a File, offset: u64, length: u64) -> Self {
        Part { file, offset, left: length }
    }

    /// Bytes not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
