//! The build step of a job: what its lanes run is made on each host that runs them, of sources that travel there.

use std::fmt;

use minicbor::{Decode, Encode};

use super::check::{self, Unfit};
use super::syntax::{Reading, os_bytes};
use super::{Job, OsBytes, Stage};
use crate::document::{At, Table, Value};

/// How the lanes' program comes to be on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Build {
    /// Absolute paths on the job's origin. At least one.
    #[n(0)]
    pub source: Vec<OsBytes>,
    /// Program and arguments, run in the run directory, in which it sees its sources and nothing else.
    #[n(1)]
    pub command: Vec<OsBytes>,
    /// What it makes, absolute paths in the run directory. At least one.
    #[n(2)]
    pub outputs: Vec<OsBytes>,
    /// `NAME=value`: all of its environment.
    #[n(3)]
    pub environment: Vec<OsBytes>,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outputs: Vec<_> = self.outputs.iter().map(|path| String::from_utf8_lossy(path)).collect();
        write!(f, "the build of {}", outputs.join(", "))
    }
}

impl Job {
    /// Whether the program that a stage names by a path is made by the job's build, so that what lies there on the
    /// origin is not it.
    #[must_use]
    pub fn builds(&self, program: &[u8]) -> bool {
        let outputs = self.build.iter().flat_map(|build| &build.outputs);
        let named = check::path(&self.directory, program).ok().filter(|_| program.contains(&b'/'));
        named.is_some_and(|path| outputs.into_iter().any(|output| check::is_within(&path, output)))
    }
}

/// What `[job.build]` of a job file says.
pub(super) fn read<'a>(reading: &Reading<'a>, value: &Value<'a>, stages: &[Stage]) -> Option<Build> {
    let mut table = value.table("[job.build]")?;
    let what = "the program and its arguments, such as [\"make\", \"tool\"]";
    let command = table.required("command", what).map_or_else(Vec::new, |value| reading.command(&value));
    let source = paths(reading, &mut table, "source", "a file or directory that is built from, such as \"src\"");
    let outputs =
        paths(reading, &mut table, "outputs", "a file or directory that the build makes, such as \"bin/tool\"");
    let environment = table.optional("env").map_or_else(Vec::new, |value| reading.variables(&value));
    let directory = &reading.surroundings.directory;
    for output in &outputs {
        let source = source.iter().map(At::get_ref);
        reading.fits(output.span(), built(directory, output.get_ref(), source));
        for path in given(stages) {
            reading.fits(output.span(), beside(output.get_ref(), path));
        }
    }
    table.finish();
    let bare = |paths: Vec<At<OsBytes>>| paths.into_iter().map(At::into_inner).collect();
    let command = command.iter().map(|word| os_bytes(word.get_ref())).collect();
    let environment = with_path(reading, environment);
    Some(Build { source: bare(source), command, outputs: bare(outputs), environment })
}

fn paths<'a>(reading: &Reading<'a>, table: &mut Table<'a>, key: &'static str, what: &str) -> Vec<At<OsBytes>> {
    let Some(value) = table.required(key, &format!("a list with {what}")) else { return Vec::new() };
    let items = value.items(&format!("a list with {what}"));
    if value.length() == Some(0) {
        reading.refuse(value.span(), &Unfit::NothingBuilt { key });
    }
    items.iter().filter_map(|item| Some(At::new(item.span(), reading.path(item, what)?))).collect()
}

/// Its own variables, and the search path of whoever submits the job.
fn with_path(reading: &Reading<'_>, mut own: Vec<OsBytes>) -> Vec<OsBytes> {
    let is_path = |entry: &&OsBytes| entry.starts_with(b"PATH=");
    if !own.iter().any(|entry| is_path(&entry)) {
        own.extend(reading.surroundings.environment.iter().find(is_path).cloned());
    }
    own.sort();
    own
}

/// The rule for what a build makes.
///
/// # Errors
/// It would not be held, or the build would make its own sources.
pub fn built<'a>(directory: &[u8], output: &[u8], mut source: impl Iterator<Item = &'a OsBytes>) -> Result<(), Unfit> {
    let shown = || String::from_utf8_lossy(output).into_owned();
    if !check::is_within(output, directory) || check::is_within(directory, output) {
        return Err(Unfit::BuiltOutside { path: shown() });
    }
    match source.any(|source| check::is_within(source, output)) {
        true => Err(Unfit::BuiltFromItself { path: shown() }),
        false => Ok(()),
    }
}

/// What stages are given beside what is built.
pub fn given(stages: &[Stage]) -> impl Iterator<Item = &OsBytes> {
    stages.iter().flat_map(|stage| stage.inputs.iter().chain(&stage.bundle))
}

/// The rule for something that is built and a path that a stage is given.
///
/// # Errors
/// The one would lie where the other does.
pub fn beside(output: &[u8], given: &[u8]) -> Result<(), Unfit> {
    let shown = |path| String::from_utf8_lossy(path).into_owned();
    match check::is_within(output, given) || check::is_within(given, output) {
        true => Err(Unfit::GivenAndBuilt { path: shown(given), output: shown(output) }),
        false => Ok(()),
    }
}
