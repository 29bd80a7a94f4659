//! What a job must keep to, whichever way it was written: in a file, in flags, or by a program.
//!
//! Each rule is a function on one value, so that a job file can point at the place; `Job::check`
//! applies all of them.

use std::collections::BTreeSet;

use super::{Files, Injection, Job, OsBytes, Promise, Stage, build, mask};
use crate::names::{Millis, StageId};
use crate::strategy::Strategy;
use crate::strategy::check::Unsound;

/// A name is printed in tables and may become part of a file's name.
pub const LONGEST_NAME: usize = 64;
pub const MOST_STAGES: usize = 1_000;
/// Tasks whose output is handed to another stage.
pub const MOST_HANDED: u64 = 10_000;
/// What a pipe holds: less would pause a lane at every write.
pub const LEAST_SPOOL_QUOTA: u64 = 64 << 10;
/// The spool quota of a job that says nothing else.
pub const SPOOL_QUOTA: u64 = 1 << 30;

/// Directories whose files are no data: what is written there acts at once and cannot be held.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Why a value does not fit into a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "the name {name:?} is empty, long or unprintable, expected 1 to {LONGEST_NAME} characters without '/' and control characters"
    )]
    Name { name: String },
    #[error("there is no stage, and nothing would run; expected 1 to {MOST_STAGES}")]
    NoStage,
    #[error("there are {count} stages, expected at most {MOST_STAGES}; a stage can have many tasks")]
    TooManyStages { count: usize },
    #[error("two stages are called {name:?}, expected a name of its own for each")]
    SameName { name: String },
    #[error("the command is empty, expected a program and its arguments, such as [\"sort\", \"in.txt\"]")]
    NoProgram,
    #[error("{{task}} stands for a task's number, but the stage has no tasks; expected tasks = \"0..10\" or the like")]
    NoTasks,
    #[error("a zero byte, which no argument, path or variable can hold")]
    ZeroByte,
    #[error("the path is empty, expected one relative to the run directory or an absolute one")]
    NoPath,
    #[error("the path {path:?} climbs out with '..', expected an absolute path if that is what is meant")]
    Climbs { path: String },
    #[error("the output {path:?} holds the run directory, expected a path beside it: what is inside is held already")]
    HoldsRunDirectory { path: String },
    #[error(
        "the output {path:?} is in the run directory, where files = {files:?} keeps nothing; expected files = \"overlay\""
    )]
    KeptNowhere { path: String, files: &'static str },
    #[error("the output {path:?} is in {system}, where a write acts at once and cannot be held until the verdict")]
    System { path: String, system: &'static str },
    #[error("{name:?} is no name of a variable, expected one without '=' and not empty")]
    Variable { name: String },
    #[error("the deadline is 0, and the job would end before it began; expected a duration such as \"10s\"")]
    NoTime,
    #[error("a spool of {quota} bytes would pause lanes at every write, expected at least {LEAST_SPOOL_QUOTA} bytes")]
    SmallSpool { quota: u64 },
    #[error("the memory is 0, expected what a lane needs, such as \"2GiB\"")]
    NoMemory,
    #[error("the mask {name:?}: {error}")]
    Glob { name: String, error: mask::BadGlob },
    #[error("the injection {injection} names a lane that the strategy never has, expected one from 0 to {}", most - 1)]
    NoSuchLane { injection: Injection, most: u16 },
    #[error(
        "at-most-once forbids what the strategy {strategy} does: {why}; expected one lane that is never restarted, such as strategy = \"single\""
    )]
    MoreThanOnce { strategy: String, why: String },
    #[error("the stage {name:?} reads what a stage prints that does not run before it, expected an earlier one")]
    ReadsLater { name: String },
    #[error(
        "{from} and this stage {ours}: expected the same, so that each task reads its own, or no tasks in one of them"
    )]
    ReadsOtherTasks { from: String, ours: String },
    #[error(
        "the output of {count} tasks would be handed over, expected at most {MOST_HANDED}; larger arrays hand over files"
    )]
    HandsTooMany { count: u64 },
    #[error("the list {key} is empty, expected at least one path")]
    NothingBuilt { key: &'static str },
    #[error("the build would make {path:?}, expected a path in the run directory and not the directory itself")]
    BuiltOutside { path: String },
    #[error("the build would make {path:?}, in which its own sources lie, expected a path that is no source")]
    BuiltFromItself { path: String },
    #[error("{path:?} is given to the programs where the build makes {output:?}, expected one or the other")]
    GivenAndBuilt { path: String, output: String },
    #[error("the stage {name:?} reads what the stage {from:?} printed, of which not all would be printed again")]
    ReadsWhatWas { name: String, from: String },
    #[error("the stage {name:?} has no tasks {from}..{to}")]
    NoSuchTasks { name: String, from: u64, to: u64 },
    #[error("the strategy makes no sense: {0}")]
    Strategy(Unsound),
}

impl Job {
    /// Everything that does not fit; empty for a job that can run.
    #[must_use]
    pub fn check(&self) -> Vec<Unfit> {
        let mut unfit: Vec<Unfit> = self.strategy.check().into_iter().map(Unfit::Strategy).collect();
        let mut rule = |result: Result<(), Unfit>| unfit.extend(result.err());
        rule(name(&self.name));
        rule(self.deadline.map_or(Ok(()), deadline));
        rule(spool_quota(self.spool_quota));
        rule(stage_count(self.stages.len()));
        let mut names = BTreeSet::new();
        for stage in &self.stages {
            rule(name(&stage.name));
            rule(if names.insert(&stage.name) { Ok(()) } else { Err(Unfit::SameName { name: stage.name.clone() }) });
            rule(command(&stage.command));
            rule(only(stage));
            stage.outputs.iter().for_each(|path| rule(output(&self.directory, path, stage.files)));
            rule(promise(stage.promise, stage.strategy.as_ref().unwrap_or(&self.strategy)));
        }
        if let Some(build) = &self.build {
            rule(command(&build.command));
            let built = |output| build::built(&self.directory, output, build.source.iter());
            build.outputs.iter().for_each(|output| rule(built(output)));
            let clash = |output: &OsBytes| build::given(&self.stages).try_for_each(|path| build::beside(output, path));
            build.outputs.iter().for_each(|output| rule(clash(output)));
        }
        for mask in &self.masks {
            let glob_rule =
                |glob: &String| mask::check(glob).map_err(|error| Unfit::Glob { name: mask.name.clone(), error });
            mask.paths.iter().for_each(|glob| rule(glob_rule(glob)));
        }
        for stage in (0..).map(StageId).take(self.stages.len()) {
            rule(handed(&self.stages, stage));
        }
        unfit.extend(
            self.stages
                .iter()
                .filter_map(|stage| stage.strategy.as_ref())
                .flat_map(Strategy::check)
                .map(Unfit::Strategy),
        );
        let mut rule = |result: Result<(), Unfit>| unfit.extend(result.err());
        self.injections.iter().for_each(|injected| rule(injection(*injected, self.most_lanes())));
        unfit
    }
}

/// The rule for the name of a job, a stage or a mask.
///
/// # Errors
/// It could not be printed, or not be part of a file's name.
pub fn name(name: &str) -> Result<(), Unfit> {
    let fits = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(|c| c.is_control() || c == '/');
    if fits { Ok(()) } else { Err(Unfit::Name { name: name.chars().take(LONGEST_NAME).collect() }) }
}

/// The rule for the number of stages.
///
/// # Errors
/// There is none, or more than can be numbered.
pub fn stage_count(count: usize) -> Result<(), Unfit> {
    match count {
        0 => Err(Unfit::NoStage),
        1..=MOST_STAGES => Ok(()),
        _ => Err(Unfit::TooManyStages { count }),
    }
}

/// The rule for a command.
///
/// # Errors
/// It names no program, or no program could be started with it.
pub fn command(command: &[OsBytes]) -> Result<(), Unfit> {
    match command.first() {
        None => Err(Unfit::NoProgram),
        Some(program) if program.is_empty() => Err(Unfit::NoProgram),
        Some(_) => command.iter().try_for_each(|word| no_zero_byte(word)),
    }
}

/// The rule for arguments, paths and variables: the system ends them at a zero byte.
///
/// # Errors
/// There is a zero byte in it.
pub fn no_zero_byte(bytes: &[u8]) -> Result<(), Unfit> {
    if bytes.contains(&0) { Err(Unfit::ZeroByte) } else { Ok(()) }
}

/// A path as a person wrote it, made absolute and free of `.` and double slashes. `directory` is
/// the run directory, absolute.
///
/// # Errors
/// It is empty, or climbs with `..`: what that means depends on symlinks.
pub fn path(directory: &[u8], written: &[u8]) -> Result<OsBytes, Unfit> {
    no_zero_byte(written)?;
    if written.is_empty() {
        return Err(Unfit::NoPath);
    }
    let base = if written.starts_with(b"/") { b"".as_slice() } else { directory };
    if parts(written).any(|part| part == b"..") {
        return Err(Unfit::Climbs { path: String::from_utf8_lossy(written).into_owned() });
    }
    let clean: Vec<u8> = parts(base).chain(parts(written)).flat_map(|part| [b"/", part].concat()).collect();
    Ok(OsBytes::from(if clean.is_empty() { b"/".to_vec() } else { clean }))
}

/// The rule for an output, an absolute path.
///
/// # Errors
/// What is written there could not be held until the verdict, or would be thrown away.
pub fn output(directory: &[u8], path: &[u8], files: Files) -> Result<(), Unfit> {
    let shown = || String::from_utf8_lossy(path).into_owned();
    let system = SYSTEM.into_iter().find(|system| is_within(path, system.as_bytes()));
    match files {
        _ if is_within(directory, path) => Err(Unfit::HoldsRunDirectory { path: shown() }),
        Files::Scratch if is_within(path, directory) => Err(Unfit::KeptNowhere { path: shown(), files: "scratch" }),
        Files::None if is_within(path, directory) => Err(Unfit::KeptNowhere { path: shown(), files: "none" }),
        Files::Overlay | Files::Scratch | Files::None => {
            system.map_or(Ok(()), |system| Err(Unfit::System { path: shown(), system }))
        }
    }
}

/// The rule for the name of an environment variable.
///
/// # Errors
/// No variable can be called so.
pub fn variable(name: &str) -> Result<(), Unfit> {
    no_zero_byte(name.as_bytes())?;
    if name.is_empty() || name.contains('=') { Err(Unfit::Variable { name: name.to_owned() }) } else { Ok(()) }
}

/// The rule for the tasks of a stage that are run.
///
/// # Errors
/// There are no such tasks.
pub fn only(stage: &Stage) -> Result<(), Unfit> {
    let (first, end) = stage.task_range();
    match stage.only.iter().find(|(from, to)| *from < first || *to > end || from >= to) {
        None => Ok(()),
        Some(&(from, to)) => Err(Unfit::NoSuchTasks { name: stage.name.clone(), from, to }),
    }
}

/// The rule for a deadline.
///
/// # Errors
/// It leaves no time.
pub fn deadline(deadline: Millis) -> Result<(), Unfit> {
    if deadline == Millis(0) { Err(Unfit::NoTime) } else { Ok(()) }
}

/// The rule for a spool quota, in bytes.
///
/// # Errors
/// It is less than a pipe holds.
pub fn spool_quota(quota: u64) -> Result<(), Unfit> {
    if quota < LEAST_SPOOL_QUOTA { Err(Unfit::SmallSpool { quota }) } else { Ok(()) }
}

/// The rule for an injection in a job of at most so many lanes.
///
/// # Errors
/// Its lane can never come to be, and nothing would ever be injected.
pub fn injection(injection: Injection, most: u16) -> Result<(), Unfit> {
    if injection.lane.0 < most { Ok(()) } else { Err(Unfit::NoSuchLane { injection, most }) }
}

/// The rule for the stage whose output another one reads.
///
/// # Errors
/// It does not run before, or which task reads what could not be said.
pub fn handed(stages: &[Stage], reader: StageId) -> Result<(), Unfit> {
    let stage_of = |id: StageId| stages.get(usize::from(id.0));
    let (Some(reads), Some(source)) = (stage_of(reader), stage_of(reader).and_then(|stage| stage.stdin)) else {
        return Ok(());
    };
    let Some(from) = stage_of(source).filter(|_| source < reader) else {
        return Err(Unfit::ReadsLater { name: reads.name.clone() });
    };
    match (from.tasks, reads.tasks) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Unfit::ReadsOtherTasks {
            from: format!("{} has tasks {}..{}", from.name, theirs.0, theirs.1),
            ours: format!("{}..{}", ours.0, ours.1),
        }),
        (Some((first, end)), _) if end - first > MOST_HANDED => Err(Unfit::HandsTooMany { count: end - first }),
        _ => Ok(()),
    }
}

/// The rule for a promise under a strategy.
///
/// # Errors
/// The strategy would start the program again, in the same lane or in another.
pub fn promise(promise: Promise, strategy: &Strategy) -> Result<(), Unfit> {
    let (lanes, restarts) = (strategy.most_lanes(), strategy.restart.limit);
    let why = match promise {
        Promise::AtMostOnce if lanes > 1 => format!("up to {lanes} lanes run the program, to compare what it does"),
        Promise::AtMostOnce if restarts > 0 => {
            format!("after an abnormal end the program is started again, up to {restarts} times")
        }
        Promise::AtMostOnce | Promise::AsOftenAsNeeded => return Ok(()),
    };
    Err(Unfit::MoreThanOnce { strategy: strategy.name.clone(), why })
}

/// Whether an absolute path is `directory` or below it.
#[must_use]
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    let mut path = parts(path);
    parts(directory).all(|part| path.next() == Some(part))
}

/// The components of a path that go somewhere.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_clean_or_are_refused() {
        let table: [(&str, Result<&str, ()>); 9] = [
            ("a", Ok("/run/a")),
            ("./a//b/.", Ok("/run/a/b")),
            (".", Ok("/run")),
            ("/a/./b/", Ok("/a/b")),
            ("/", Ok("/")),
            ("..a/b..", Ok("/run/..a/b..")),
            ("../a", Err(())),
            ("/a/..", Err(())),
            ("", Err(())),
        ];
        for (written, expected) in table {
            let found = path(b"/run", written.as_bytes());
            assert_eq!(
                found.as_ref().map(|path| path.as_slice()).map_err(|_| ()),
                expected.map(str::as_bytes),
                "{written}"
            );
        }
        assert_eq!(path(b"/run", b"a\0b"), Err(Unfit::ZeroByte));
    }

    #[test]
    fn an_output_that_cannot_be_held_is_refused() {
        let refused = |path: &str, files| output(b"/home/me/run", path.as_bytes(), files).is_err();
        let table = [
            ("/", Files::Overlay, true),
            ("/home/me", Files::Overlay, true),
            ("/home/me/run", Files::Overlay, true),
            ("/home/me/run/x", Files::Overlay, false),
            ("/home/me/run/x", Files::Scratch, true),
            ("/home/me/run/x", Files::None, true),
            ("/home/me/runs/x", Files::None, false),
            ("/dev/sda", Files::Overlay, true),
            ("/proc/sys/vm", Files::Overlay, true),
            ("/device", Files::Overlay, false),
        ];
        for (path, files, expected) in table {
            assert_eq!(refused(path, files), expected, "{path} {files:?}");
        }
    }
}
