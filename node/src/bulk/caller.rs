//! Asks hosts for bytes, over one stream to each, which is kept for the next question.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use chameleon_core::names::{Digest, HostId, JobId};

use super::BulkError;
use super::frame::{self, Answer, Ask, VERSION, Wish};
use super::roads::{Road, Roads};

/// A host that says nothing for so long is taken for gone.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 256 << 10;

/// Asks for the bytes of one job.
#[derive(Debug)]
pub struct Caller {
    roads: Roads,
    job: JobId,
    pass: Digest,
    streams: BTreeMap<HostId, Box<dyn Road>>,
    /// Bytes that came, over all hosts.
    received: u64,
}

impl Caller {
    #[must_use]
    pub fn new(roads: Roads, job: JobId, pass: Digest) -> Self {
        Caller { roads, job, pass, streams: BTreeMap::new(), received: 0 }
    }

    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Bytes that came so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Asks a host, and gives what comes to `take`, piece by piece, once `expect` has agreed to its length. Returns
    /// that length.
    ///
    /// # Errors
    /// See [`BulkError`]; `take` has had what came before. An error of `take` itself is `Unkept` without a path.
    pub fn ask(
        &mut self,
        host: HostId,
        wish: Wish,
        most: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), BulkError>,
    ) -> Result<u64, BulkError> {
        if let Some(stream) = self.streams.remove(&host) {
            // The desk may have closed it meanwhile; nothing has come then.
            match self.ask_over(stream, host, wish, most, take) {
                Err(BulkError::Cut { after: 0, .. }) => {}
                outcome => return outcome,
            }
        }
        let stream = self.roads.dial(host, PATIENCE).map_err(|source| BulkError::Unreachable { host, source })?;
        self.ask_over(stream, host, wish, most, take)
    }

    fn ask_over(
        &mut self,
        mut stream: Box<dyn Road>,
        host: HostId,
        wish: Wish,
        most: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), BulkError>,
    ) -> Result<u64, BulkError> {
        let cut = |after| move |source| BulkError::Cut { host, after, source };
        let ask = Ask { version: VERSION, job: self.job, pass: self.pass, wish };
        frame::write(&mut stream, &ask).map_err(cut(0))?;
        let answer = frame::read(&mut stream).map_err(cut(0))?;
        let length = match answer.ok_or(io::ErrorKind::UnexpectedEof.into()).map_err(cut(0))? {
            Answer::Refused(refusal) => {
                self.streams.insert(host, stream);
                return Err(BulkError::Refused { host, refusal });
            }
            Answer::Bytes(length) if length > most => return Err(BulkError::TooLong { host, length, most }),
            Answer::Bytes(length) => length,
        };
        let began = Instant::now();
        let (mut buffer, mut after) = (vec![0; BUFFER.min(usize::try_from(length).unwrap_or(BUFFER))], 0);
        while after < length {
            let wanted = buffer.len().min(usize::try_from(length - after).unwrap_or(BUFFER));
            let count = stream.read(&mut buffer[..wanted]).map_err(cut(after))?;
            if count == 0 {
                return Err(cut(after)(io::ErrorKind::UnexpectedEof.into()));
            }
            after += count as u64;
            self.received += count as u64;
            take(&buffer[..count])?;
        }
        self.roads.note_pace(host, length, began.elapsed());
        self.streams.insert(host, stream);
        Ok(length)
    }

    /// What a host has that is small enough for memory.
    ///
    /// # Errors
    /// See [`BulkError`].
    pub fn whole(&mut self, host: HostId, wish: Wish, most: u64) -> Result<Vec<u8>, BulkError> {
        let mut bytes = Vec::new();
        self.ask(host, wish, most, &mut |piece| {
            bytes.extend(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// All that lanes printed on a host.
    ///
    /// # Errors
    /// See [`BulkError`].
    pub fn packs(&mut self, host: HostId) -> Result<Vec<frame::Pack>, BulkError> {
        let bytes = self.whole(host, Wish::Packs, 64 << 20)?;
        frame::decode(&bytes).map_err(|source| BulkError::Cut { host, after: bytes.len() as u64, source })
    }

    /// A part of what a slot printed, into a file at the same place.
    ///
    /// # Errors
    /// See [`BulkError`].
    pub fn output(
        &mut self,
        host: HostId,
        pack: &frame::Pack,
        offset: u64,
        file: &std::fs::File,
    ) -> Result<(), BulkError> {
        let frame::Pack { lane, slot, stream, length } = *pack;
        let mut at = offset;
        self.ask(host, Wish::Output { lane, slot, stream, offset, length }, length, &mut |piece| {
            std::os::unix::fs::FileExt::write_all_at(file, piece, at)
                .map_err(|source| BulkError::Unkept { path: std::env::temp_dir(), source })?;
            at += piece.len() as u64;
            Ok(())
        })?;
        Ok(())
    }
}
