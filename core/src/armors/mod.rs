//! The common ARMORs, one file each, and the table of all kinds.

pub mod execution;
pub mod fanout;
pub mod voter;
