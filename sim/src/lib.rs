//! The same core in an invented world, replayable from one seed.
//!
//! Clock, network, disk, processes and programs are invented; every decision is made by the code of
//! `chameleon-core` that also runs on real machines. A run breaks what it can while the invariants are
//! looked at, then stops breaking and demands that every job ends. The same seed is the same run.
#![forbid(unsafe_code)]

pub mod chance;
pub mod clock;
pub mod cluster;
pub mod disk;
pub mod fabric;
pub mod faults;
pub mod files;
pub mod history;
pub mod host;
pub mod invariants;
pub mod jobs;
pub mod lanes;
pub mod liveness;
pub mod network;
pub mod plan;
pub mod polls;
pub mod process;
pub mod programs;
mod saves;
pub mod script;
pub mod slots;
pub mod stories;
mod tell;
pub mod trace;
pub mod trial;
pub mod user;
pub mod world;
