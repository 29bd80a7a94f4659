//! Backups: any bytes are refused or become a backup that is written as it was read; so does any content behind a good head
//! and digest, and what it tells can be put back.

use std::path::Path;

use chameleon_core::managers::ftm::restoration::{self, OpenJobs, Restoration};
use chameleon_node::backup::Backup;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    for file in [bytes.to_vec(), Backup::enclose(bytes)] {
        if let Ok(backup) = Backup::decode(Path::new("backup"), &file) {
            let again = Backup::decode(Path::new("backup"), &backup.encode()).expect("what was written can be read");
            assert_eq!(again, backup);
            let (known_until_unix_ms, open_jobs) = (backup.taken_unix_ms, OpenJobs::End);
            let how = Restoration { known_until_unix_ms, now_unix_ms: u64::MAX, open_jobs };
            let _ = restoration::restore(&backup.records, &[], how);
        }
    }
}
