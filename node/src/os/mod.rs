//! The few system calls that no safe library offers. All `unsafe` of the node is in here.
//!
//! What keeps programs from the host and from each other comes in two kinds, as [`facilities`] says: `linux` and
//! `posix`. What both need stands beside them.

pub mod c_library;
pub mod closed;
pub mod descriptor;
pub mod facilities;
pub mod float;
pub mod linux;
pub mod posix;
pub mod process;
pub mod readiness;
pub mod spawn;
