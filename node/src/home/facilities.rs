//! What keeps programs from a host, as its owner has said.

use std::fs;
use std::io;

use chameleon_core::names::HostId;

use super::Home;
use crate::os::facilities::Facilities;

const FILE: &str = "facilities";

impl Home {
    /// The facilities that this host is set to use; `None`: what its system has.
    #[must_use]
    pub fn facilities(&self, host: HostId) -> Option<Facilities> {
        fs::read_to_string(self.host(host).join(FILE)).ok()?.trim().parse().ok()
    }

    /// Has this host use these from now on, also in its later lives.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn keep_facilities(&self, host: HostId, facilities: Facilities) -> io::Result<()> {
        super::write_whole(&self.host(host).join(FILE), facilities.word().as_bytes())
    }
}
