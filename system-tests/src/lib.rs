//! Real processes and real kill -9: what the tests of the whole product stand on.
//!
//! A test makes a [`Trial`]: a run directory, a home and a mark of its own in the environment, by which
//! every process that comes of it is found in /proc, whoever its parent is by then. When a trial is
//! over nothing may be left of it, and that is part of every test.

pub mod binary;
pub mod chaos;
pub mod fleet;
pub mod launch;
pub mod network;
pub mod processes;
pub mod random;
pub mod skip;
pub mod standing;
pub mod tree;
pub mod trial;

pub use fleet::Fleet;
pub use launch::{End, Finished, Launch, Started};
pub use network::Network;
pub use processes::Process;
pub use random::Random;
pub use skip::skip;
pub use standing::Standing;
pub use trial::{Trial, eventually};
