//! What a Mirror is told, and what it tells those whose records it has.

use minicbor::{Decode, Encode};

use crate::names::{HostId, Incarnation};

/// A record as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct RecordBytes(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

/// To a Mirror.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum MirrorMessage {
    /// SM, Voter → Mirror: this life begins, with so many records on its own host; nothing is taken of earlier lives
    /// any more. Answered by `CopyMessage::Copy`.
    #[n(0)]
    Open {
        #[n(0)]
        life: Incarnation,
        #[n(1)]
        have: u64,
        /// Where it lives.
        #[n(2)]
        host: HostId,
    },
    /// SM, Voter → Mirror: what was saved, from record number `first` on. Said again when the link comes up, until it
    /// is answered by `CopyMessage::Kept`.
    #[n(1)]
    Keep {
        #[n(0)]
        life: Incarnation,
        #[n(1)]
        first: u64,
        #[n(2)]
        records: Vec<RecordBytes>,
        /// Synced to the disk, and not only written.
        #[n(3)]
        to_disk: bool,
    },
}

/// To an SM or a Voter that has a Mirror, from that Mirror.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CopyMessage {
    /// Mirror → SM, Voter: `count` records are here; these are those from number `first` on. In parts, if they are many.
    /// Answers `MirrorMessage::Open`.
    #[n(0)]
    Copy {
        #[n(0)]
        life: Incarnation,
        #[n(1)]
        count: u64,
        #[n(2)]
        first: u64,
        #[n(3)]
        records: Vec<RecordBytes>,
    },
    /// Mirror → SM, Voter: all records with a number below `next` are here. Answers `MirrorMessage::Keep`.
    #[n(1)]
    Kept {
        #[n(0)]
        life: Incarnation,
        #[n(1)]
        next: u64,
    },
}
