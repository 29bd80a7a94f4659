//! What is asked of a host's desk, and what it answers: a length (4 bytes, little-endian) and a CBOR body. Behind the
//! answer `Bytes` come that many bytes, as they are.

use std::fmt;
use std::io::{self, Read, Write};

use chameleon_core::names::{Digest, JobId, LaneId, SlotId};
use minicbor::{Decode, Encode};

/// Version of what is asked and answered.
pub const VERSION: u16 = 1;
/// The longest body of a frame, in bytes.
pub const MAX_BODY: usize = 64 << 10;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ask {
    #[n(0)]
    pub version: u16,
    #[n(1)]
    pub job: JobId,
    /// Of the job's origin: whoever does not know it is told nothing.
    #[n(2)]
    pub pass: Digest,
    #[n(3)]
    pub wish: Wish,
}

/// Which bytes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Wish {
    /// A content, from an offset to its end.
    #[n(0)]
    Blob {
        #[n(0)]
        digest: Digest,
        #[n(1)]
        from: u64,
    },
    /// Of what a slot of a lane printed.
    #[n(1)]
    Output {
        #[n(0)]
        lane: LaneId,
        #[n(1)]
        slot: SlotId,
        #[n(2)]
        stream: Stream,
        #[n(3)]
        offset: u64,
        #[n(4)]
        length: u64,
    },
    /// Of the spooled standard input.
    #[n(2)]
    Spool {
        #[n(0)]
        offset: u64,
        #[n(1)]
        length: u64,
    },
    /// Where the decided output lies.
    #[n(3)]
    Index,
    /// Which outputs there are; answered by an encoded list of [`Pack`].
    #[n(4)]
    Packs,
}

/// One of the two outputs of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Stream {
    #[n(0)]
    Out,
    #[n(1)]
    Err,
}

impl Stream {
    pub const ALL: [Stream; 2] = [Stream::Out, Stream::Err];

    /// The name of the file that a slot keeps it in.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Stream::Out => "out.pack",
            Stream::Err => "err.pack",
        }
    }
}

/// What a slot of a lane has printed to one of its outputs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Pack {
    #[n(0)]
    pub lane: LaneId,
    #[n(1)]
    pub slot: SlotId,
    #[n(2)]
    pub stream: Stream,
    #[n(3)]
    pub length: u64,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// So many bytes follow.
    #[n(0)]
    Bytes(#[n(0)] u64),
    #[n(1)]
    Refused(#[n(0)] Refusal),
}

/// Why no bytes follow.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// There is no such job here, or the pass is not its own: which of the two is nobody's business.
    #[n(0)]
    Unknown,
    #[n(1)]
    Missing,
    /// As many are served as can be.
    #[n(2)]
    Busy,
    #[n(3)]
    Unreadable(#[n(0)] String),
    /// It speaks another version.
    #[n(4)]
    Version(#[n(0)] u16),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unknown => f.write_str("does not serve this job, or not to us"),
            Refusal::Missing => f.write_str("does not have it any more"),
            Refusal::Busy => f.write_str("serves as many as it can"),
            Refusal::Unreadable(why) => write!(f, "cannot read it: {why}"),
            Refusal::Version(version) => write!(f, "speaks version {version} of this, and not {VERSION}"),
        }
    }
}

/// Reads a body, which any bytes may be.
///
/// # Errors
/// It is not a whole `T` and nothing else.
pub fn decode<'b, T: Decode<'b, ()>>(body: &'b [u8]) -> io::Result<T> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut decoder = minicbor::Decoder::new(body);
    let read = decoder.decode().map_err(|error| invalid(error.to_string()))?;
    match body.len() - decoder.position() {
        0 => Ok(read),
        left => Err(invalid(format!("{left} bytes are left over"))),
    }
}

/// Reads a frame; `None`: the stream ended before it.
///
/// # Errors
/// Those of the stream; a frame that is too long, cut, or no `T`.
pub fn read<T: for<'b> Decode<'b, ()>>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut header = [0; 4];
    loop {
        match stream.read(&mut header[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.read_exact(&mut header[1..])?;
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_BODY {
        let why = format!("a frame of {length} bytes is longer than the {MAX_BODY} allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// Writes a frame.
///
/// # Errors
/// Those of the stream.
pub fn write(stream: &mut impl Write, frame: &impl Encode<()>) -> io::Result<()> {
    let body = minicbor::to_vec(frame).expect("writing to memory cannot fail");
    let header = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
    stream.write_all(&[&header, body.as_slice()].concat())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asks() -> Vec<Ask> {
        let (digest, lane, slot) = (Digest([7; 32]), LaneId(3), SlotId(9));
        let wishes = [
            Wish::Blob { digest, from: u64::MAX },
            Wish::Output { lane, slot, stream: Stream::Err, offset: 1, length: 2 },
            Wish::Spool { offset: 0, length: 5 },
            Wish::Index,
            Wish::Packs,
        ];
        wishes.map(|wish| Ask { version: VERSION, job: JobId(4), pass: digest, wish }).to_vec()
    }

    #[test]
    fn what_is_written_is_read_again_and_then_the_end() {
        let mut bytes = Vec::new();
        asks().iter().for_each(|ask| write(&mut bytes, ask).unwrap());
        let mut stream = bytes.as_slice();
        for ask in asks() {
            assert_eq!(read(&mut stream).unwrap(), Some(ask));
        }
        assert_eq!(read::<Ask>(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_frame_that_is_cut_or_too_long_is_refused() {
        let mut bytes = Vec::new();
        write(&mut bytes, &asks()[1]).unwrap();
        for length in 1..bytes.len() {
            assert!(read::<Ask>(&mut &bytes[..length]).is_err(), "{length}");
        }
        let long = (MAX_BODY as u32 + 1).to_le_bytes();
        assert_eq!(read::<Ask>(&mut long.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (decode::<Ask>(&bytes), decode::<Answer>(&bytes), decode::<Vec<Pack>>(&bytes));
            let _ = read::<Ask>(&mut bytes.as_slice());
        }
    }
}
