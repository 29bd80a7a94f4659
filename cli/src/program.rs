//! Why a program could not be started, in the words of `env`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chameleon_core::job::{Job, OsBytes};
use chameleon_core::world::End;
use rustix::fs::{Access, access};

/// Where programs are looked for without a PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The sentence for a job that ended so.
pub fn why_unstarted(job: &Job, end: End) -> String {
    let programs = || job.stages.iter().filter_map(|stage| stage.command.first());
    let culprit = programs().find(|program| (find(job, program).is_none()) == (end == End::NotFound));
    let program = culprit.or_else(|| programs().next()).map(|program| String::from_utf8_lossy(program).into_owned());
    let why = match (end, culprit.and_then(|program| find(job, program))) {
        (End::NotExecutable, Some(path)) if access(&path, Access::EXEC_OK).is_ok() && path.is_file() => {
            "Exec format error"
        }
        (End::NotExecutable, _) => "Permission denied",
        _ => "No such file or directory",
    };
    format!("‘{}’: {why}", program.unwrap_or_default())
}

/// The file that a program's name stands for, executable or not.
fn find(job: &Job, program: &OsBytes) -> Option<PathBuf> {
    let directory = Path::new(OsStr::from_bytes(&job.directory));
    let name = OsStr::from_bytes(program);
    if program.contains(&b'/') {
        return Some(directory.join(name)).filter(|path| path.exists());
    }
    let path = job.environment.iter().rev().find_map(|entry| entry.strip_prefix(b"PATH="));
    let places = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':').map(OsStr::from_bytes);
    places.map(|place| directory.join(place).join(name)).find(|path| path.exists())
}
