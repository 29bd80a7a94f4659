//! Where the bytes of a job lie: everything is a region of the pack of the slot that made it, on the host where that
//! ran. Packs of this command's own host are read where they are; of the others, what is needed is fetched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chameleon_core::names::{HostId, JobId, LaneId, SlotId};
use chameleon_core::world::Piece;
use chameleon_node::bulk::frame::{Pack, Wish};
use chameleon_node::bulk::{BulkError, Caller, Roads, shelf};
use chameleon_node::home::Home;

pub use chameleon_node::bulk::Stream;

use crate::failure::Failure;

/// The longest index, and the most that is fetched of a pack only to look for something in it.
const LONGEST_INDEX: u64 = 1 << 30;
const LOOKED_THROUGH: u64 = 64 << 20;

/// The packs of one job.
pub struct Packs {
    roads: Roads,
    home: Arc<Home>,
    own: HostId,
    pub job: JobId,
    caller: Caller,
}

impl Packs {
    /// Other hosts are asked with the pass that this host keeps: that of a job that was submitted, or is served, here.
    ///
    /// # Errors
    /// The home is none.
    pub fn new(home: &Path, job: JobId) -> Result<Self, Failure> {
        let home = Arc::new(Home::open(home).map_err(|why| Failure::System(why.to_string()))?);
        let own = home.own_host();
        let pass = shelf::pass_of(&home, own, job).unwrap_or_default();
        let roads = Roads::of_command(home.clone()).map_err(|why| Failure::System(why.to_string()))?;
        let caller = Caller::new(roads.clone(), job, pass);
        Ok(Packs { roads, home, own, job, caller })
    }

    /// Where standard input is spooled.
    pub fn spool(&self) -> PathBuf {
        self.home.spool(self.own, self.job)
    }

    /// What this host keeps of the job.
    pub fn job_directory(&self) -> PathBuf {
        self.home.job_on(self.own, self.job)
    }

    /// What one slot of a lane printed, on its host.
    pub fn pack(&self, host: HostId, lane: LaneId, slot: SlotId, stream: Stream) -> PathBuf {
        self.home.lane(host, self.job, lane).join(format!("slot-{}", slot.0)).join(stream.file())
    }

    /// Whether a host's packs can be read where they are.
    pub fn is_own(&self, host: HostId) -> bool {
        host == self.own
    }

    /// Fetches a part of another host's pack into a file, at the same place.
    ///
    /// # Errors
    /// See [`BulkError`].
    pub fn fetch(&mut self, host: HostId, pack: &Pack, offset: u64, into: &File) -> Result<(), BulkError> {
        self.caller.output(host, pack, offset, into)
    }

    /// A file without a name that is gone when it is closed.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn scratch(&self) -> io::Result<File> {
        let directory = self.job_directory();
        fs::create_dir_all(&directory)?;
        let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
        Ok(rustix::fs::open(directory, flags, rustix::fs::Mode::from_raw_mode(0o600))?.into())
    }

    /// The directory of what the job's executions wrote on this host.
    pub fn blobs(&self) -> PathBuf {
        self.job_directory().join("blobs")
    }

    /// All hosts that can be asked, this one first.
    pub fn hosts(&self) -> Vec<HostId> {
        let mut hosts = self.roads.hosts();
        hosts.sort_by_key(|host| (*host != self.own, *host));
        hosts
    }

    /// All that lanes printed, on all hosts that answer.
    pub fn all(&mut self) -> BTreeMap<HostId, Vec<Pack>> {
        let mut all = BTreeMap::from([(self.own, shelf::packs(&self.job_directory()))]);
        for host in self.hosts().into_iter().filter(|host| *host != self.own) {
            if let Ok(packs) = self.caller.packs(host) {
                all.insert(host, packs);
            }
        }
        all
    }

    /// A whole pack, wherever it is.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn open(&mut self, host: HostId, pack: &Pack) -> Result<File, Failure> {
        let path = self.pack(host, pack.lane, pack.slot, pack.stream);
        let unreadable = |why| Failure::Unreadable { what: "what a lane printed in", path: path.clone(), why };
        if self.is_own(host) {
            return File::open(&path).map_err(unreadable);
        }
        let file = self.scratch().map_err(unreadable)?;
        let fetched = self.fetch(host, pack, 0, &file);
        fetched.map(|()| file).map_err(|why| Failure::Lost { job: self.job, why })
    }

    /// The outputs of a lane, on whichever hosts it ran, as far as they can be had.
    pub fn outputs_of(&mut self, lane: LaneId) -> Vec<File> {
        let mut files = Vec::new();
        for (host, packs) in self.all() {
            for pack in packs.into_iter().filter(|pack| pack.lane == lane && pack.stream == Stream::Out) {
                if self.is_own(host) || pack.length <= LOOKED_THROUGH {
                    files.extend(self.open(host, &pack));
                }
            }
        }
        files
    }

    /// The pieces of decided output in the order in which they are printed; none if the job has not kept any. The
    /// index is on the host where the job's SM was when it ended.
    pub fn index(&mut self) -> Result<Option<Vec<Piece>>, Failure> {
        let path = self.home.index(self.own, self.job);
        let unreadable = |why| Failure::Unreadable { what: "the index of the output", path: path.clone(), why };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                let others: Vec<HostId> = self.hosts().into_iter().filter(|host| *host != self.own).collect();
                let fetched = others.iter().find_map(|host| self.caller.whole(*host, Wish::Index, LONGEST_INDEX).ok());
                let Some(bytes) = fetched else { return Ok(None) };
                bytes
            }
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
