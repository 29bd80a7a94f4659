//! Where the bytes of a job lie: everything is a region of the pack of the slot that made it, on the host where that
//! ran. Packs of this command's own host are read where they are; of the others, what is needed is fetched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chameleon_core::names::{HostId, JobId, LaneId, SlotId};
use chameleon_core::world::{IndexEntry, Piece};
use chameleon_node::bulk::frame::{Pack, Wish};
use chameleon_node::bulk::{BulkError, Caller, Roads, shelf};
use chameleon_node::home::Home;
use chameleon_node::index::{self, Entries};

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

    /// The pieces of decided output in the order in which they are printed; none if the job has not kept any.
    ///
    /// # Errors
    /// The index cannot be had.
    pub fn pieces(&mut self) -> Result<impl Iterator<Item = Result<Piece, Failure>> + use<>, Failure> {
        let entries = self.index()?;
        let piece = |entry| match entry {
            Ok(IndexEntry::Piece(piece)) => Some(Ok(piece)),
            Ok(IndexEntry::Failed(..) | IndexEntry::Unclear(..) | IndexEntry::Whole) => None,
            Err(why) => Some(Err(why)),
        };
        Ok(entries.filter_map(piece))
    }

    /// What was kept of the job: by the host where its SM was when it ended. One where its SM was before has a part.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn index(&mut self) -> Result<impl Iterator<Item = Result<IndexEntry, Failure>> + use<>, Failure> {
        let path = self.home.index(self.own, self.job);
        let unreadable = |path: PathBuf| move |why| Failure::Unreadable { what: "the index of the output", path, why };
        let own = match File::open(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.and_then(whole),
        };
        let file = match own.map_err(unreadable(path.clone()))? {
            None => self.fetch_index().map_err(unreadable(path.clone()))?,
            own => own,
        };
        let entries = file.into_iter().flat_map(Entries::of);
        Ok(entries.map(move |entry| entry.map_err(unreadable(path.clone()))))
    }

    /// From the first host that has it.
    fn fetch_index(&mut self) -> io::Result<Option<File>> {
        let directory = self.job_directory();
        for host in self.hosts().into_iter().filter(|host| *host != self.own) {
            let file = self.scratch()?;
            let fetched = self.caller.ask(host, Wish::Index, LONGEST_INDEX, &mut |piece| {
                (&file).write_all(piece).map_err(|source| BulkError::Unkept { path: directory.clone(), source })
            });
            if let (Ok(_), Some(file)) = (fetched, whole(file)?) {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// An index to be read from its beginning; `None`: it is a part of one.
fn whole(mut file: File) -> io::Result<Option<File>> {
    if !index::is_whole(&file)? {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(Some(file))
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
