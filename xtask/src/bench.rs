//! `cargo xtask bench [GROUP…]`: what we promise, measured in release mode and written to `docs/measurements.md`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::measurements;

/// Measures all groups of rows, or those named; each is a section of its own.
pub fn run(root: &Path, groups: &[String]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["run", "--quiet", "--release", "--package", "chameleon-benches", "--"]);
    let output = command.args(groups).stderr(Stdio::inherit()).output().map_err(|why| format!("run cargo: {why}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if !output.status.success() {
        return Err("measure: see above".to_owned());
    }
    let section = if groups.is_empty() { "benchmarks".to_owned() } else { format!("benchmarks of {}", groups.join(", ")) };
    measurements::put(root, &section, &format!("## Benchmarks\n\n{text}"))
        .map_err(|why| format!("write docs/measurements.md: {why}"))
}
