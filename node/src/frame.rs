//! What travels on a link: frames, each a length (4 bytes, little-endian) and a CBOR body.
//!
//! Whatever comes from outside is decoded here, by a pure function that any bytes may be given to.

use chameleon_core::message::Message;
use chameleon_core::names::{ArmorName, Incarnation};
use minicbor::{Decode, Encode};

/// Version of everything that is said on links.
pub const VERSION: u16 = 1;
/// The longest body of a frame, in bytes.
pub const MAX_BODY: usize = 64 << 20;
const HEADER: usize = 4;

/// One thing said on a link.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Frame {
    /// The sender's first. Answered by `Welcome`.
    #[n(0)]
    Hello {
        #[n(0)]
        from: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        version: u16,
    },
    /// The only frame that goes against the link's direction.
    #[n(1)]
    Welcome {
        #[n(0)]
        incarnation: Incarnation,
    },
    #[n(2)]
    Message(#[n(0)] Message),
    /// The daemon's, instead of a `Hello`: with it comes a connection from another machine.
    #[n(3)]
    Passed,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {length} bytes is longer than the {MAX_BODY} allowed")]
    TooLong { length: usize },
    #[error("a frame cannot be read: {why}")]
    Unreadable { why: String },
}

/// Appends a frame.
///
/// # Errors
/// [`FrameError::TooLong`]; nothing was appended.
pub fn encode(frame: &Frame, into: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = into.len();
    into.extend([0; HEADER]);
    minicbor::encode(frame, &mut *into).expect("writing to memory cannot fail");
    let length = into.len() - start - HEADER;
    if length > MAX_BODY {
        into.truncate(start);
        return Err(FrameError::TooLong { length });
    }
    into[start..start + HEADER].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}

/// Reads the first frame of `bytes` and says how many bytes it took; `None`: more are needed.
///
/// # Errors
/// The bytes will never become a frame, whatever follows.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_le_bytes(*header) as usize;
    if length > MAX_BODY {
        return Err(FrameError::TooLong { length });
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let mut decoder = minicbor::Decoder::new(body);
    let frame = decoder.decode().map_err(|error| FrameError::Unreadable { why: error.to_string() })?;
    if decoder.position() != length {
        return Err(FrameError::Unreadable { why: format!("{} bytes are left over", length - decoder.position()) });
    }
    Ok(Some((frame, HEADER + length)))
}

#[cfg(test)]
mod tests {
    use chameleon_core::message::{DaemonMessage, ExecutionMessage, FtmMessage, Pulse, Query};
    use chameleon_core::names::{HostId, JobId, Term};
    use proptest::prelude::*;

    use super::*;

    fn frames() -> Vec<Frame> {
        let (job, term) = (JobId(u64::MAX), Term(3));
        vec![
            Frame::Hello { from: ArmorName::Daemon(HostId(1)), incarnation: Incarnation(2), version: VERSION },
            Frame::Welcome { incarnation: Incarnation(7) },
            Frame::Message(Pulse { beat: 1 << 40 }.into()),
            Frame::Message(DaemonMessage::Clean { term, job }.into()),
            Frame::Message(FtmMessage::Ask(Query::Events { job: Some(job), from: 9 }).into()),
            Frame::Message(ExecutionMessage::Feed { upto: 4096, end: true }.into()),
        ]
    }

    proptest! {
        #[test]
        fn frames_arrive_however_the_bytes_are_cut(picked in proptest::collection::vec(0usize..6, 1..20), cut in 1usize..40) {
            let sent: Vec<Frame> = picked.iter().map(|&index| frames()[index].clone()).collect();
            let mut bytes = Vec::new();
            sent.iter().for_each(|frame| encode(frame, &mut bytes).unwrap());
            let (mut buffer, mut received) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some((frame, used)) = decode(&buffer).unwrap() {
                    received.push(frame);
                    buffer.drain(..used);
                }
            }
            prop_assert_eq!(received, sent);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
            framed.extend(bytes);
            let _ = decode(&framed);
        }

        #[test]
        fn a_changed_byte_never_makes_it_panic(index in 0usize..6, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = Vec::new();
            encode(&frames()[index], &mut bytes).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_it_is_waited_for() {
        let bytes = (MAX_BODY as u32 + 1).to_le_bytes();
        assert_eq!(decode(&bytes), Err(FrameError::TooLong { length: MAX_BODY + 1 }));
    }

    #[test]
    fn left_over_bytes_in_a_frame_are_refused() {
        let mut bytes = Vec::new();
        encode(&frames()[1], &mut bytes).unwrap();
        bytes.push(0);
        bytes[0] += 1;
        assert!(matches!(decode(&bytes), Err(FrameError::Unreadable { .. })));
    }
}
