//! Journals: any bytes behind a good head are refused, or become records that are written as they were read.

use chameleon_node::journal::record;

use crate::made;

/// Reads what these bytes make.
pub fn run(bytes: &[u8]) {
    let Some(input) = made::<([u8; 16], &[u8])>(bytes) else { return };
    let (boot, bytes) = input;
    let _ = record::decode(bytes, boot);
    let journal = [record::encode_head([7; 16]), bytes.to_vec()].concat();
    if let Ok(contents) = record::decode(&journal, boot) {
        assert!(contents.length <= journal.len());
        let mut written = record::encode_head([7; 16]);
        contents.records.iter().for_each(|saved| record::encode(saved, 0, &mut written));
        let again = record::decode(&written, [7; 16]).expect("what was written can be read");
        assert_eq!(again.records, contents.records);
    }
}
