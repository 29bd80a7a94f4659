//! A host's policy is read or refused, and a refusal can be shown.

use chameleon_core::policy;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    if let Err(refusal) = policy::parse("policy.toml", bytes) {
        assert!(!refusal.render(false).is_empty());
    }
}
