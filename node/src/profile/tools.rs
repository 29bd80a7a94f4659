//! Compilers and interpreters that are there, with what they say of their version.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chameleon_core::profile::Tool;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, kill_process_group};

/// What is looked for, and how it is asked for its version.
const KNOWN: [(&str, &str); 15] = [
    ("cc", "--version"),
    ("gcc", "--version"),
    ("clang", "--version"),
    ("g++", "--version"),
    ("gfortran", "--version"),
    ("rustc", "--version"),
    ("go", "version"),
    ("java", "-version"),
    ("python3", "--version"),
    ("perl", "-v"),
    ("ruby", "--version"),
    ("node", "--version"),
    ("lua", "-v"),
    ("R", "--version"),
    ("julia", "--version"),
];
/// How long one of them, and all together, may take.
const EACH: Duration = Duration::from_secs(1);
const ALL: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);
/// The exit code of a call for which there was no program: emulators tell of that no sooner.
const UNFOUND: i32 = 127;
/// How much of an answer is read, and how much is kept.
const READ: usize = 4096;
const KEPT: usize = 120;

/// The names of what is looked for.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name)
}

/// Asks each that is there.
pub fn find() -> Vec<Tool> {
    let began = Instant::now();
    let answers = KNOWN.iter().map_while(|(name, flag)| {
        let left = ALL.checked_sub(began.elapsed())?;
        Some((*name, ask(name, flag, left.min(EACH))))
    });
    let there = answers.filter_map(|(name, answer)| Some(Tool { name: name.to_owned(), version: answer? }));
    there.collect()
}

/// What a program says of its version; `None` if there is no such program.
fn ask(name: &str, flag: &str, most: Duration) -> Option<String> {
    let answer = File::from(rustix::fs::memfd_create("answer", MemfdFlags::CLOEXEC).ok()?);
    let mut command = Command::new(name);
    command.arg(flag).stdin(Stdio::null()).stdout(answer.try_clone().ok()?).stderr(answer.try_clone().ok()?);
    // A group of its own, so that all that it starts ends with it.
    let mut child = command.process_group(0).spawn().ok()?;
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if began.elapsed() < most => thread::sleep(PAUSE),
            Ok(None) | Err(_) => {
                if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait();
                return Some("does not say its version in time".to_owned());
            }
            Ok(Some(status)) if status.code() == Some(UNFOUND) => return None,
            Ok(Some(_)) => break,
        }
    }
    let mut bytes = vec![0; READ];
    let length = answer.read_at(&mut bytes, 0).ok()?;
    Some(first_line(&String::from_utf8_lossy(&bytes[..length])))
}

/// The first line that says something, cut.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("says nothing of its version");
    line.chars().filter(|letter| !letter.is_control()).take(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_asked_and_one_that_hangs_is_left() {
        assert_eq!(ask("no-such-program-at-all", "--version", EACH), None);
        let began = Instant::now();
        let short = Duration::from_millis(50);
        assert_eq!(ask("sleep", "1000", short).as_deref(), Some("does not say its version in time"));
        assert!(began.elapsed() < Duration::from_secs(60), "it was waited for");
        assert_eq!(ask("echo", "1.2.3", EACH * 30).as_deref(), Some("1.2.3"));
    }

    #[test]
    fn the_first_line_that_says_something_counts() {
        assert_eq!(first_line("\n\n This is perl 5\nmore"), "This is perl 5");
        assert_eq!(first_line(""), "says nothing of its version");
        assert_eq!(first_line(&"x".repeat(500)).len(), KEPT);
    }
}
