//! A program with all that it starts, as a group of processes: started, signalled and ended as one.
//!
//! What leaves the group (by `setsid`, say) is out of reach. As long as the leader is not reaped its process id is
//! nobody else's, and so the group's name is sure.

use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::os::process::{Children, First, Program, reap, reap_ended};

/// How often it is looked whether killed processes are gone. They die at once; but those that their new parent has not
/// reaped yet cannot be told from living ones.
const LOOKS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(1);

/// A group whose leader was not reaped yet.
#[derive(Debug)]
pub struct Group {
    leader: i32,
}

/// A process that leads a group of its own and waits for the word to execute its program.
#[derive(Debug)]
pub struct Waiting {
    leader: i32,
    first: First,
    word: UnixStream,
}

impl Waiting {
    /// Forks it. The process that calls has one thread.
    ///
    /// # Errors
    /// The system has no room for another process.
    #[expect(unsafe_code, reason = "fork has no safe wrapper")]
    pub fn fork(program: &Program<'_>) -> io::Result<Waiting> {
        // Closed by the execution: then there is no more to hear of it.
        let (word, theirs) = UnixStream::pair()?;
        // SAFETY: the process has one thread, so that no lock can be held by a thread that the child lacks.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => obey(program, word, theirs),
            leader => Ok(Waiting { leader, first: program.first, word }),
        }
    }

    #[must_use]
    pub fn leader(&self) -> i32 {
        self.leader
    }

    /// Lets it execute its program, and waits until it has.
    ///
    /// # Errors
    /// That of the execution; then nothing is left of it.
    pub fn go(mut self) -> io::Result<Group> {
        self.word.write_all(b"!")?;
        let mut error = [0; size_of::<c_int>()];
        // One that stops first says nothing before it is continued.
        if self.first == First::Execute && self.word.read_exact(&mut error).is_ok() {
            reap(self.leader);
            return Err(io::Error::from_raw_os_error(c_int::from_ne_bytes(error)));
        }
        Ok(Group { leader: self.leader })
    }
}

/// The new process: it leads a group, waits for the word, and executes; or says why it cannot.
#[expect(unsafe_code, reason = "runs between fork and exec")]
fn obey(program: &Program<'_>, word: UnixStream, mut theirs: UnixStream) -> ! {
    drop(word);
    let _ = rustix::process::setsid();
    if theirs.read_exact(&mut [0]).is_ok() {
        // SAFETY: this is a new process; what was called before makes system calls and allocates nothing.
        let error = unsafe { program.be() };
        let _ = theirs.write_all(&error.to_ne_bytes());
    }
    // SAFETY: it ends this process and runs nothing else in it.
    unsafe { libc::_exit(127) }
}

impl Group {
    #[must_use]
    pub fn leader(&self) -> i32 {
        self.leader
    }

    /// Signals all of it.
    pub fn signal(&self, signal: c_int) {
        kill_group(self.leader, signal);
    }

    /// Whether its leader has ended. If so, the rest of the group is killed, and then the leader reaped.
    pub fn ended(&self) -> Children {
        if !has_ended(self.leader) {
            return Children::Running;
        }
        self.signal(libc::SIGKILL);
        reap_ended(self.leader)
    }
}

/// Kills what is left of the group whose leader was this process, and waits until it is gone, for a bounded time.
pub fn end(leader: i32) {
    for _ in 0..LOOKS {
        if !kill_group(leader, libc::SIGKILL) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// `false`: there is no such group.
#[expect(unsafe_code, reason = "kill has no safe wrapper for groups that takes any signal")]
fn kill_group(leader: i32, signal: c_int) -> bool {
    // SAFETY: kill takes no pointers; a leader is no process of id 0 or 1, which would mean others.
    leader > 1 && unsafe { libc::kill(-leader, signal) == 0 }
}

#[expect(unsafe_code, reason = "waitid that leaves the child as it is has no safe wrapper for bare ids")]
fn has_ended(child: i32) -> bool {
    // SAFETY: an all-zero siginfo is a valid value of that plain C struct.
    let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the struct is valid for the call, which writes to it.
    let done = unsafe { libc::waitid(libc::P_PID, child.cast_unsigned(), &raw mut found, options) };
    // SAFETY: the call has filled the struct in as for a child, or left it zero.
    done != 0 || unsafe { found.si_pid() } == child
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use crate::os::process::{RawExit, StringArray};

    fn words(words: &[&str]) -> StringArray {
        StringArray::new(words.iter().map(|word| CString::new(*word).unwrap()).collect())
    }

    fn start(path: &std::ffi::CStr, arguments: &StringArray) -> io::Result<Group> {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let (environment, stdio) = (words(&["PATH=/usr/bin:/bin"]), [null.as_raw_fd(); 3]);
        Waiting::fork(&Program { path, arguments, environment: &environment, stdio, first: First::Execute })?.go()
    }

    #[test]
    fn a_group_ends_with_its_leader_and_a_program_that_cannot_be_executed_says_why() {
        let error = start(c"/no/such", &words(&["such"])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let group = start(c"/bin/sh", &words(&["sh", "-c", "sleep 1000 & kill -9 $$"])).unwrap();
        let ended = loop {
            match group.ended() {
                Children::Ended(reaped) => break reaped,
                Children::Running => thread::yield_now(),
                Children::Gone => panic!("its end was not learnt"),
            }
        };
        assert_eq!(ended.exit, RawExit::Signal(9));
        end(group.leader());
        let begin = std::time::Instant::now();
        while kill_group(group.leader(), 0) {
            assert!(begin.elapsed() < Duration::from_secs(60), "what it left running is there still");
            thread::sleep(PAUSE);
        }
    }
}
