//! Every decision of Chameleon, and nothing else: no clock, socket, thread, file or process.
//!
//! The simulator (`sim`) and the real machine (`node`) drive this same code.
#![forbid(unsafe_code)]

pub(crate) mod document;
pub mod job;
pub mod names;
pub mod refusal;
pub mod strategy;
pub mod word;
