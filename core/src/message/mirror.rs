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
    /// any more. Said again when the link comes up, until it is answered by `CopyMessage::Copy`.
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

/// Why the copy of what an ARMOR saves is of no use to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Unmirrored {
    /// Neither this life nor the copy has all that earlier lives saved.
    #[n(0)]
    Forgotten,
    /// The Mirror lost what it had confirmed, with the power of its host. A life that begins has all of it.
    #[n(1)]
    Behind,
}

/// To an SM or a Voter that has a Mirror, from that Mirror.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CopyMessage {
    /// Mirror → SM, Voter: `count` records are here, and there were once `needed`; these are those from number `first` on.
    /// In parts, if they are many. Answers `MirrorMessage::Open`; said again when the link comes up.
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
        #[n(4)]
        needed: u64,
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
