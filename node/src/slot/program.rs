//! Which file a command means: the search that `execvp` does, with the program's own PATH.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

/// Where `env` looks if there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why a command cannot be executed, as the exit code that `env` gives for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfound {
    /// 127: there is no such program.
    Missing,
    /// 126: there is one, but it may not be executed.
    NotExecutable,
}

/// The file that `command` means, searched as `execvp` does; `directory` is where relative names start.
pub fn look_up(command: &OsStr, directory: &Path, path: Option<&OsStr>) -> Result<PathBuf, Unfound> {
    if command.is_empty() {
        return Err(Unfound::Missing);
    }
    if command.as_bytes().contains(&b'/') {
        return executable(command, directory);
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes();
    let mut worst = Unfound::Missing;
    for folder in path.split(|byte| *byte == b':') {
        let folder = if folder.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(folder)) };
        match executable(folder.join(command).as_os_str(), directory) {
            Ok(program) => return Ok(program),
            Err(Unfound::NotExecutable) => worst = Unfound::NotExecutable,
            Err(Unfound::Missing) => {}
        }
    }
    Err(worst)
}

fn executable(file: &OsStr, directory: &Path) -> Result<PathBuf, Unfound> {
    let file = directory.join(file);
    match rustix::fs::accessat(CWD, &file, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) if file.is_file() => Ok(file),
        Ok(()) | Err(Errno::ACCESS) => Err(Unfound::NotExecutable),
        Err(_) => Err(Unfound::Missing),
    }
}

/// The file that a command means in this environment, if there is one.
pub(super) fn find(command: &OsStr, directory: &Path, environment: &[OsString]) -> Option<PathBuf> {
    look_up(command, directory, super::plan::variable(environment, "PATH")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let (good, plain) = (folder.path().join("good"), folder.path().join("plain"));
        for (file, mode) in [(&good, 0o755), (&plain, 0o644)] {
            std::fs::write(file, "").unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let path = Some(folder.path().as_os_str());
        let cases = [
            ("good", path, Ok(good.clone())),
            ("./good", None, Ok(folder.path().join("./good"))),
            ("plain", path, Err(Unfound::NotExecutable)),
            ("folder", path, Err(Unfound::NotExecutable)),
            ("absent", path, Err(Unfound::Missing)),
            ("", path, Err(Unfound::Missing)),
            ("good", Some(OsStr::new("/nowhere:")), Ok(folder.path().join("./good"))),
        ];
        for (command, path, expected) in cases {
            assert_eq!(look_up(OsStr::new(command), folder.path(), path), expected, "{command:?}");
        }
    }
}
