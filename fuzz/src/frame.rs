//! Frames from links: any bytes, whole or in pieces, are refused or become a frame that is written as it was read.

use chameleon_node::frame;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    if let Ok(Some((read, used))) = frame::decode(bytes) {
        let mut written = Vec::new();
        frame::encode(&read, &mut written).expect("what was short enough to be read can be written");
        let again = frame::decode(&written).expect("what was written can be read");
        assert_eq!(again, Some((read, written.len())));
        assert!(used <= bytes.len());
    }
}
