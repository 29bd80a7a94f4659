//! What a host is: found out by its Init ARMOR when it joins, kept by the FTM, and weighed when
//! places are sought.
//!
//! The numeric class says which hosts can be expected to compute alike to the last bit: it is a
//! digest of what probe kernels found there. Equal classes promise nothing; different ones mean that
//! lanes on such hosts may differ although nothing is faulty.

use minicbor::{Decode, Encode};

/// The ability, and the trait, by which a host says what keeps its programs from it: `linux` or `posix`.
pub const FACILITIES: &str = "facilities";

/// A host, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Profile {
    /// Operating system and kernel release, such as `Linux` and `6.8.0-41-generic`.
    #[n(0)]
    pub system: String,
    #[n(1)]
    pub kernel: String,
    /// As the system calls it, such as `x86_64`.
    #[n(2)]
    pub architecture: String,
    /// The model of the CPU.
    #[n(3)]
    pub cpu: String,
    #[n(4)]
    pub cores: u16,
    /// Bytes.
    #[n(5)]
    pub memory: u64,
    /// Bytes that are free where the host keeps its jobs.
    #[n(6)]
    pub disk_free: u64,
    /// The C library and its version.
    #[n(7)]
    pub c_library: String,
    /// Compilers and interpreters that are there.
    #[n(8)]
    pub tools: Vec<Tool>,
    /// What the system offers for keeping programs apart.
    #[n(9)]
    pub abilities: Vec<Ability>,
    #[n(10)]
    pub numeric: Numeric,
    /// Runs of a fixed piece of work a second, on one core.
    #[n(11)]
    pub speed: u64,
    /// Against the FTM's clock.
    #[n(12)]
    pub clock: Option<Clock>,
    /// What its own file calls it.
    #[n(13)]
    pub labels: Vec<Label>,
}

/// Something by which a host says that it differs from others, such as its site.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Label {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub value: String,
}

/// A compiler or an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Tool {
    #[n(0)]
    pub name: String,
    /// The first line that it says of its version.
    #[n(1)]
    pub version: String,
}

/// Something that a host may be able to do.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ability {
    #[n(0)]
    pub name: String,
    /// What was found.
    #[n(1)]
    pub found: String,
    /// If it is lacking, a sentence that says what that means for jobs there.
    #[n(2)]
    pub lacking: Option<String>,
}

/// How a host computes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Numeric {
    /// A short digest of all findings.
    #[n(0)]
    pub class: String,
    #[n(1)]
    pub findings: Vec<Finding>,
}

/// What one probe kernel found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Finding {
    #[n(0)]
    pub probe: String,
    #[n(1)]
    pub found: String,
}

/// A host's clock against the FTM's: off by this much, give or take the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Clock {
    #[n(0)]
    pub offset_ms: i64,
    #[n(1)]
    pub bound_ms: u64,
}

impl Profile {
    /// In a few words, such as `Linux x86_64 glibc 2.36`.
    #[must_use]
    pub fn platform(&self) -> String {
        let words = [&self.system, &self.architecture, &self.c_library];
        words.into_iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>().join(" ")
    }

    /// What the host is with respect to a trait by which hosts differ: what was found, or a label.
    #[must_use]
    pub fn trait_of(&self, name: &str) -> Option<&str> {
        let found = match name {
            "arch" => &self.architecture,
            "os" => &self.system,
            "numeric-class" => &self.numeric.class,
            FACILITIES => &self.abilities.iter().find(|ability| ability.name == FACILITIES)?.found,
            name => &self.labels.iter().find(|label| label.name == name)?.value,
        };
        (!found.is_empty()).then_some(found.as_str())
    }

    /// What the host lacks, a sentence each.
    pub fn lacks(&self) -> impl Iterator<Item = &str> {
        self.abilities.iter().filter_map(|ability| ability.lacking.as_deref())
    }
}
