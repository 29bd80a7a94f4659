//! The few system calls that no safe library offers. All `unsafe` of the node is in here.

pub mod descriptor;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod peer;
pub mod process;
pub mod readiness;
pub mod spawn;
