//! The program under test: built once for a run of the tests, however many processes the run has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of `chameleon`: that of `CHAMELEON_BIN`, else the one beside the running test, built anew.
pub fn chameleon() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("CHAMELEON_BIN").map_or_else(build, PathBuf::from))
}

/// A directory for what tests write, which programs see as it is: on the disk of the build, unless the source tree lies
/// where every lane has a directory of its own.
pub fn scratch() -> PathBuf {
    let built = profile_directory().parent().expect("a profile has a target directory").join("tmp");
    let is_private = ["/tmp", "/dev/shm", "/run"].iter().any(|private| built.starts_with(private));
    let user = rustix::process::getuid().as_raw();
    let path = if is_private { Path::new("/var/tmp").join(format!("chameleon-tests-{user}")) } else { built };
    fs::create_dir_all(&path).expect("the target directory can be written");
    path
}

/// Where cargo puts what it builds for the profile of this test.
fn profile_directory() -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let directory = this.parent().expect("a program lies in a directory");
    let beside = matches!(directory.file_name().and_then(|name| name.to_str()), Some("deps" | "examples"));
    let directory = if beside { directory.parent().expect("deps lies in the profile's directory") } else { directory };
    directory.to_owned()
}

fn build() -> PathBuf {
    let profile = profile_directory();
    let stamp = scratch().join("built-for");
    let lock = fs::File::create(scratch().join("build.lock")).expect("the target directory can be written");
    lock.lock().expect("a file can be locked");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&this_run()) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--package", "chameleon", "--target-dir"]);
        command.arg(profile.parent().expect("a profile has a target directory")).current_dir(workspace());
        if profile.ends_with("release") {
            command.arg("--release");
        }
        assert!(command.status().expect("cargo runs").success(), "chameleon must build");
        fs::write(&stamp, this_run()).expect("the target directory can be written");
    }
    profile.join("chameleon")
}

/// What all processes of one run of the tests have in common.
fn this_run() -> String {
    std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| {
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        format!("started by {parent}")
    })
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
