//! What cannot be shown on this machine is reported as skipped, never as passed.

/// Reports that this test cannot be run here, and why. The test returns next; `cargo xtask check` reads
/// this line and counts it.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
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
