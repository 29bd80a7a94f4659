//! Runs a person's command, to notify them or to start a lost host: a text comes on its standard input.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use chameleon_core::job::OsBytes;
use rustix::event::Timespec;
use rustix::process::{Pid, Signal};

use super::Process;

/// How long the command may take, in seconds.
const LIMIT_S: i64 = 30;
/// A pipe holds this much even if the command does not read; longer texts are cut.
const LONGEST: usize = 60 << 10;

/// Why the command did not do its part.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotifyError {
    #[error("no {what} command is set")]
    NoCommand { what: &'static str },
    #[error("cannot run the {what} command {program}: {source}")]
    Run { what: &'static str, program: String, source: io::Error },
    #[error("the {what} command {program} ended with {status}")]
    Failed { what: &'static str, program: String, status: ExitStatus },
    #[error("the {what} command {program} took longer than {LIMIT_S} s and was killed")]
    Late { what: &'static str, program: String },
}

/// Runs the command and waits for it, for a bounded time.
pub(super) fn run(what: &'static str, command: &[OsBytes], text: &str) -> Result<(), NotifyError> {
    let (program, arguments) = command.split_first().ok_or(NotifyError::NoCommand { what })?;
    let name = String::from_utf8_lossy(program).into_owned();
    let failed = |source| NotifyError::Run { what, program: name.clone(), source };
    let mut child = Command::new(OsStr::from_bytes(program))
        .args(arguments.iter().map(|argument| OsStr::from_bytes(argument)))
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let process = Process::open_pid(child.id()).map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not want to know the details closes its input: no failure.
        let line = [&text.as_bytes()[..text.len().min(LONGEST)], b"\n"].concat();
        let _ = stdin.write_all(&line);
    }
    let in_time = process.wait(Some(&Timespec { tv_sec: LIMIT_S, tv_nsec: 0 }));
    if !in_time && let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false if in_time => Err(NotifyError::Failed { what, program: name, status }),
        false => Err(NotifyError::Late { what, program: name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Vec<OsBytes> {
        words.iter().map(|word| word.as_bytes().to_vec().into()).collect()
    }

    #[test]
    fn the_command_reads_the_text_and_its_failure_is_told() {
        let check = ["sh", "-c", "test \"$(cat)\" = \"lane 1 failed\""];
        run("notify", &command(&check), "lane 1 failed").unwrap();
        assert!(matches!(run("notify", &command(&check), "else"), Err(NotifyError::Failed { .. })));
        assert!(matches!(run("notify", &command(&["/no/such"]), "x"), Err(NotifyError::Run { .. })));
        run("notify", &command(&["true"]), &"x".repeat(1 << 20)).unwrap();
    }
}
