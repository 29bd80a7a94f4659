//! A journal as bytes: a head, then records. Decoding is a pure function that any bytes may be given to.
//!
//! ```text
//! head     "chameleon journal" (17)  version (1)  digest of the boot (16)
//! record   mark (4)  length (4)  durable (8)  checksum (8)  body (length)
//! body     tag (1): append, put or delete;  for the latter two: length of the key (4), key;  the rest is the record
//! ```
//!
//! Numbers are little-endian. `durable` is how many bytes of the journal were known to be on disk when
//! the record was written. The checksum is the beginning of BLAKE3 over length, durable and body.

use chameleon_core::shell::{Place, Saved};

/// Version of this format.
pub const VERSION: u8 = 1;
const NAME: &[u8; 17] = b"chameleon journal";
/// Length of the head.
pub const HEAD: usize = NAME.len() + 1 + 16;
const MARK: [u8; 4] = [0xc4, b'r', b'e', b'c'];
const RECORD_HEAD: usize = 4 + 4 + 8 + 8;

const APPEND: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Which boot of the host a journal was written in.
pub type Boot = [u8; 16];

/// Why bytes are no journal. Positions count from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it does not begin as a journal does")]
    NoJournal,
    #[error("it was written by a newer Chameleon (format {found}, this one knows {VERSION})")]
    Newer { found: u8 },
    #[error("it is damaged at byte {offset}, and there are good records behind that")]
    Middle { offset: usize },
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    pub boot: Boot,
    pub records: Vec<Saved>,
    /// Length up to the end of the last good record. What is behind it was never confirmed to anybody.
    pub length: usize,
}

/// The beginning of every journal.
#[must_use]
pub fn encode_head(boot: Boot) -> Vec<u8> {
    [&NAME[..], &[VERSION], &boot].concat()
}

/// Appends a record.
///
/// # Panics
/// If the record is longer than 4 GiB.
pub fn encode(saved: &Saved, durable: u64, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend(MARK);
    into.extend([0; RECORD_HEAD - MARK.len()]);
    encode_body(saved, into);
    let (head, body) = into[start..].split_at_mut(RECORD_HEAD);
    let length = u32::try_from(body.len()).expect("no record is longer than 4 GiB");
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[8..16].copy_from_slice(&durable.to_le_bytes());
    let sum = checksum(&head[4..16], body);
    head[16..].copy_from_slice(&sum);
}

fn encode_body(saved: &Saved, into: &mut Vec<u8>) {
    let (tag, key) = match &saved.place {
        Place::Append => (APPEND, None),
        Place::Put(key) => (PUT, Some(key)),
        Place::Delete(key) => (DELETE, Some(key)),
    };
    into.push(tag);
    if let Some(key) = key {
        into.extend((key.len() as u32).to_le_bytes());
        into.extend(key.as_bytes());
    }
    into.extend(&saved.bytes);
}

/// Reads a whole journal, written in this or an earlier boot of the host.
///
/// A last record that was never finished is left out: nothing was confirmed that stood on it. After a
/// loss of power that holds for everything that was not yet known to be on disk.
///
/// # Errors
/// See [`Damage`]: something is missing that may have been confirmed.
pub fn decode(bytes: &[u8], this_boot: Boot) -> Result<Contents, Damage> {
    let Some(boot) = decode_head(bytes)? else { return Ok(Contents::default()) };
    let mut contents = Contents { boot, records: Vec::new(), length: HEAD };
    while let Some(record) = decode_record(&bytes[contents.length..]) {
        contents.records.push(record.saved);
        contents.length += record.length;
    }
    match later_record(&bytes[contents.length..]) {
        Some(later) if boot == this_boot || later.durable > contents.length as u64 => {
            Err(Damage::Middle { offset: contents.length })
        }
        Some(_) | None => Ok(contents),
    }
}

/// `None`: the file was never finished being made.
fn decode_head(bytes: &[u8]) -> Result<Option<Boot>, Damage> {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        let begun = NAME.iter().zip(bytes).all(|(expected, found)| expected == found);
        return if begun { Ok(None) } else { Err(Damage::NoJournal) };
    };
    let (name, rest) = head.split_at(NAME.len());
    match rest[0] {
        _ if name != NAME => Err(Damage::NoJournal),
        VERSION => Ok(rest[1..].try_into().ok()),
        found => Err(Damage::Newer { found }),
    }
}

struct Record {
    saved: Saved,
    durable: u64,
    /// Of head and body.
    length: usize,
}

/// The record at the beginning of these bytes, if it is whole and good.
fn decode_record(bytes: &[u8]) -> Option<Record> {
    let (head, rest) = bytes.split_first_chunk::<RECORD_HEAD>()?;
    let length = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let body = rest.get(..length)?;
    if head[..4] != MARK || head[16..] != checksum(&head[4..16], body) {
        return None;
    }
    let durable = u64::from_le_bytes(head[8..16].try_into().ok()?);
    Some(Record { saved: decode_body(body)?, durable, length: RECORD_HEAD + length })
}

fn decode_body(body: &[u8]) -> Option<Saved> {
    let (&tag, rest) = body.split_first()?;
    if tag == APPEND {
        return Some(Saved { place: Place::Append, bytes: rest.to_vec() });
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (key, bytes) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let key = String::from_utf8(key.to_vec()).ok()?;
    let place = match tag {
        PUT => Place::Put(key),
        DELETE => Place::Delete(key),
        _ => return None,
    };
    Some(Saved { place, bytes: bytes.to_vec() })
}

/// The last good record anywhere behind a bad place: of all of them it claims the most to be on disk.
fn later_record(bytes: &[u8]) -> Option<Record> {
    let starts = bytes.windows(MARK.len()).enumerate().rev().filter(|(_, window)| *window == MARK);
    starts.skip_while(|&(at, _)| at == 0).find_map(|(at, _)| decode_record(&bytes[at..]))
}

fn checksum(head: &[u8], body: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(body);
    *hasher.finalize().as_bytes().first_chunk().expect("a digest is longer than its beginning")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: Boot = [7; 16];
    const ANOTHER: Boot = [8; 16];

    fn any_saved() -> impl Strategy<Value = Saved> {
        let place = prop_oneof![
            Just(Place::Append),
            "[a-z/é]{0,9}".prop_map(Place::Put),
            "[a-z/é]{0,9}".prop_map(Place::Delete),
        ];
        (place, proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(place, bytes)| Saved { place, bytes })
    }

    fn journal(records: &[Saved], durable: u64) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = encode_head(BOOT);
        let mut ends = vec![bytes.len()];
        for record in records {
            encode(record, durable, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    proptest! {
        #[test]
        fn a_torn_journal_holds_every_record_that_was_finished(
            records in proptest::collection::vec(any_saved(), 0..8), cut in any::<prop::sample::Index>(),
        ) {
            let (bytes, ends) = journal(&records, 0);
            let cut = cut.index(bytes.len() + 1);
            let finished = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
            let contents = decode(&bytes[..cut], BOOT).unwrap();
            prop_assert_eq!(&contents.records[..], &records[..finished]);
            prop_assert!(contents.length <= cut);
        }

        #[test]
        fn a_changed_byte_is_noticed_wherever_it_is(
            records in proptest::collection::vec(any_saved(), 1..6), at in any::<prop::sample::Index>(), flip in 1u8..,
        ) {
            let (mut bytes, ends) = journal(&records, 0);
            let at = HEAD + at.index(bytes.len() - HEAD);
            bytes[at] ^= flip;
            let hit = ends.iter().position(|&end| end > at).unwrap() - 1;
            match decode(&bytes, BOOT) {
                Ok(contents) => {
                    prop_assert_eq!(hit, records.len() - 1, "only the last record may pass for torn");
                    prop_assert_eq!(&contents.records[..], &records[..hit]);
                }
                Err(damage) => prop_assert_eq!(damage, Damage::Middle { offset: ends[hit] }),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, BOOT);
            let _ = decode(&[encode_head(BOOT), bytes].concat(), BOOT);
        }
    }

    #[test]
    fn after_a_loss_of_power_only_what_was_on_disk_counts_as_damage() {
        let append = |byte| Saved { place: Place::Append, bytes: vec![byte; 20] };
        for (durable, lost) in [(0, true), (1_000, false)] {
            let (mut bytes, ends) = journal(&[append(1), append(2), append(3)], durable);
            bytes[ends[1] + 9..ends[2]].fill(0);
            let outcome = decode(&bytes, ANOTHER);
            match lost {
                true => assert_eq!(outcome.unwrap().records, [append(1)]),
                false => assert_eq!(outcome, Err(Damage::Middle { offset: ends[1] })),
            }
            assert_eq!(decode(&bytes, BOOT), Err(Damage::Middle { offset: ends[1] }), "no power was lost");
        }
    }

    #[test]
    fn what_is_no_journal_or_a_newer_one_is_refused() {
        assert_eq!(decode(b"#!/bin/sh\n", BOOT), Err(Damage::NoJournal));
        assert_eq!(decode(&[0; 100], BOOT), Err(Damage::NoJournal));
        let mut bytes = encode_head(BOOT);
        bytes[NAME.len()] = 9;
        assert_eq!(decode(&bytes, BOOT), Err(Damage::Newer { found: 9 }));
    }
}
