//! A job file is read or refused, and a refusal can be shown; what was read is fit to run.

use chameleon_core::job::{self, OsBytes, Stdin, Surroundings};

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    let surroundings = Surroundings {
        directory: OsBytes::from(b"/run/here".to_vec()),
        environment: vec![OsBytes::from(b"A=\xff".to_vec())],
        stdin: Stdin::Null,
        read: &|_| Ok(bytes.to_vec()),
    };
    match job::parse("job.toml", bytes, &surroundings) {
        Ok(accepted) => {
            assert_eq!(accepted.job.check(), []);
            let _ = accepted.remarks.render(true);
        }
        Err(refusal) => assert!(!refusal.render(false).is_empty()),
    }
}
