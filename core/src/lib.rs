//! Every decision of Chameleon, and nothing else: no clock, socket, thread, file or process.
//!
//! The simulator (`sim`) and the real machine (`node`) drive this same code.
#![forbid(unsafe_code)]

pub mod job;
pub mod names;
pub mod strategy;
