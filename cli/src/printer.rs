//! Decided output on its way from the packs to the person: verified against the digest that was
//! voted on before a byte of it is shown, and each standard error once.
//!
//! A piece is read twice, first to verify and then to print; the first reading leaves it in the page
//! cache. Printing while verifying would show bytes that nobody voted for.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::iter;
use std::path::PathBuf;

use chameleon_core::message::Release;
use chameleon_core::names::{Digest, ExecutionId, HostId, LaneId, SlotId, StageId, TaskId};
use chameleon_core::world::{Piece, Region};
use chameleon_node::bulk::frame::Pack;

use crate::failure::Failure;
use crate::packs::{Packs, Part, Stream};

const BUFFER: usize = 256 << 10;

/// Prints the decided output of one job.
pub struct Printer<O, E> {
    packs: Packs,
    out: O,
    err: E,
    /// The position after the last byte printed.
    position: u64,
    hashed: Option<Hashed>,
    opened: Option<Opened>,
    /// Of which tasks the standard error is out.
    told: BTreeSet<(StageId, TaskId)>,
    buffer: Vec<u8>,
}

/// The digest so far of an execution's output, so that a piece costs no reading of those before it.
struct Hashed {
    source: (HostId, LaneId, ExecutionId),
    length: u64,
    hasher: blake3::Hasher,
}

/// A pack that is open: the file itself, or what was fetched of it.
struct Opened {
    source: (HostId, LaneId, SlotId, Stream),
    file: File,
    /// First byte fetched and the one after the last; all of it if it is the file itself.
    has: (u64, u64),
}

/// Where an execution's output lies.
#[derive(Clone, Copy)]
struct Source {
    host: HostId,
    lane: LaneId,
    slot: SlotId,
    /// Its first byte in the pack.
    begins: u64,
    stderr: Option<Region>,
}

/// Bytes of a pack.
#[derive(Clone, Copy)]
struct Place {
    host: HostId,
    lane: LaneId,
    slot: SlotId,
    stream: Stream,
    offset: u64,
    length: u64,
}

impl<O: Write, E: Write> Printer<O, E> {
    pub fn new(packs: Packs, out: O, err: E) -> Self {
        let buffer = vec![0; BUFFER];
        Printer { packs, out, err, position: 0, hashed: None, opened: None, told: BTreeSet::new(), buffer }
    }

    /// The position after the last byte printed.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What was printed to.
    #[cfg(test)]
    pub fn into_inner(self) -> (O, E) {
        (self.out, self.err)
    }

    /// Prints a piece that continues what was printed before, from the first of those who have it that gives what was
    /// voted on.
    ///
    /// # Errors
    /// What nobody gives that was voted on; what cannot be read or written.
    pub fn print(&mut self, release: &Release) -> Result<(), Failure> {
        let first = Source {
            host: release.host,
            lane: release.lane,
            slot: release.slot,
            begins: release.begins,
            stderr: release.stderr,
        };
        let others = release.others.iter().map(|holder| Source {
            host: holder.host,
            lane: holder.lane,
            slot: holder.stdout.slot,
            begins: holder.stdout.offset,
            stderr: release.stderr.map(|_| holder.stderr),
        });
        let mut failure = None;
        for source in iter::once(first).chain(others) {
            match self.verify(release, source) {
                Ok(()) => return self.show(release, source),
                Err(why) => failure = failure.or(Some(why)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Whether a source has what was voted on, and what belongs to it.
    fn verify(&mut self, release: &Release, source: Source) -> Result<(), Failure> {
        if release.length > 0 {
            self.verify_output(release, source)?;
        }
        match self.untold_error(release, source) {
            None => Ok(()),
            Some((place, digest)) => {
                let mut hasher = blake3::Hasher::new();
                self.hash(place, &mut hasher)?;
                self.check(place, &hasher, digest)
            }
        }
    }

    fn show(&mut self, release: &Release, source: Source) -> Result<(), Failure> {
        if release.length > 0 {
            let Source { host, lane, slot, begins, .. } = source;
            let offset = begins + release.offset;
            self.copy(Place { host, lane, slot, stream: Stream::Out, offset, length: release.length })?;
            self.position = release.position + release.length;
        }
        let error = self.untold_error(release, source);
        if release.stderr.is_some() {
            self.told.insert((release.execution.stage, release.execution.task));
        }
        error.map_or(Ok(()), |(place, _)| self.copy(place))
    }

    /// The standard error of a source, if that of the task is not out.
    fn untold_error(&self, release: &Release, source: Source) -> Option<(Place, Digest)> {
        let Region { slot, offset, length, digest } = source.stderr.filter(|region| region.length > 0)?;
        let told = self.told.contains(&(release.execution.stage, release.execution.task));
        let place = Place { host: source.host, lane: source.lane, slot, stream: Stream::Err, offset, length };
        (!told).then_some((place, digest))
    }

    /// Prints, from the index, all that was not printed of the job's `length` bytes.
    ///
    /// # Errors
    /// As [`Printer::print`]; also if the index does not reach so far.
    pub fn print_rest(&mut self, length: u64) -> Result<(), Failure> {
        let mut begins = 0;
        for piece in self.packs.pieces()? {
            let piece = piece?;
            let end = begins + piece.stdout.length;
            self.print_piece(&piece, begins, end.min(length).max(begins))?;
            begins = end;
        }
        if self.position < length {
            let why = io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} of {length} bytes", self.position));
            return Err(Failure::Unreadable { what: "the decided output in", path: self.packs.job_directory(), why });
        }
        Ok(())
    }

    fn print_piece(&mut self, piece: &Piece, begins: u64, end: u64) -> Result<(), Failure> {
        let known = self.position.max(begins).min(end);
        self.print(&Release {
            position: known,
            host: piece.host,
            lane: piece.lane,
            execution: piece.execution,
            offset: known - begins,
            length: end - known,
            digest: piece.stdout.digest,
            slot: piece.stdout.slot,
            begins: piece.stdout.offset,
            stderr: Some(piece.stderr),
            others: piece.others.clone(),
        })
    }

    /// Digests the execution's output up to the end of this piece, and compares.
    fn verify_output(&mut self, release: &Release, from: Source) -> Result<(), Failure> {
        let source = (from.host, from.lane, release.execution);
        let end = release.offset + release.length;
        let fresh = || Hashed { source, length: 0, hasher: blake3::Hasher::new() };
        let fits = |hashed: &Hashed| hashed.source == source && hashed.length <= release.offset;
        let mut hashed = self.hashed.take().filter(fits).unwrap_or_else(fresh);
        let place = Place {
            host: from.host,
            lane: from.lane,
            slot: from.slot,
            stream: Stream::Out,
            offset: from.begins + hashed.length,
            length: end - hashed.length,
        };
        self.hash(place, &mut hashed.hasher)?;
        self.check(place, &hashed.hasher, release.digest)?;
        hashed.length = end;
        self.hashed = Some(hashed);
        Ok(())
    }

    fn check(&self, place: Place, hasher: &blake3::Hasher, voted: Digest) -> Result<(), Failure> {
        let found = Digest(*hasher.finalize().as_bytes());
        if found == voted { Ok(()) } else { Err(Failure::Altered { job: self.packs.job, path: self.path(place) }) }
    }

    fn hash(&mut self, place: Place, hasher: &mut blake3::Hasher) -> Result<(), Failure> {
        self.each_chunk(place, |_, chunk| {
            hasher.update(chunk);
            Ok(())
        })
    }

    fn copy(&mut self, place: Place) -> Result<(), Failure> {
        self.each_chunk(place, |printer, chunk| match place.stream {
            Stream::Out => {
                let written = printer.out.write_all(chunk).and_then(|()| printer.out.flush());
                written.map_err(|why| Failure::Output { what: "standard output", why })
            }
            // As in the shell, a program goes on, and its result stands, where nobody takes its complaints.
            Stream::Err => {
                let _ = printer.err.write_all(chunk).and_then(|()| printer.err.flush());
                Ok(())
            }
        })
    }

    fn each_chunk(
        &mut self,
        place: Place,
        mut act: impl FnMut(&mut Self, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = self.path(place);
        let unreadable = |why| Failure::Unreadable { what: "decided output in", path: path.clone(), why };
        let opened = self.open(place)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut part = Part::new(&opened.file, place.offset, place.length);
        while part.left() > 0 {
            match part.read(&mut buffer).map_err(unreadable)? {
                0 => return Err(unreadable(io::ErrorKind::UnexpectedEof.into())),
                count => act(self, &buffer[..count])?,
            }
        }
        self.buffer = buffer;
        self.opened = Some(opened);
        Ok(())
    }

    /// The pack with these bytes: the file itself on our own host, else a file without a name into which they are
    /// fetched, at the same place, instead of what was there before.
    fn open(&mut self, place: Place) -> Result<Opened, Failure> {
        let Place { host, lane, slot, stream, offset, length } = place;
        let source = (host, lane, slot, stream);
        let has =
            |opened: &Opened| opened.source == source && opened.has.0 <= offset && offset + length <= opened.has.1;
        if let Some(opened) = self.opened.take_if(|opened| has(opened)) {
            return Ok(opened);
        }
        let path = self.path(place);
        let unreadable = |why| Failure::Unreadable { what: "decided output in", path: path.clone(), why };
        if self.packs.is_own(host) {
            return Ok(Opened { source, file: File::open(&path).map_err(unreadable)?, has: (0, u64::MAX) });
        }
        let file = self.packs.scratch().map_err(unreadable)?;
        let pack = Pack { lane, slot, stream, length };
        match self.packs.fetch(host, &pack, offset, &file) {
            Ok(()) => Ok(Opened { source, file, has: (offset, offset + length) }),
            Err(why) => Err(Failure::Lost { job: self.packs.job, why }),
        }
    }

    fn path(&self, place: Place) -> PathBuf {
        self.packs.pack(place.host, place.lane, place.slot, place.stream)
    }
}
