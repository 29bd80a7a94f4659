//! Which of the system's facilities keep programs from their host and from each other.

use std::str::FromStr;

use minicbor::{Decode, Encode};

/// A kind of facilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Facilities {
    /// Namespaces, overlays and notices of system calls: nothing that a program does reaches the host.
    #[n(0)]
    Linux,
    /// Process groups and copied directories: what a program does beyond its copy of the run directory is done.
    #[n(1)]
    Posix,
}

impl Facilities {
    /// The variable by which a person says which ones a host uses. Unsaid, a host uses what its system has.
    pub const VARIABLE: &str = "CHAMELEON_FACILITIES";

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Facilities::Linux => "linux",
            Facilities::Posix => "posix",
        }
    }
}

impl FromStr for Facilities {
    type Err = String;

    fn from_str(word: &str) -> Result<Facilities, String> {
        let known = [Facilities::Linux, Facilities::Posix].into_iter().find(|known| known.word() == word);
        known.ok_or_else(|| format!("`{word}` names no facilities of a system: `linux` and `posix` do"))
    }
}
