//! The few system calls that no safe library offers. All `unsafe` of the node is in here.

pub mod closed;
pub mod descriptor;
pub mod handle;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod peer;
pub mod process;
pub mod readiness;
pub mod seccomp;
pub mod spawn;
