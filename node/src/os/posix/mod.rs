//! What every POSIX system has: processes in groups, of which a parent learns how its own children ended.

pub mod group;
pub mod signals;
