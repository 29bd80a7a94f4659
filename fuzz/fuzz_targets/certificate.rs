//! Certificates as peers show them: any bytes are refused, or say who somebody is.
#![no_main]

use chameleon_node::pki::certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(claim) = certificate::read(bytes) {
        assert_eq!(claim.principal.to_string().parse(), Ok(claim.principal));
    }
    let _ = certificate::authority_digest(bytes);
    let _ = certificate::validity(bytes);
});
