//! `cargo xtask mixed`: Chameleon is built for another architecture, and a whole host of it, emulated, joins one of this
//! machine's own. What came of it is written into docs/measurements.md.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Failure, only};
use crate::measurements;
use crate::prepare::find;
use crate::tree::root;

/// The other architecture, and what builds for it and runs it.
const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64-static";
const LIBRARIES: &str = "/usr/aarch64-linux-gnu/lib";
/// What the test prints in front of each figure.
const FIGURE: &str = "figure: ";

/// Builds, runs the test, and writes the page.
///
/// # Errors
/// Something that it takes is not here, cannot be built, or is not as it must be.
pub fn run(words: &[String]) -> Result<(), Failure> {
    only(words, &[], "nothing behind mixed")?;
    let missing = missing()?;
    if !missing.is_empty() {
        return Err(Failure::NotAsItMustBe(format!("not installed here: {}", missing.join("; "))));
    }
    let build = ["build", "--locked", "--package", "chameleon", "--bin", "chameleon", "--target", TARGET];
    let mut build = cargo(&build);
    let built = build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER).status().map_err(unstartable)?;
    if !built.success() {
        return Err(Failure::NotAsItMustBe(format!("Chameleon was not built for {TARGET}")));
    }
    let words = ["nextest", "run", "--workspace", "--locked", "--retries", "0", "--success-output", "immediate"];
    let mut test = cargo(&words);
    test.args(["--color", "never", "-E", "binary(mixed)"]).env("CHAMELEON_MIXED", executable());
    // The runner says everything on its standard error, what a test has printed too.
    let output = test.output().map_err(unstartable)?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    print!("{text}");
    if !output.status.success() {
        return Err(Failure::NotAsItMustBe("hosts of two architectures are no cluster".to_owned()));
    }
    measurements::put("mixed", &page(&text))
}

/// What it takes that is not here, each with how to get it.
fn missing() -> Result<Vec<String>, Failure> {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let asked = asked.map_err(|why| Failure::Unstartable { program: "rustc".to_owned(), why })?;
    let library = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    let needed = [
        (library.is_dir(), format!("the standard library for {TARGET} (rustup target add {TARGET})")),
        (find(LINKER).is_some(), format!("{LINKER} (Debian: gcc-aarch64-linux-gnu)")),
        (PathBuf::from(LIBRARIES).is_dir(), format!("{LIBRARIES} (Debian: libc6-dev-arm64-cross)")),
        (find(EMULATOR).is_some(), format!("{EMULATOR} (Debian: qemu-user-static)")),
    ];
    Ok(needed.into_iter().filter(|(is_here, _)| !is_here).map(|(_, name)| name).collect())
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(root()).stdin(Stdio::null());
    command
}

fn unstartable(why: std::io::Error) -> Failure {
    Failure::Unstartable { program: "cargo".to_owned(), why }
}

fn executable() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(TARGET).join("debug/chameleon")
}

fn page(text: &str) -> String {
    let figures: Vec<String> =
        text.lines().filter_map(|line| line.trim().strip_prefix(FIGURE)).map(|figure| format!("- {figure}")).collect();
    format!(
        "## Hosts of two architectures\n\n`cargo xtask mixed`: a host of x86-64 founds a cluster, and a whole aarch64 host joins it: \
         its daemon, its\nARMORs and its programs run under qemu-user, all as debug builds. Each command is followed by its exit \
         code: lanes on\nboth agree where the arithmetic is whole numbers (0), differ where one compiler rounds once and the \
         other twice\n(123), and are refused where all shall be of one numeric class (125).\n\n{}",
        figures.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_figures_are_taken_over() {
        let page = page("running 1 test\n    figure: a host joins: 2.0 s\nfigure: b\nok\n");
        assert!(page.ends_with("\n\n- a host joins: 2.0 s\n- b"), "{page}");
    }
}
