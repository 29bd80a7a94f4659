//! Every decision of Chameleon, and nothing else: no clock, socket, thread, file or process.
//!
//! The simulator (`sim`) and the real machine (`node`) drive this same code.
#![forbid(unsafe_code)]

pub mod armor;
pub mod armors;
pub mod audit;
pub mod book;
pub mod daemon;
mod document;
pub mod elements;
pub mod follower;
pub mod job;
pub mod lease;
pub mod managers;
pub mod message;
pub mod names;
pub mod policy;
pub mod principal;
pub mod profile;
pub mod refusal;
pub mod reliability;
pub mod report;
pub mod restart;
pub mod shell;
pub mod strategy;
pub mod test_task;
pub mod token;
pub mod vote;
pub mod word;
pub mod world;
