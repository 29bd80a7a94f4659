//! The managers: the FTM, and the surrogate managers (SM) that run one job each.

pub mod ftm;
pub mod surrogate;
