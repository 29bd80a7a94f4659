//! Where the bytes of a job lie on this host, for those who may have them.
//!
//! Who knows the job's pass may: it was drawn by whoever submitted the job, and the FTM hands it, with the job, to the
//! hosts that serve it and to nobody else. A host that serves no lane of a job cannot read a byte of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chameleon_core::names::{Digest, HostId, JobId, LaneId, SlotId};

use super::frame::{Ask, Pack, Refusal, Stream, VERSION, Wish};
use crate::home::Home;

/// What this host keeps of jobs.
#[derive(Debug)]
pub struct Shelf {
    home: Home,
    host: HostId,
}

/// Bytes that were found.
#[derive(Debug)]
pub enum Found {
    /// A part of a file.
    Part {
        file: File,
        offset: u64,
        length: u64,
    },
    Whole(Vec<u8>),
}

impl Shelf {
    #[must_use]
    pub fn new(home: Home, host: HostId) -> Self {
        Shelf { home, host }
    }

    /// # Errors
    /// A [`Refusal`]: who asks may not have it, or it is not there.
    pub fn find(&self, ask: &Ask) -> Result<Found, Refusal> {
        if ask.version != VERSION {
            return Err(Refusal::Version(VERSION));
        }
        let job = self.home.job_on(self.host, ask.job);
        let pass = pass_of(&self.home, self.host, ask.job).ok_or(Refusal::Unknown)?;
        // In constant time: a digest of both is compared, which tells nothing about the pass.
        if blake3::hash(&pass.0) != blake3::hash(&ask.pass.0) {
            return Err(Refusal::Unknown);
        }
        match ask.wish {
            Wish::Blob { digest, from } => blob(&job, digest, from),
            Wish::Output { lane, slot, stream, offset, length } => {
                part(&self.slot(ask.job, lane, slot).join(stream.file()), offset, length)
            }
            Wish::Spool { offset, length } => part(&self.home.spool(self.host, ask.job), offset, length),
            Wish::Index => {
                let index = self.home.index(self.host, ask.job);
                let length = fs::metadata(&index).map_err(refusal)?.len();
                part(&index, 0, length)
            }
            Wish::Packs => {
                let packs = packs(&job);
                Ok(Found::Whole(minicbor::to_vec(packs).expect("writing to memory cannot fail")))
            }
        }
    }

    fn slot(&self, job: JobId, lane: LaneId, slot: SlotId) -> PathBuf {
        self.home.lane(self.host, job, lane).join(format!("slot-{}", slot.0))
    }
}

/// The file in a job's directory that holds its pass.
pub const PASS: &str = "pass";
/// Contents that are links to files of the user, which are read where they are.
pub const OFFERED: &str = "offered";

/// The pass of a job that is served here, or was submitted here.
#[must_use]
pub fn pass_of(home: &Home, host: HostId, job: JobId) -> Option<Digest> {
    let bytes = fs::read(home.job_on(host, job).join(PASS)).ok()?;
    Some(Digest(bytes.try_into().ok()?))
}

/// Notes on this host that a job is served here, so that its bytes can be asked for.
///
/// # Errors
/// Those of writing a file.
pub fn admit(home: &Home, host: HostId, job: JobId, pass: Digest) -> io::Result<()> {
    let directory = home.job_on(host, job);
    let path = directory.join(PASS);
    if pass_of(home, host, job) == Some(pass) {
        return Ok(());
    }
    fs::create_dir_all(&directory)?;
    let beside = directory.join(format!("{PASS}-{}", std::process::id()));
    fs::write(&beside, pass.0)?;
    fs::rename(beside, path)
}

fn blob(job: &Path, digest: Digest, from: u64) -> Result<Found, Refusal> {
    let places = ["blobs", OFFERED].map(|store| job.join(store).join(digest.to_string()));
    let path = places.iter().find(|path| path.exists()).ok_or(Refusal::Missing)?;
    let length = fs::metadata(path).map_err(refusal)?.len();
    part(path, from, length.saturating_sub(from))
}

fn part(path: &Path, offset: u64, length: u64) -> Result<Found, Refusal> {
    let file = File::open(path).map_err(refusal)?;
    let there = file.metadata().map_err(refusal)?.len();
    match offset.checked_add(length) {
        Some(end) if end <= there => Ok(Found::Part { file, offset, length }),
        _ => Err(Refusal::Missing),
    }
}

fn refusal(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::Missing,
        _ => Refusal::Unreadable(error.to_string()),
    }
}

/// All that lanes of a job printed, in order; empty outputs are left out.
#[must_use]
pub fn packs(job: &Path) -> Vec<Pack> {
    let entries = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &Path, prefix: &str| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
    let mut packs = Vec::new();
    for directory in entries(job) {
        let Some(lane) = number(&directory, "lane-").map(LaneId) else { continue };
        for slot in entries(&directory) {
            let Some(number) = number(&slot, "slot-").map(SlotId) else { continue };
            let length = |stream: Stream| fs::metadata(slot.join(stream.file())).map_or(0, |data| data.len());
            let pack = |stream| Pack { lane, slot: number, stream, length: length(stream) };
            packs.extend(Stream::ALL.map(pack).into_iter().filter(|pack| pack.length > 0));
        }
    }
    packs.sort();
    packs
}
