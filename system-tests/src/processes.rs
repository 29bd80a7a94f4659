//! The processes of a trial, as /proc shows them, and what can be done to each.
//!
//! A process belongs to a trial if its environment carries the trial's mark, or if its parent belongs to
//! it. A zombie does not run: whoever is process 1 may take its time to reap it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::binary;

/// The variable that carries a trial's mark.
pub const MARK: &str = "CHAMELEON_TRIAL";

/// A process that ran when it was looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// Ticks since boot: with the pid, one process beyond doubt.
    pub started: u64,
    /// As /proc shows it: R, S, D, T, t …
    pub state: char,
    pub command: Vec<String>,
}

impl Process {
    /// The process of this number, if it runs.
    #[must_use]
    pub fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let state = fields.first()?.chars().next()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let process = Process {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            state,
            command: command.filter(|word| !word.is_empty()).collect(),
        };
        (!matches!(state, 'Z' | 'X')).then_some(process)
    }

    /// Whether it still runs, and is no other by now.
    #[must_use]
    pub fn runs(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// The second word of its command line, if it is Chameleon: `daemon`, `armor`, `slot`, `run` …
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        let program = fs::read_link(format!("/proc/{}/exe", self.pid)).ok()?;
        let ours = binary::chameleon().canonicalize().is_ok_and(|chameleon| chameleon == program);
        ours.then(|| self.command.get(1).map(String::as_str)).flatten()
    }

    /// Sends a signal, to this process and no other.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pidfd = self.pidfd()?;
        Ok(pidfd_send_signal(&pidfd, signal)?)
    }

    /// A descriptor of this process and no other.
    fn pidfd(&self) -> io::Result<OwnedFd> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let pid = Pid::from_raw(self.pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        if self.runs() { Ok(pidfd) } else { Err(gone()) }
    }

    /// Waits for its end; `false`: it still runs after that long.
    #[must_use]
    pub fn ends_within(&self, within: Duration) -> bool {
        let Ok(pidfd) = self.pidfd() else { return true };
        let patience = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).is_ok_and(|ready| ready > 0)
    }

    /// Makes its main thread spin for good at the instruction where it is: it uses the CPU and does nothing.
    ///
    /// # Errors
    /// It is gone, or may not be traced.
    #[cfg(target_arch = "x86_64")]
    pub fn spin(&self) -> io::Result<()> {
        const JUMP_TO_ITSELF: i64 = 0xFEEB;
        let pid = nix::unistd::Pid::from_raw(self.pid);
        ptrace::attach(pid)?;
        let stopped = loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL))? {
                WaitStatus::Stopped(_, nix::sys::signal::Signal::SIGSTOP) => break true,
                WaitStatus::Stopped(_, other) => ptrace::cont(pid, other)?,
                _ => break false,
            }
        };
        if !stopped {
            return Err(io::ErrorKind::NotFound.into());
        }
        let patched = (|| {
            let mut registers = ptrace::getregs(pid)?;
            // No interrupted system call is begun again: that would step back over the patch.
            registers.orig_rax = u64::MAX;
            ptrace::setregs(pid, registers)?;
            let at = registers.rip as ptrace::AddressType;
            let word = ptrace::read(pid, at)?;
            ptrace::write(pid, at, (word & !0xFFFF) | JUMP_TO_ITSELF)
        })();
        ptrace::detach(pid, None)?;
        Ok(patched?)
    }

    /// # Errors
    /// Always: the instruction is not known for this processor.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn spin(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// CPU time used so far, in ticks of 10 ms.
    #[must_use]
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (of {}, {}) {}", self.pid, self.parent, self.state, self.command.join(" "))
    }
}

/// All processes that belong to the trial of this mark, in order of pids.
#[must_use]
pub fn of_mark(mark: &str) -> Vec<Process> {
    of_environment(&format!("{MARK}={mark}"))
}

/// All processes that were started for this home, and what comes of them, in order of pids.
#[must_use]
pub fn of_home(home: &Path) -> Vec<Process> {
    of_environment(&format!("CHAMELEON_HOME={}", home.display()))
}

fn of_environment(entry: &str) -> Vec<Process> {
    with_all_that_comes_of_them(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    })
}

/// All processes that are in the network namespace of this inode, and what comes of them, in order of pids.
#[must_use]
pub fn of_network(inode: u64) -> Vec<Process> {
    with_all_that_comes_of_them(|pid| {
        let space = fs::metadata(format!("/proc/{pid}/ns/net"));
        space.is_ok_and(|space| space.ino() == inode)
    })
}

fn with_all_that_comes_of_them(belongs: impl Fn(i32) -> bool) -> Vec<Process> {
    let all: BTreeMap<i32, Process> = all().into_iter().map(|process| (process.pid, process)).collect();
    let mut members: BTreeMap<i32, &Process> =
        all.iter().filter(|(pid, _)| belongs(**pid)).map(|(p, q)| (*p, q)).collect();
    loop {
        let known = members.len();
        let children = all.values().filter(|process| members.contains_key(&process.parent));
        let children: Vec<&Process> = children.collect();
        members.extend(children.into_iter().map(|process| (process.pid, process)));
        if members.len() == known {
            return members.into_values().cloned().collect();
        }
    }
}

/// These processes of a trial and all that descend from them.
#[must_use]
pub fn tree(mark: &str, roots: &BTreeSet<i32>) -> Vec<Process> {
    let mut all = of_mark(mark);
    let mut pids = roots.clone();
    loop {
        let known = pids.len();
        let children: Vec<i32> = all.iter().filter(|one| pids.contains(&one.parent)).map(|one| one.pid).collect();
        pids.extend(children);
        if pids.len() == known {
            all.retain(|process| pids.contains(&process.pid));
            return all;
        }
    }
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).collect()
}

/// Waits until nothing of a trial runs; otherwise what still does.
#[must_use]
pub fn left_after(mark: &str, within: Duration) -> Vec<Process> {
    let begin = Instant::now();
    loop {
        let left = of_mark(mark);
        let rest = within.saturating_sub(begin.elapsed());
        let Some(first) = left.first() else { return left };
        if rest.is_zero() || !first.ends_within(rest) {
            return of_mark(mark);
        }
    }
}

/// Ends all that a trial left, so that a failed test does no further harm.
pub fn kill_all(mark: &str) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let left = of_mark(mark);
        if left.is_empty() {
            return;
        }
        for process in &left {
            let _ = process.signal(Signal::KILL);
        }
        for process in &left {
            let _ = process.ends_within(Duration::from_millis(200));
        }
    }
}
