//! Datagrams from anybody: any bytes are refused or are what the host with the key sealed.
#![no_main]

use chameleon_core::message::PairKey;
use chameleon_node::datagrams::Envelope;
use libfuzzer_sys::fuzz_target;

const KEY: PairKey = PairKey([3; 32]);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::open(bytes, |_| Some(KEY)) {
        let again = Envelope::open(&envelope.seal(&KEY), |_| Some(KEY));
        assert_eq!(again, Ok(envelope));
    }
});
