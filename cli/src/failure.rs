//! Why a command could not do what it was asked to. Every one exits with 125, as `env` does: a code
//! that no result of a program is mistaken for.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chameleon_core::message::Outcome;
use chameleon_core::names::JobId;
use chameleon_core::refusal::Refusal;
use chameleon_node::bulk::BulkError;

use crate::screen;

/// What `chameleon` exits with when Chameleon itself failed.
pub const FAILED: u8 = 125;

/// Finishes the sentence "chameleon: …".
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no system runs at {}; `chameleon dev --detach` starts one there, --home names another", .home.display())]
    NoSystem { home: PathBuf },
    #[error("a system runs at {} already; `chameleon down` ends it, --home makes another beside it", .home.display())]
    RunsAlready { home: PathBuf },
    #[error("the system at {} did not answer for {} s; what it was asked may have been done all the same", .home.display(), .waited.as_secs())]
    Silent { home: PathBuf, waited: Duration },
    #[error("no system can be used: {0}")]
    System(String),
    /// A sentence about the store of a home.
    #[error("{0}")]
    Store(String),
    /// A sentence of the FTM.
    #[error("{0}")]
    Refused(String),
    /// A text with places in it; rendered by itself.
    #[error("{0}")]
    Text(Box<Refusal>),
    /// Something that was typed on the command line.
    #[error("{0}")]
    Asked(String),
    #[error("{what} {} cannot be read: {why}", .path.display())]
    Unreadable { what: &'static str, path: PathBuf, why: io::Error },
    #[error("{what} {} cannot be written: {why}", .path.display())]
    Unwritable { what: &'static str, path: PathBuf, why: io::Error },
    #[error("{what} cannot be written: {why}")]
    Output { what: &'static str, why: io::Error },
    #[error("standard input cannot be {doing}: {why}")]
    Input { doing: &'static str, why: io::Error },
    #[error("{} of {job} is not what was voted on: nothing of it is shown; `chameleon run` it again", .path.display())]
    Altered { job: JobId, path: PathBuf },
    #[error("the decided bytes of {job} cannot be had: {why}; `chameleon run` it again")]
    Lost { job: JobId, why: BulkError },
    #[error("{job} is still running; `chameleon submit --wait` and `chameleon run` wait for the end")]
    StillRuns { job: JobId },
    #[error(
        "the outcome of {job} is unknown, and nothing of it is started again before a person has looked: \
             `chameleon resolve {job} happened` or `did-not-happen`"
    )]
    Unresolved { job: JobId },
    #[error("{job} has no result: {outcome}")]
    NoResult { job: JobId, outcome: Outcome },
}

impl Failure {
    /// What the command exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::NoResult { outcome, .. } => outcome.exit_code(),
            failure if failure.is_broken_pipe() => 141,
            _ => FAILED,
        }
    }

    /// Whoever read our output has had enough: no reason to complain.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output { why, .. } if why.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Says it on standard error, unless there is nobody to blame.
    pub fn show(&self) {
        match self {
            failure if failure.is_broken_pipe() => {}
            Failure::Text(refusal) => screen::remark(&refusal.render(true)),
            failure => screen::remark(&format!("chameleon: {failure}")),
        }
    }
}
