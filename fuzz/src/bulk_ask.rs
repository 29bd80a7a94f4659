//! Questions to a host's desk: any bytes are refused or become a question that is written as it was read.

use chameleon_node::bulk::frame::{self, Answer, Ask, Pack};
use chameleon_node::files::listing::Listing;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    if let Ok(ask) = frame::decode::<Ask>(bytes) {
        let mut written = Vec::new();
        frame::write(&mut written, &ask).expect("writing to memory cannot fail");
        assert_eq!(frame::read(&mut written.as_slice()).expect("what was written can be read"), Some(ask));
    }
    let _ = (frame::decode::<Answer>(bytes), frame::decode::<Vec<Pack>>(bytes), Listing::read(bytes));
    let _ = frame::read::<Ask>(&mut &*bytes);
}
