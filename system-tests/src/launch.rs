//! Running a command with a bound on its time: whatever hangs is a failure with a name, not a hanging test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::{self, Process};

/// How long a command may take unless the test says otherwise.
const WITHIN: Duration = Duration::from_secs(60);
/// How long somebody else may hold the output of an ended command open.
const HELD_OPEN: Duration = Duration::from_secs(5);

/// A command about to be run.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    mark: String,
    stdin: Option<Vec<u8>>,
    within: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> End {
        match status.code() {
            Some(code) => End::Exit(code),
            None => End::Signal(status.signal().unwrap_or_default()),
        }
    }
}

impl End {
    /// As a shell would show it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            End::Exit(code) => code,
            End::Signal(number) => 128 + number,
        }
    }
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    pub pid: i32,
    pub end: End,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub took: Duration,
}

impl Finished {
    /// Standard output as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|why| panic!("no JSON ({why}): {self}"))
    }

    /// This, if the command exited so.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn exits(self, code: i32) -> Finished {
        assert_eq!(self.end, End::Exit(code), "{self}");
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]).into_owned();
        writeln!(f, "{:?} after {:?}", self.end, self.took)?;
        write!(f, "stdout: {}\nstderr: {}", shown(&self.stdout), shown(&self.stderr))
    }
}

impl Launch {
    /// A command that belongs to the trial of this mark.
    pub fn new(program: impl AsRef<OsStr>, mark: &str) -> Launch {
        let mut command = Command::new(program);
        command.env(processes::MARK, mark).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Launch { command, mark: mark.to_owned(), stdin: None, within: WITHIN }
    }

    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Launch {
        self.command.args(arguments);
        self
    }

    #[must_use]
    pub fn directory(mut self, path: &Path) -> Launch {
        self.command.current_dir(path);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Launch {
        self.command.env_remove(name);
        self
    }

    /// Standard input through a pipe, closed after these bytes.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Launch {
        self.stdin = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Standard input from wherever this leads.
    #[must_use]
    pub fn stdin_from(mut self, from: impl Into<Stdio>) -> Launch {
        self.command.stdin(from);
        self
    }

    /// Standard output to wherever this leads; [`Finished::stdout`] is empty then.
    #[must_use]
    pub fn stdout_to(mut self, to: impl Into<Stdio>) -> Launch {
        self.command.stdout(to);
        self
    }

    /// Standard error to wherever this leads; [`Finished::stderr`] is empty then.
    #[must_use]
    pub fn stderr_to(mut self, to: impl Into<Stdio>) -> Launch {
        self.command.stderr(to);
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Launch {
        self.within = within;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started or takes too long.
    #[track_caller]
    #[must_use]
    pub fn run(self) -> Finished {
        self.start().wait()
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(mut self) -> Started {
        // Spawning waits until the program is executed: its time counts.
        let begin = Instant::now();
        let mut child = self.command.spawn().unwrap_or_else(|why| panic!("{:?}: {why}", self.command));
        if let (Some(bytes), Some(mut pipe)) = (self.stdin.take(), child.stdin.take()) {
            // A program need not read all of its input.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
        let process = Process::of(child.id() as i32);
        Started {
            what: format!("{:?}", self.command),
            mark: self.mark,
            child,
            process,
            stdout,
            stderr,
            within: self.within,
            begin,
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, collected) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    collected
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    what: String,
    mark: String,
    child: Child,
    process: Option<Process>,
    stdout: Option<Receiver<Vec<u8>>>,
    stderr: Option<Receiver<Vec<u8>>>,
    within: Duration,
    begin: Instant,
}

impl Started {
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The process, if it ran when it was looked at.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it takes longer than it may; all processes of the trial are listed and ended.
    #[track_caller]
    #[must_use]
    pub fn wait(mut self) -> Finished {
        let pid = self.pid();
        let rest = self.within.saturating_sub(self.begin.elapsed());
        let ended = self.process.as_ref().is_none_or(|process| process.ends_within(rest));
        if !ended {
            self.give_up("did not end");
        }
        let status = self.child.wait().expect("a child can be waited for");
        let took = self.begin.elapsed();
        let stdout = self.stdout.take();
        let stdout = self.collected(stdout, "left its standard output open to others");
        let stderr = self.stderr.take();
        let stderr = self.collected(stderr, "left its standard error open to others");
        Finished { pid, end: status.into(), stdout, stderr, took }
    }

    #[track_caller]
    fn collected(&mut self, from: Option<Receiver<Vec<u8>>>, otherwise: &str) -> Vec<u8> {
        let Some(from) = from else { return Vec::new() };
        from.recv_timeout(HELD_OPEN).unwrap_or_else(|_| self.give_up(otherwise))
    }

    #[track_caller]
    fn give_up(&mut self, what: &str) -> ! {
        let left: Vec<String> = processes::of_mark(&self.mark).iter().map(ToString::to_string).collect();
        processes::kill_all(&self.mark);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.stderr.take().and_then(|from| from.recv_timeout(HELD_OPEN).ok()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        panic!("{} {what} within {:?}; it ran:\n{}\nstderr: {said}", self.what, self.within, left.join("\n"));
    }
}

/// A file opened for reading, for [`Launch::stdin_from`].
///
/// # Panics
/// If it cannot be opened.
#[track_caller]
#[must_use]
pub fn reading(path: &Path) -> File {
    File::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// A file made anew for writing, for [`Launch::stdout_to`].
///
/// # Panics
/// If it cannot be made.
#[track_caller]
#[must_use]
pub fn writing(path: &Path) -> File {
    File::create(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}
