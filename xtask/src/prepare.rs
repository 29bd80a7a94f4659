//! What tests need from the system: looked for, installed where that is possible, named where not.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Failure, only};

/// A program that tests start, and the Debian package it comes in.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "gcc", package: "gcc" },
    Tool { program: "make", package: "make" },
    Tool { program: "git", package: "git" },
    Tool { program: "python3", package: "python3-minimal" },
    Tool { program: "sqlite3", package: "sqlite3" },
    Tool { program: "tar", package: "tar" },
    Tool { program: "gzip", package: "gzip" },
    Tool { program: "find", package: "findutils" },
    Tool { program: "unshare", package: "util-linux" },
    Tool { program: "nsenter", package: "util-linux" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "nft", package: "nftables" },
    Tool { program: "etcd", package: "etcd-server" },
];

/// `cargo xtask prepare`: what can be installed is; what is still missing is named. Missing tools are
/// no failure: a test that needs one says so and is skipped.
///
/// # Errors
/// Only a word that is not expected.
pub fn run(words: &[String]) -> Result<(), Failure> {
    only(words, &[], "nothing behind prepare")?;
    prepare();
    Ok(())
}

/// Installs what is missing, if this is Debian and we are root.
pub fn prepare() {
    let packages: Vec<&str> = missing().map(|tool| tool.package).collect();
    if !packages.is_empty() {
        println!("prepare: missing packages: {}", packages.join(" "));
        if !is_root() || find("apt-get").is_none() {
            println!("prepare: they cannot be installed here: that takes root and apt-get");
        } else if !(apt_get(&["install"], &packages) || apt_get(&["update"], &[]) && apt_get(&["install"], &packages)) {
            println!("prepare: apt-get could not install them");
        }
    }
    for tool in missing() {
        println!("prepare: {} is not here (package {}): tests that need it are skipped", tool.program, tool.package);
    }
}

fn missing() -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(|tool| find(tool.program).is_none())
}

/// Where a program is, as a shell would find it; system programs may be outside of a person's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

fn apt_get(task: &[&str], packages: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-y", "--no-install-recommends"]).args(task).args(packages);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_a_shell_finds_it() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
