//! One other process, held by a pidfd: whatever is done to it is done to it and to no other.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use chameleon_core::world::{ProcessMark, ProcessSample};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::mark::{self, Stat};

/// A process that is or was.
#[derive(Debug, Clone)]
pub struct Process {
    pidfd: Arc<OwnedFd>,
    mark: ProcessMark,
}

impl Process {
    /// Takes hold of the marked process.
    ///
    /// # Errors
    /// If it is gone, or if the pid belongs to another one by now.
    pub fn open(mark: &ProcessMark) -> io::Result<Process> {
        let process = Process::open_pid(mark.pid)?;
        match process.mark == *mark {
            true => Ok(process),
            false => Err(Errno::SRCH.into()),
        }
    }

    /// Takes hold of the process that has this pid now: for our own children that were not reaped yet.
    ///
    /// # Errors
    /// If there is none.
    pub fn open_pid(pid: u32) -> io::Result<Process> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty())?;
        Process::with_pidfd(pid, pidfd)
    }

    /// Takes hold of the process that listens or connects at the other end of a Unix socket.
    ///
    /// # Errors
    /// If it is gone.
    pub fn at_other_end(socket: impl AsFd) -> io::Result<Process> {
        let credentials = rustix::net::sockopt::socket_peercred(&socket)?;
        let pid = credentials.pid.as_raw_nonzero().get().cast_unsigned();
        match crate::os::linux::peer::pidfd(&socket) {
            Ok(pidfd) => Process::with_pidfd(pid, pidfd),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Process::open_pid(pid),
            Err(error) => Err(error),
        }
    }

    /// The mark is read after the pidfd was opened: if the process still lives then, both mean the same.
    fn with_pidfd(pid: u32, pidfd: OwnedFd) -> io::Result<Process> {
        let mark = mark::of(pid)?;
        let process = Process { pidfd: Arc::new(pidfd), mark };
        if process.has_exited() && !process.is_our_child() { Err(Errno::SRCH.into()) } else { Ok(process) }
    }

    #[must_use]
    pub fn mark(&self) -> &ProcessMark {
        &self.mark
    }

    /// Ends it, stopped or not. That it is gone already is as good.
    pub fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&*self.pidfd, Signal::KILL);
    }

    /// Whether it has exited; it may be a zombie still.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }

    /// Waits until it exits, for at most this long (`None`: for ever); says whether it has.
    pub fn wait(&self, most: Option<&Timespec>) -> bool {
        let mut polled = [PollFd::new(&*self.pidfd, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut polled, most) {
                Err(Errno::INTR) => {}
                outcome => return outcome.is_ok_and(|ready| ready > 0),
            }
        }
    }

    /// Waits until it exits, and reaps it if it is our child.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub async fn exited(&self) -> io::Result<()> {
        let watched =
            crate::os::readiness::watch(self.pidfd.as_fd().try_clone_to_owned()?, tokio::io::Interest::READABLE)?;
        watched.readable().await?.retain_ready();
        self.reap();
        Ok(())
    }

    /// Lets the system forget it, if it is our child and has exited.
    pub fn reap(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
    }

    fn is_our_child(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options).is_ok()
    }

    /// What the system says of it; `None`: it is gone.
    #[must_use]
    pub fn sample(&self) -> Option<ProcessSample> {
        let stat = Stat::of_process(self.mark.pid).ok().filter(|stat| stat.start_time == self.mark.start_time)?;
        let schedule = fs::read_to_string(format!("/proc/{}/schedstat", self.mark.pid)).unwrap_or_default();
        let waited_ns = schedule.split_ascii_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
        if self.has_exited() {
            return None;
        }
        Some(ProcessSample {
            stopped: matches!(stat.state, b'T' | b't'),
            cpu_us: stat.cpu_ticks * 1_000_000 / rustix::param::clock_ticks_per_second(),
            starved_us: waited_ns.unwrap_or_default() / 1_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> (Child, Process) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::open_pid(child.id()).unwrap();
        (child, process)
    }

    fn soon() -> Option<Timespec> {
        Some(Timespec { tv_sec: 10, tv_nsec: 0 })
    }

    #[test]
    fn a_process_is_sampled_killed_even_if_stopped_and_found_gone() {
        let (mut child, process) = sleeper();
        assert!(!process.sample().unwrap().stopped);
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, Signal::STOP).unwrap();
        while !process.sample().unwrap().stopped {
            std::thread::yield_now();
        }
        process.kill();
        assert!(process.wait(soon().as_ref()));
        assert_eq!(process.sample(), None);
        child.wait().unwrap();
        assert!(Process::open(process.mark()).is_err());
    }

    #[test]
    fn another_process_of_the_same_pid_is_not_taken_for_it() {
        let (mut child, process) = sleeper();
        let earlier = ProcessMark { start_time: process.mark().start_time - 1, ..process.mark().clone() };
        assert!(Process::open(&earlier).is_err());
        assert!(Process::open(process.mark()).is_ok());
        process.kill();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn an_exit_is_noticed_and_the_child_reaped() {
        let (_child, process) = sleeper();
        process.kill();
        process.exited().await.unwrap();
        assert!(mark::of(process.mark().pid).is_err(), "no zombie is left");
    }

    #[test]
    fn the_process_at_the_other_end_of_a_socket_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(*Process::at_other_end(&stream).unwrap().mark(), mark::own());
    }
}
