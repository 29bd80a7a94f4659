//! Datagrams from anybody: any bytes are refused or are what the host with the key sealed.

use chameleon_core::message::PairKey;
use chameleon_node::datagrams::Envelope;

const KEY: PairKey = PairKey([3; 32]);

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::open(bytes, |_| Some(KEY)) {
        let again = Envelope::open(&envelope.seal(&KEY), |_| Some(KEY));
        assert_eq!(again, Ok(envelope));
    }
}
