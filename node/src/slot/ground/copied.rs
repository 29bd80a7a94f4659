//! Ground made of what every POSIX system has: programs run in a copy of the run directory, in a group of processes.
//!
//! What it cannot hold, it does not pretend to hold: a job that wants more than the run directory held is refused, and
//! the report of every other says what was open to its programs.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use super::{Entered, Ground, GroundError, OnPath};
use crate::files::copy::{LIMIT, copy_directory};
use crate::files::tree;
use crate::os::posix::group::{self, Group, Waiting};
use crate::os::posix::signals;
use crate::os::process::{Children, Program, Reaped, StringArray};
use crate::os::spawn;
use crate::process::shims;
use crate::slot::SlotError;
use crate::slot::layers::run_copy;
use crate::slot::plan::{Plan, as_path};

struct Copied {
    plan: Plan,
    is_fresh: bool,
    group: Option<Group>,
    /// The group that is to be gone before the next program starts.
    ending: Option<i32>,
}

/// Refuses by name what such a ground cannot show or hold.
pub(in crate::slot) fn refuse_unfit(plan: &Plan) -> Result<(), SlotError> {
    let directory = as_path(&plan.directory);
    let outside = |path: &Path| !path.starts_with(directory);
    if let Some(output) = plan.overlays.iter().find(|overlay| outside(overlay.directory())) {
        return Err(SlotError::NotHeld { directory: output.directory().to_owned() });
    }
    match plan.visible.iter().find(|shown| shown.source != shown.path && outside(as_path(&shown.path))) {
        Some(shown) => Err(SlotError::NotShown { path: as_path(&shown.path).to_owned() }),
        None => Ok(()),
    }
}

/// Called by the first process of the slot, which stays in the host's namespaces.
pub(super) fn enter(plan: Plan) -> Result<Entered, GroundError> {
    let ended = signals::take_signals().on("hear of the end of children, in", as_path(&plan.work))?;
    rustix::process::umask(Mode::from_raw_mode(plan.umask));
    let mut ground = Box::new(Copied { plan, is_fresh: false, group: None, ending: None });
    ground.make_fresh()?;
    Ok(Entered { ground, ended, notices: None })
}

impl Copied {
    /// What is copied: the run directory, or what was fetched of it.
    fn source(&self) -> &Path {
        let directory = as_path(&self.plan.directory);
        let held = self.plan.overlays.iter().find(|overlay| overlay.directory() == directory);
        let shown = self.plan.visible.iter().find(|shown| as_path(&shown.path) == directory);
        held.map(|overlay| overlay.source()).or(shown.map(|shown| as_path(&shown.source))).unwrap_or(directory)
    }

    fn copy(&self) -> Result<PathBuf, GroundError> {
        let (source, shown, work) = (self.source(), as_path(&self.plan.directory), as_path(&self.plan.work));
        let copy = run_copy(work);
        if work.starts_with(source) {
            let within = format!("the copy would lie in itself, at {}; use --home or TMPDIR", work.display());
            return Err(io::Error::other(within)).on("copy", shown);
        }
        tree::remove(&copy).on("remove the copy that an earlier execution left of", shown)?;
        copy.parent().map_or(Ok(()), std::fs::create_dir_all).on("make a place for a copy of", shown)?;
        copy_directory(source, &copy, shown, LIMIT).map_err(io::Error::other).on("run in a copy of", shown)?;
        Ok(copy)
    }
}

impl Ground for Copied {
    fn make_fresh(&mut self) -> Result<(), GroundError> {
        if !self.is_fresh {
            let copy = self.copy()?;
            rustix::process::chdir(&copy).on("enter", &copy)?;
            self.is_fresh = true;
        }
        Ok(())
    }

    /// The group is noted on disk before its program begins: whoever finds this process dead ends it.
    fn start(&mut self, program: &Program<'_>) -> io::Result<i32> {
        let started = self.launch(program);
        match started {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => match foreign(program) {
                Some((runner, arguments)) => self.launch(&Program { path: &runner, arguments: &arguments, ..*program }),
                None => Err(error),
            },
            started => started,
        }
    }

    fn signal(&self, signal: i32) {
        self.group.iter().for_each(|group| group.signal(signal));
    }

    fn reap_ended(&mut self) -> Children {
        let found = self.group.as_ref().map_or(Children::Gone, Group::ended);
        if let Children::Ended(_) = found {
            self.ending = self.group.take().map(|group| group.leader());
        }
        found
    }

    /// Its leader is reaped already; nothing is heard of the others but that they are gone.
    fn end_rest(&mut self) -> Vec<Reaped> {
        self.ending.take().into_iter().for_each(group::end);
        shims::forget_group(as_path(&self.plan.work));
        Vec::new()
    }

    fn settle(&mut self) -> Result<bool, GroundError> {
        rustix::process::chdir("/").on("leave the copy of", as_path(&self.plan.directory))?;
        self.is_fresh = false;
        Ok(true)
    }
}

impl Copied {
    fn launch(&mut self, program: &Program<'_>) -> io::Result<i32> {
        let waiting = Waiting::fork(program)?;
        let leader = waiting.leader();
        shims::note_group(as_path(&self.plan.work), leader.unsigned_abs());
        self.group = Some(waiting.go()?);
        Ok(leader)
    }
}

/// A program for another processor is run by what runs this one, if that is for another one too.
fn foreign(program: &Program<'_>) -> Option<(CString, StringArray)> {
    const MAGIC: &[u8] = b"\x7fELF";
    let path = Path::new(std::ffi::OsStr::from_bytes(program.path.to_bytes()));
    let mut begins = [0; MAGIC.len()];
    std::io::Read::read_exact(&mut std::fs::File::open(path).ok()?, &mut begins).ok()?;
    let runner = spawn::runner();
    if begins != MAGIC || runner.is_empty() {
        return None;
    }
    let text = |word: OsString| CString::new(word.into_vec()).ok();
    let words = runner.into_iter().filter_map(text).chain([program.path.to_owned()]);
    let words: Vec<CString> = words.chain(program.arguments.strings().iter().skip(1).cloned()).collect();
    Some((words.first()?.clone(), StringArray::new(words)))
}
