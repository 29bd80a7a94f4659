//! Why a command of `cargo xtask` did not succeed.

use std::path::PathBuf;

/// What went wrong, as the end of "xtask: …".
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{what} is not an argument of this command; expected {expected}")]
    Usage { what: String, expected: &'static str },
    #[error("failed to read {}, which is part of the source: {why}", path.display())]
    Unreadable { path: PathBuf, why: std::io::Error },
    #[error("failed to write {}: {why}", path.display())]
    Unwritable { path: PathBuf, why: std::io::Error },
    #[error("failed to start {program}: {why}")]
    Unstartable { program: String, why: std::io::Error },
    /// Everything was done; what was looked at is not as it must be, and that was said already.
    #[error("{0}")]
    NotAsItMustBe(String),
}

/// Refuses words that a command does not know.
///
/// # Errors
/// The first word that is not among `known`.
pub fn only(words: &[String], known: &[&str], expected: &'static str) -> Result<(), Failure> {
    match words.iter().find(|word| !known.contains(&word.as_str())) {
        Some(word) => Err(Failure::Usage { what: word.clone(), expected }),
        None => Ok(()),
    }
}
