//! Certificates as peers show them: any bytes are refused, or say who somebody is.

use chameleon_node::pki::certificate;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    if let Ok(claim) = certificate::read(bytes) {
        assert_eq!(claim.principal.to_string().parse(), Ok(claim.principal));
    }
    let _ = certificate::authority_digest(bytes);
    let _ = certificate::validity(bytes);
}
