//! What cannot be shown on this machine is reported as skipped, never as passed.

use std::fs::OpenOptions;
use std::io::Write;

/// The file to which skipped tests are written, a line each: the test's name, a tab, and why.
/// Whoever runs the tests names it and counts the lines.
pub const SKIPPED: &str = "CHAMELEON_SKIPPED";

/// Reports that this test cannot be run here, and why. The test returns next.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    eprintln!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os(SKIPPED) {
        let line = format!("{test}\t{why}\n");
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the list of skipped tests can be written");
    }
}

/// Whether these programs are all here; reports the first that is not.
#[must_use]
pub fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs.iter().find(|name| !std::env::split_paths(&path).any(|there| there.join(name).is_file()));
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
