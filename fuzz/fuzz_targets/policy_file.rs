//! A host's policy is read or refused, and a refusal can be shown.
#![no_main]

use chameleon_core::policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(refusal) = policy::parse("policy.toml", bytes) {
        assert!(!refusal.render(false).is_empty());
    }
});
