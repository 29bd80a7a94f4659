//! Forking processes, and starting, signalling and reaping them from the first process of a slot.
//!
//! Everything here assumes a process with one thread.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// What a fork returned, and in which of the two processes.
#[derive(Debug)]
pub enum Forked {
    Parent { child: i32, pidfd: OwnedFd },
    Child,
}

/// Forks the first process of a new PID namespace. Its parent is the *caller's parent*, so that the caller can
/// leave; it keeps the caller's memory image.
pub fn fork_first_of_namespace() -> io::Result<Forked> {
    fork_sibling_with(libc::CLONE_NEWPID)
}

/// Forks a process whose parent is the *caller's parent*; it keeps the caller's memory image.
pub fn fork_sibling() -> io::Result<Forked> {
    fork_sibling_with(0)
}

#[expect(unsafe_code, reason = "clone3 has no safe wrapper")]
fn fork_sibling_with(flags: c_int) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    // SAFETY: an all-zero clone_args is a valid value of that plain C struct.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (flags | libc::CLONE_PARENT | libc::CLONE_PIDFD) as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    if let Some(noted) = where_thread_is_noted() {
        arguments.flags |= (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID) as u64;
        arguments.child_tid = noted;
    }
    // SAFETY: without CLONE_VM and with no new stack this is a fork; the process has one thread, so that no lock
    // can be held by a thread that the child lacks. `arguments` and `pidfd` outlive the call, and the kernel writes the
    // child's thread id, in the child, where the C library had it write that of this thread.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        // SAFETY: the kernel has just opened this descriptor for us and nobody else owns it.
        child => Ok(Forked::Parent { child: child as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// The address at which the C library keeps the id of this thread, which its own `fork` has renewed; `None`: the
/// kernel does not say.
#[expect(unsafe_code, reason = "prctl has no safe wrapper for this")]
fn where_thread_is_noted() -> Option<u64> {
    let mut address: u64 = 0;
    // SAFETY: the kernel writes a pointer into the variable, which is valid for the call.
    let outcome = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut address) };
    (outcome == 0 && address != 0).then_some(address)
}

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
}

/// Starts programs the way `vfork` and `exec` do, with the least that must happen in between.
#[derive(Debug)]
pub struct Launcher {
    stack: Box<[u128]>,
}

struct Launch<'a> {
    path: &'a CStr,
    arguments: &'a StringArray,
    environment: &'a StringArray,
    stdio: [RawFd; 3],
    first: First,
    error: Cell<c_int>,
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

impl Default for Launcher {
    fn default() -> Self {
        Launcher { stack: vec![0; 64 * 1024 / size_of::<u128>()].into_boxed_slice() }
    }
}

impl Launcher {
    /// Starts the program at `path` in a new session with these three standard descriptors and no signal blocked.
    /// Returns its process id, or the error of `execve`. The descriptors must be 3 or higher.
    #[expect(unsafe_code, reason = "clone with a shared address space has no safe wrapper")]
    pub fn start(
        &mut self,
        path: &CStr,
        arguments: &StringArray,
        environment: &StringArray,
        stdio: [RawFd; 3],
        first: First,
    ) -> io::Result<i32> {
        let launch = Launch { path, arguments, environment, stdio, first, error: Cell::new(0) };
        let flags = libc::SIGCHLD
            | match first {
                First::Execute => libc::CLONE_VM | libc::CLONE_VFORK,
                First::Stop => 0,
            };
        let top = self.stack.as_mut_ptr_range().end.cast::<c_void>();
        // SAFETY: the stack is ours alone, 16-byte aligned and 64 KiB large. Either the caller sleeps until the child has
        // executed a program or ended (CLONE_VFORK), so that `launch` outlives every use and nothing is accessed twice;
        // or the child has a copy of everything, made while the process has one thread.
        let child = unsafe { libc::clone(run_child, top, flags, (&raw const launch).cast_mut().cast()) };
        if child == -1 {
            return Err(io::Error::last_os_error());
        }
        match launch.error.get() {
            0 => Ok(child),
            error => {
                reap_one(child);
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }
}

#[expect(unsafe_code, reason = "runs between clone and exec, where only system calls are allowed")]
extern "C" fn run_child(launch: *mut c_void) -> c_int {
    // SAFETY: `Launcher::start` passes a valid `Launch` and sleeps until this function has executed or exited.
    // Only async-signal-safe calls are made; all pointers in `launch` are valid and null-terminated.
    unsafe {
        let launch = &*launch.cast::<Launch>();
        libc::setsid();
        for (target, source) in launch.stdio.iter().enumerate() {
            if libc::dup2(*source, target as c_int) == -1 {
                launch.error.set(*libc::__errno_location());
                libc::_exit(126);
            }
        }
        if launch.first == First::Stop {
            libc::kill(libc::getpid(), libc::SIGSTOP);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::execve(launch.path.as_ptr(), launch.arguments.pointers.as_ptr(), launch.environment.pointers.as_ptr());
        launch.error.set(*libc::__errno_location());
        libc::_exit(127)
    }
}

fn reap_one(child: i32) {
    let _ = wait(child, 0);
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
    /// There are none. Orphans are children of the first process of a namespace: nothing else is left in it.
    Gone,
}

/// Reaps a child that has ended, if there is one.
#[must_use]
pub fn reap_ended() -> Children {
    wait(-1, libc::WNOHANG)
}

/// Waits until a child ends and reaps it; `None`: there is no child.
#[must_use]
pub fn reap_next() -> Option<Reaped> {
    match wait(-1, 0) {
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

/// Sends a signal to every process that this one may signal, itself excepted. `false`: there is none.
#[expect(unsafe_code, reason = "kill(-1) has no safe wrapper")]
#[must_use]
pub fn signal_all(signal: c_int) -> bool {
    // SAFETY: kill takes no pointers. Called by the first process of a PID namespace, it reaches that namespace only.
    unsafe { libc::kill(-1, signal) == 0 }
}

/// Blocks every signal and sets all to their defaults. Returns a descriptor that is readable when a child has ended.
///
/// # Errors
/// No descriptor can be had.
#[expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]
pub fn take_signals() -> io::Result<OwnedFd> {
    // SAFETY: the structs are valid for the calls. Signals that cannot be changed are refused by the kernel, harmlessly.
    let descriptor = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        // Straight to the kernel: the C library keeps two signals to itself, and may have been started with them ignored.
        let default = [0_u64; 4];
        for signal in 1..=libc::SIGRTMAX() {
            let (new, old, mask) = (default.as_ptr(), std::ptr::null_mut::<u64>(), size_of::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, new, old, mask);
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = libc::SA_NOCLDSTOP;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut());
        let mut of_children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut of_children);
        libc::sigaddset(&raw mut of_children, libc::SIGCHLD);
        libc::signalfd(-1, &raw const of_children, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if descriptor == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
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

/// Programs that are started from now on get the same addresses each time.
#[expect(unsafe_code, reason = "personality has no safe wrapper")]
pub fn stop_randomising_addresses() {
    // SAFETY: personality takes no pointers and changes this process only.
    unsafe {
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
    }
}
