//! What Linux alone has: namespaces, overlays and other mounts, notices of system calls, handles of processes and files.

pub mod handle;
pub mod landlock;
pub mod launch;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod peer;
pub mod seccomp;
