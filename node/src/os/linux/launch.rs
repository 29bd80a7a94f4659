//! Forking processes, and starting and signalling them from the first process of a PID namespace.
//!
//! Everything here assumes a process with one thread.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::os::process::{First, Program, reap, settle_signals};

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

/// Starts programs the way `vfork` and `exec` do, with the least that must happen in between.
#[derive(Debug)]
pub struct Launcher {
    stack: Box<[u128]>,
}

struct Launch<'a> {
    program: &'a Program<'a>,
    error: Cell<c_int>,
}

impl Default for Launcher {
    fn default() -> Self {
        Launcher { stack: vec![0; 64 * 1024 / size_of::<u128>()].into_boxed_slice() }
    }
}

impl Launcher {
    /// Starts a program. Returns its process id, or the error of `execve`.
    #[expect(unsafe_code, reason = "clone with a shared address space has no safe wrapper")]
    pub fn start(&mut self, program: &Program<'_>) -> io::Result<i32> {
        let launch = Launch { program, error: Cell::new(0) };
        let flags = libc::SIGCHLD
            | match program.first {
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
                reap(child);
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }
}

#[expect(unsafe_code, reason = "runs between clone and exec, where only system calls are allowed")]
extern "C" fn run_child(launch: *mut c_void) -> c_int {
    // SAFETY: `Launcher::start` passes a valid `Launch` and sleeps until this function has executed or exited.
    unsafe {
        let launch = &*launch.cast::<Launch>();
        launch.error.set(launch.program.be());
        libc::_exit(127)
    }
}

/// Sends a signal to every process that this one may signal, itself excepted. `false`: there is none.
#[expect(unsafe_code, reason = "kill(-1) has no safe wrapper")]
#[must_use]
pub fn signal_all(signal: c_int) -> bool {
    // SAFETY: kill takes no pointers. Called by the first process of a PID namespace, it reaches that namespace only.
    unsafe { libc::kill(-1, signal) == 0 }
}

/// Programs that are started from now on get the same addresses each time.
#[expect(unsafe_code, reason = "personality has no safe wrapper")]
pub fn stop_randomising_addresses() {
    // SAFETY: personality takes no pointers and changes this process only.
    unsafe {
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
    }
}

/// Blocks every signal and sets all to their defaults. Returns a descriptor that is readable when a child has ended.
///
/// # Errors
/// No descriptor can be had.
#[expect(unsafe_code, reason = "signalfd has no safe wrapper")]
pub fn take_signals() -> io::Result<OwnedFd> {
    settle_signals();
    // SAFETY: the structs are valid for the calls.
    let descriptor = unsafe {
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
