//! What a program that is built on this host depends on besides its sources: the kind of machine, the C library, and the
//! compilers that its build finds. They are known by their files, which costs nothing, and not asked.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chameleon_core::job::Build;

use super::tools;
use crate::os::c_library;
use crate::slot::program::look_up;

/// The same text on the same platform, another after a compiler was put in or replaced.
#[must_use]
pub fn of(build: &Build) -> String {
    let search = build.environment.iter().find_map(|entry| entry.strip_prefix(b"PATH="));
    let own = build.command.first().map(|word| OsString::from_vec(word.to_vec()));
    let names = tools::names().map(OsString::from).chain(own);
    let system = rustix::system::uname();
    let mut text = format!(
        "{} {} {}",
        system.sysname().to_string_lossy(),
        system.machine().to_string_lossy(),
        c_library::version().unwrap_or_default()
    );
    for name in names {
        text.extend(file(&name, search.map(OsStr::from_bytes)));
    }
    text
}

/// Which file a name means, and how it is told from the one that replaces it.
fn file(name: &OsStr, search: Option<&OsStr>) -> Option<String> {
    let path = look_up(name, Path::new("/"), search).ok()?.canonicalize().ok()?;
    let data = fs::metadata(&path).ok()?;
    Some(format!("\n{} {} {}.{}", path.display(), data.size(), data.mtime(), data.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_compiler_that_is_put_in_or_replaced_makes_another_platform() {
        let directory = tempfile::tempdir().unwrap();
        let path = [b"PATH=".as_slice(), directory.path().as_os_str().as_bytes()].concat();
        let build = Build {
            source: vec![],
            command: vec![b"make".to_vec().into()],
            outputs: vec![],
            environment: vec![path.into()],
        };
        let mut all = vec![of(&build)];
        for (name, content) in [("gcc", "12"), ("gcc", "12.1"), ("make", "4")] {
            let file = directory.path().join(name);
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            let platform = of(&build);
            assert_eq!(platform, of(&build));
            assert!(!all.contains(&platform), "{name} {content}: {platform}");
            all.push(platform);
        }
    }
}
