//! The few system calls that no safe library offers. All `unsafe` of the node is in here.

pub mod c_library;
pub mod closed;
pub mod descriptor;
pub mod float;
pub mod handle;
pub mod landlock;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod peer;
pub mod process;
pub mod readiness;
pub mod seccomp;
pub mod spawn;
