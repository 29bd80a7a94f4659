//! A datagram as it travels: who says it to whom, numbered, and authenticated by the key of the pair.
//!
//! ```text
//! sender (4) | recipient (4) | sender's life (4) | number (8) | datagram, CBOR | BLAKE3 keyed hash of all before (32)
//! ```
//! All numbers are little-endian. A number of a life is accepted once; see [`Window`].

use chameleon_core::message::{Datagram, PairKey};
use chameleon_core::names::{HostId, Incarnation};

const HEADER: usize = 20;
const MAC: usize = 32;
/// The longest envelope; longer ones are nobody's.
pub const LONGEST: usize = 256;

/// What was received, and is what its sender said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    pub from: HostId,
    pub to: HostId,
    /// The sender's life, in which it numbers what it sends.
    pub life: Incarnation,
    pub number: u64,
    pub datagram: Datagram,
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvelope {
    #[error("{0} bytes are too few or too many for a datagram")]
    Length(usize),
    #[error("nothing is to come from {0}")]
    Stranger(HostId),
    #[error("it was not {0} that said this, or not this")]
    Forged(HostId),
    #[error("{0} says something that this version does not know")]
    Unknown(HostId),
}

impl Envelope {
    /// The bytes that travel.
    #[must_use]
    pub fn seal(&self, key: &PairKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONGEST);
        for part in [&self.from.0.to_le_bytes(), &self.to.0.to_le_bytes(), &self.life.0.to_le_bytes()] {
            bytes.extend(part);
        }
        bytes.extend(self.number.to_le_bytes());
        minicbor::encode(self.datagram, &mut bytes).expect("writing to memory cannot fail");
        let mac = blake3::keyed_hash(&key.0, &bytes);
        bytes.extend(mac.as_bytes());
        bytes
    }

    /// Reads what was received, from anybody; `key_of` names the key shared with a host.
    ///
    /// # Errors
    /// Why it counts for nothing.
    pub fn open(bytes: &[u8], key_of: impl Fn(HostId) -> Option<PairKey>) -> Result<Envelope, BadEnvelope> {
        if bytes.len() < HEADER + MAC || bytes.len() > LONGEST {
            return Err(BadEnvelope::Length(bytes.len()));
        }
        let (said, mac) = bytes.split_at(bytes.len() - MAC);
        let number = |at: usize| u32::from_le_bytes([said[at], said[at + 1], said[at + 2], said[at + 3]]);
        let from = HostId(number(0));
        let key = key_of(from).ok_or(BadEnvelope::Stranger(from))?;
        // The comparison takes the same time wherever they differ.
        if blake3::keyed_hash(&key.0, said) != *mac {
            return Err(BadEnvelope::Forged(from));
        }
        let datagram = minicbor::decode(&said[HEADER..]).map_err(|_| BadEnvelope::Unknown(from))?;
        let number_in_life = u64::from(number(12)) | u64::from(number(16)) << 32;
        let (to, life) = (HostId(number(4)), Incarnation(number(8)));
        Ok(Envelope { from, to, life, number: number_in_life, datagram })
    }
}

/// Which numbers of a sender were accepted: each once, and none far behind the highest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    life: Incarnation,
    highest: u64,
    /// Bit n: the number n below the highest was accepted.
    seen: u64,
}

impl Window {
    /// Whether this one is new; it is not a second time.
    pub fn accept(&mut self, life: Incarnation, number: u64) -> bool {
        if life > self.life {
            *self = Window { life, highest: number, seen: 1 };
            return true;
        }
        if life < self.life {
            return false;
        }
        if number > self.highest {
            let ahead = u32::try_from(number - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        let bit = u32::try_from(self.highest - number).ok().and_then(|behind| 1u64.checked_shl(behind));
        let fresh = bit.filter(|bit| self.seen & bit == 0);
        self.seen |= fresh.unwrap_or(0);
        fresh.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PairKey = PairKey([7; 32]);

    fn envelope() -> Envelope {
        let datagram = Datagram::Beat { life: Incarnation(2), number: 9, late: chameleon_core::names::Millis(3) };
        Envelope { from: HostId(1), to: HostId(2), life: Incarnation(2), number: 1 << 40, datagram }
    }

    fn key_of(host: HostId) -> Option<PairKey> {
        (host == HostId(1)).then_some(KEY)
    }

    #[test]
    fn an_envelope_opens_for_whoever_has_the_key_and_only_as_it_was_sealed() {
        let sealed = envelope().seal(&KEY);
        assert_eq!(Envelope::open(&sealed, key_of), Ok(envelope()));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(Envelope::open(&changed, key_of).is_err(), "byte {index}");
        }
        let other = PairKey([8; 32]);
        assert_eq!(Envelope::open(&sealed, |_| Some(other)), Err(BadEnvelope::Forged(HostId(1))));
        assert_eq!(Envelope::open(&sealed, |_| None), Err(BadEnvelope::Stranger(HostId(1))));
        assert_eq!(Envelope::open(&sealed[..40], key_of), Err(BadEnvelope::Length(40)));
        assert_eq!(Envelope::open(&[0; 999], key_of), Err(BadEnvelope::Length(999)));
    }

    #[test]
    fn a_number_is_accepted_once_and_late_ones_only_from_nearby() {
        let life = Incarnation(1);
        let mut window = Window::default();
        let accepted: Vec<bool> =
            [5, 5, 7, 6, 6, 100, 37, 36, 36, 99].map(|number| window.accept(life, number)).to_vec();
        assert_eq!(accepted, [true, false, true, true, false, true, true, false, false, true]);
        assert!(window.accept(Incarnation(2), 1), "a new life numbers anew");
        assert!(!window.accept(life, 101), "and the one before says nothing more");
    }
}
