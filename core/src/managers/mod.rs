//! Managers: the FTM oversees the system, a surrogate manager (SM) one job.

pub mod ftm;
pub mod surrogate;
