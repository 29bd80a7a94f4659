//! What cannot be shown on this machine is reported as skipped, never as passed.

use std::path::PathBuf;

/// Reports that this test cannot be run here, and why. The test returns next; `cargo xtask check` reads
/// this line and counts it.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// Where a program is, as a shell would find it.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|there| there.join(program)).find(|file| file.is_file())
}

/// Whether these programs are all here; reports the first that is not.
#[must_use]
pub fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|name| find(name).is_none());
    if let Some(name) = missing {
        skip(&format!("{name} is not installed"));
    }
    missing.is_none()
}

/// Whether this test runs as root, which what it does to the system needs; reports it if not.
#[must_use]
pub fn is_root(what_for: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(&format!("only root may {what_for}"));
    }
    root
}
