//! The host's own policy: a file that its owner writes, read at the start of the daemon and whenever
//! it has changed. What it means is decided elsewhere.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chameleon_core::profile::Label;
use chameleon_core::world::ProcessEvent;

use crate::event_loop::Reporter;

/// How often it is looked whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells one version of a file from the next.
type Version = Option<(SystemTime, u64)>;

/// Reports what the file says now, and again whenever it has changed. What is reported here first comes before all
/// that is heard later.
pub fn watch(path: PathBuf, reporter: Reporter) {
    let mut known = version(&path);
    report(&path, &reporter);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let found = version(&path);
            if found != known {
                known = found;
                report(&path, &reporter);
            }
        }
    });
}

fn version(path: &Path) -> Version {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn report(path: &Path, reporter: &Reporter) {
    let text = match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    reporter.process(ProcessEvent::PolicyRead(text));
}

/// What the host calls itself; nothing, if that cannot be read.
#[must_use]
pub fn labels(path: &Path) -> Vec<Label> {
    let bytes = fs::read(path).unwrap_or_default();
    chameleon_core::policy::parse("policy.toml", &bytes).map(|policy| policy.labels).unwrap_or_default()
}
