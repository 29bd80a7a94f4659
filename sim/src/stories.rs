//! The scenarios: each a text that tells what happens, and below a line of dashes what happened when it
//! was last blessed. A change of behaviour shows as a change of that record, which is read like prose.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::liveness::{self, Run};
use crate::script::{self, BadLine};
use crate::trace::Detail;
use crate::world::Raise;

/// Between a story and its record.
const DASHES: &str = "\n----\n";

/// Why a story is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum NotAsTold {
    #[error("failed to read or write {path}: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error(transparent)]
    Bad(#[from] BadLine),
    /// It ended otherwise, or an invariant was broken.
    #[error("{0}")]
    Broken(Box<Run>),
    #[error(
        "it went otherwise than recorded, first in line {line}:\n  recorded: {recorded}\n  now:      {now}\n\
         read the new record and keep it with: cargo xtask stories --bless"
    )]
    Otherwise { line: usize, recorded: String, now: String },
}

/// The stories of a directory, in order of their names.
#[must_use]
pub fn paths(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let mut paths: Vec<PathBuf> = entries.unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

/// Lets a story happen and compares it with its record; with `bless` the record is written instead.
///
/// # Errors
/// The story does not read, ends otherwise than it says, or goes otherwise than recorded.
pub fn check(path: &Path, raise: Raise, bless: bool) -> Result<(), NotAsTold> {
    let unreadable = |error| NotAsTold::Unreadable { path: path.display().to_string(), error };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let (told, recorded) = text.split_once(DASHES).unwrap_or((text.trim_end(), ""));
    let run = liveness::tell(script::parse(told)?, raise, Detail::Story);
    if run.violation.is_some() {
        return Err(NotAsTold::Broken(Box::new(run)));
    }
    let now = run.lines.join("\n");
    if bless {
        return fs::write(path, format!("{}{DASHES}{now}\n", told.trim_end())).map_err(unreadable);
    }
    compare(recorded.trim_end(), &now)
}

fn compare(recorded: &str, now: &str) -> Result<(), NotAsTold> {
    let count = recorded.lines().count().max(now.lines().count());
    let line_of = |text: &str, index: usize| text.lines().nth(index).unwrap_or("(nothing)").to_owned();
    match (0..count).find(|&index| line_of(recorded, index) != line_of(now, index)) {
        None => Ok(()),
        Some(index) => {
            Err(NotAsTold::Otherwise { line: index + 1, recorded: line_of(recorded, index), now: line_of(now, index) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert!(compare("a\nb", "a\nb").is_ok());
        let error = compare("a\nb", "a\nc\nd").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("recorded: b"), "{error}");
        assert!(compare("", "a").is_err(), "a story without a record is not as told");
    }
}
