//! What a stranger sends first: any bytes say whom it calls, or do not, and nothing else.

use chameleon_core::names::HostId;
use chameleon_node::links::Destination;
use chameleon_node::links::door::server_name;

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    if let Ok(Some(name)) = server_name(bytes) {
        let _ = Destination::parse(&name, HostId(1));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(destination) = Destination::parse(text, HostId(1))
    {
        assert_eq!(Destination::parse(&destination.sni(HostId(1)), HostId(1)), Some(destination));
    }
}
