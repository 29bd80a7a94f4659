//! What the programs of a slot stand on: how they are kept from the host and from each other, and how they end.
//!
//! `confined` is made of Linux's facilities, with a `view` of the files of its own; `copied` of what every POSIX system
//! has. The shim goes about with both in the same way.

pub mod confined;
pub mod copied;
pub mod view;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::os::facilities::Facilities;
use crate::os::process::{Children, Program, Reaped};

/// A step of making it that did not work: it finishes "failed to".
#[derive(Debug, thiserror::Error)]
#[error("{step} {}: {source}", .path.display())]
pub struct GroundError {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

trait OnPath<T> {
    fn on(self, step: &'static str, path: &Path) -> Result<T, GroundError>;
}

impl<T, E: Into<io::Error>> OnPath<T> for Result<T, E> {
    fn on(self, step: &'static str, path: &Path) -> Result<T, GroundError> {
        self.map_err(|source| GroundError { step, path: path.to_owned(), source: source.into() })
    }
}

/// Where one program at a time runs.
pub(super) trait Ground {
    /// Sees to it that nothing of an earlier execution is left.
    fn make_fresh(&mut self) -> Result<(), GroundError>;

    /// Starts a program. Returns its process id, or the error of `execve`.
    fn start(&mut self, program: &Program<'_>) -> io::Result<i32>;

    /// Signals all that runs.
    fn signal(&self, signal: i32);

    /// Reaps a child that has ended, if there is one.
    fn reap_ended(&mut self) -> Children;

    /// After the program has ended: ends what it left running, and says what that had used.
    fn end_rest(&mut self) -> Vec<Reaped>;

    /// After everything has ended: says whether anything may have been written, and lets go of it.
    fn settle(&mut self) -> Result<bool, GroundError>;
}

/// What a shim gets with its ground.
pub(super) struct Entered {
    pub ground: Box<dyn Ground>,
    /// Readable when a child has ended.
    pub ended: OwnedFd,
    /// Through which calls that may be blocked are made known, where the system allows that.
    pub notices: Option<OwnedFd>,
}

/// Makes the ground that the plan wants, in the first process of the slot, once.
pub(super) fn enter(plan: Plan) -> Result<Entered, GroundError> {
    match plan.facilities {
        Facilities::Linux => confined::enter(plan),
        Facilities::Posix => copied::enter(plan),
    }
}
