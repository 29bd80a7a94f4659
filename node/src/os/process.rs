//! Becoming a program, hearing of signals, and reaping, in the first process of a slot.
//!
//! Everything here assumes a process with one thread.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::RawFd;

/// C strings and the null-terminated array of pointers that `execve` wants.
#[derive(Debug)]
pub struct StringArray {
    pointers: Vec<*const c_char>,
    strings: Vec<CString>,
}

impl StringArray {
    #[must_use]
    pub fn new(strings: Vec<CString>) -> StringArray {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        StringArray { pointers, strings }
    }

    #[must_use]
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }

    /// A program that finds this as its environment.
    #[must_use]
    pub fn program<'a>(
        &'a self,
        path: &'a CStr,
        arguments: &'a StringArray,
        stdio: [RawFd; 3],
        first: First,
    ) -> Program<'a> {
        Program { path, arguments, environment: self, stdio, first }
    }
}

/// A program, and all that it finds as it begins.
#[derive(Debug)]
pub struct Program<'a> {
    pub path: &'a CStr,
    pub arguments: &'a StringArray,
    pub environment: &'a StringArray,
    /// The standard descriptors: 3 or higher.
    pub stdio: [RawFd; 3],
    pub first: First,
}

/// What a new process does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Execute the program.
    Execute,
    /// Stop; it executes the program once it is continued. That the program cannot be executed shows only then, as
    /// exit code 127.
    Stop,
}

impl Program<'_> {
    /// Becomes this program, in a new session and with no signal blocked. Returns the error of what could not be done.
    ///
    /// # Safety
    /// To be called in a new process, before anything that is not async-signal-safe.
    #[expect(unsafe_code, reason = "runs between fork and exec, where only system calls are allowed")]
    pub unsafe fn be(&self) -> c_int {
        // SAFETY: only async-signal-safe calls are made; all pointers are valid and null-terminated.
        unsafe {
            libc::setsid();
            for (target, source) in self.stdio.iter().enumerate() {
                if libc::dup2(*source, target as c_int) == -1 {
                    return *libc::__errno_location();
                }
            }
            if self.first == First::Stop {
                libc::kill(libc::getpid(), libc::SIGSTOP);
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::execve(self.path.as_ptr(), self.arguments.pointers.as_ptr(), self.environment.pointers.as_ptr());
            *libc::__errno_location()
        }
    }
}

/// A child that has ended: how, and what it and the children it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    pub pid: i32,
    pub exit: RawExit,
    /// User and system time, in microseconds.
    pub cpu: u64,
    /// Bytes.
    pub max_rss: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawExit {
    Code(u8),
    Signal(u8),
}

/// What a look at the children finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// One had ended, and was reaped.
    Ended(Reaped),
    /// All of them run.
    Running,
    /// There are none.
    Gone,
}

/// Every child.
pub const ANY: i32 = -1;

/// Reaps this child if it has ended.
#[must_use]
pub fn reap_ended(which: i32) -> Children {
    wait(which, libc::WNOHANG)
}

/// Waits until this child ends and reaps it; `None`: there is none.
pub fn reap(which: i32) -> Option<Reaped> {
    match wait(which, 0) {
        Children::Ended(reaped) => Some(reaped),
        Children::Running | Children::Gone => None,
    }
}

#[expect(unsafe_code, reason = "wait4 with resource usage has no safe wrapper")]
fn wait(which: i32, options: c_int) -> Children {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value of that plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the duration of the call.
    let pid = unsafe { libc::wait4(which, &raw mut status, options, &raw mut usage) };
    match pid {
        0 => return Children::Running,
        ..0 => return Children::Gone,
        1.. => {}
    }
    let exit = if libc::WIFSIGNALED(status) {
        RawExit::Signal(libc::WTERMSIG(status) as u8)
    } else {
        RawExit::Code(libc::WEXITSTATUS(status) as u8)
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    let cpu = micros(usage.ru_utime) + micros(usage.ru_stime);
    Children::Ended(Reaped { pid, exit, cpu, max_rss: usage.ru_maxrss as u64 * 1024 })
}

/// Waits until one of the descriptors is readable or the time is over; says which are readable.
#[expect(unsafe_code, reason = "ppoll has no safe wrapper that takes what is polled by value")]
#[must_use]
pub fn wait_readable<const N: usize>(descriptors: [RawFd; N], most: Option<std::time::Duration>) -> [bool; N] {
    let mut polled = descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let time = most
        .map(|most| libc::timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: i64::from(most.subsec_nanos()) });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array and the time are valid for the call; a negative descriptor is skipped by the kernel.
    unsafe { libc::ppoll(polled.as_mut_ptr(), N as libc::nfds_t, time, std::ptr::null()) };
    polled.map(|polled| polled.revents != 0)
}

/// Blocks every signal and sets all to their defaults, also those that whoever started this process had ignored.
#[expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]
pub fn settle_signals() {
    // SAFETY: the structs are valid for the calls. Signals that cannot be changed are refused by the kernel, harmlessly.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
