//! Starting another process of this same program: `posix_spawn`, which copies no memory.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::descriptor::HANDED;

/// What a new process finds open: nothing else is inherited.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors<'a> {
    pub stdin: BorrowedFd<'a>,
    /// Standard output and standard error.
    pub log: BorrowedFd<'a>,
    /// Found by [`super::descriptor::take_handed`].
    pub handed: BorrowedFd<'a>,
}

/// Starts the running program once more, in a session of its own, with no signal blocked or ignored.
/// Returns its process id; the caller has to reap it.
///
/// # Errors
/// Those of `posix_spawn`: the system has no room for another process, say.
#[expect(unsafe_code, reason = "posix_spawn has no safe wrapper")]
pub fn this_program(arguments: &[CString], descriptors: Descriptors<'_>) -> io::Result<u32> {
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    pointers.push(ptr::null_mut());
    let actions = Actions::new(descriptors)?;
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: every pointer is valid for the call, the array of arguments ends with null, and the environment is
    // only changed by this process at its start, if at all.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            c"/proc/self/exe".as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            pointers.as_ptr(),
            environ,
        )
    })?;
    Ok(pid.cast_unsigned())
}

/// Has what this command starts die with the thread that starts it: from before its first instruction, since one that is
/// stopped there could not see to it itself, and would be left behind.
#[expect(unsafe_code, reason = "what is done between fork and exec may not allocate or lock")]
pub fn dies_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure makes one system call, and neither allocates nor locks.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) }
}

#[expect(unsafe_code, reason = "the C library's environment")]
unsafe extern "C" {
    static environ: *const *mut c_char;
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    #[expect(unsafe_code, reason = "posix_spawn has no safe wrapper")]
    fn new(descriptors: Descriptors<'_>) -> io::Result<Actions> {
        // SAFETY: an all-zero value is fit to be initialised by the call that follows.
        let mut actions = Actions(unsafe { std::mem::zeroed() });
        // SAFETY: the struct is ours and valid.
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions.0) })?;
        let Descriptors { stdin, log, handed } = descriptors;
        for (source, target) in [(stdin, 0), (log, 1), (log, 2), (handed, HANDED)] {
            // SAFETY: the struct was initialised above.
            check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, source.as_raw_fd(), target) })?;
        }
        Ok(actions)
    }
}

impl Drop for Actions {
    #[expect(unsafe_code, reason = "posix_spawn has no safe wrapper")]
    fn drop(&mut self) {
        // SAFETY: the struct was initialised and is destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    #[expect(unsafe_code, reason = "posix_spawn has no safe wrapper")]
    fn new() -> io::Result<Attributes> {
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        let flags = flags as libc::c_short | libc::POSIX_SPAWN_SETSID as libc::c_short;
        // SAFETY: all-zero values are fit to be initialised by the calls that follow, which get valid pointers.
        unsafe {
            let mut attributes = Attributes(std::mem::zeroed());
            check(libc::posix_spawnattr_init(&raw mut attributes.0))?;
            let mut signals: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut signals);
            check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, &raw const signals))?;
            libc::sigfillset(&raw mut signals);
            check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, &raw const signals))?;
            check(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags))?;
            Ok(attributes)
        }
    }
}

impl Drop for Attributes {
    #[expect(unsafe_code, reason = "posix_spawn has no safe wrapper")]
    fn drop(&mut self) {
        // SAFETY: the struct was initialised and is destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    match outcome {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_a_thread_starts_so_dies_with_it() {
        let start = || dies_with_parent(Command::new("sleep").arg("20")).spawn().unwrap();
        let mut child = std::thread::spawn(start).join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
}
