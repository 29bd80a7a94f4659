//! The few system calls that no safe library offers. All `unsafe` of the node is in here.

pub mod descriptor;
pub mod peer;
pub mod readable;
pub mod spawn;
