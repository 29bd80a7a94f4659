//! A strategy file is read or refused, and a refusal can be shown; what was read is sound, and
//! stays so with any lanes that are asked for.

use chameleon_core::strategy;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    match strategy::parse("mine.toml", bytes) {
        Ok(strategy) => {
            assert_eq!(strategy.check(), []);
            assert!(!strategy.explain().is_empty());
            let replicas = bytes.first().map(|byte| u16::from(*byte));
            let adjusted = strategy.with(replicas, bytes.last().map(|byte| u16::from(*byte)), None);
            assert!(adjusted.is_err() || adjusted.is_ok_and(|strategy| strategy.check().is_empty()));
        }
        Err(refusal) => assert!(!refusal.render(false).is_empty()),
    }
}
