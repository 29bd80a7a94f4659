//! Starting another process of this same program: `posix_spawn`, which copies no memory.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
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

/// The words that run this program where the system itself cannot, such as those of an emulator; none: it can.
const RUNNER: &str = "CHAMELEON_RUNNER";

/// What stands before the path of a program for the processor that this one was made for.
#[must_use]
pub fn runner() -> Vec<OsString> {
    let words = std::env::var_os(RUNNER).unwrap_or_default();
    let words = words.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.map(|word| OsStr::from_bytes(word).to_owned()).collect()
}

/// This program itself, even if its file was replaced or removed since this process began.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// What stands before the arguments of an executable of Chameleon's own.
fn words_before(executable: &Path) -> io::Result<Vec<OsString>> {
    let mut words = runner();
    let is_link = executable == Path::new(THIS_PROGRAM) && !words.is_empty();
    // The runner would take the link for its own.
    words.push(if is_link { std::fs::read_link(executable)?.into() } else { executable.into() });
    Ok(words)
}

/// A call of an executable of Chameleon's own.
///
/// # Errors
/// Its path cannot be found out.
pub fn command(executable: &Path) -> io::Result<Command> {
    let words = words_before(executable)?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    Ok(command)
}

/// Starts the running program once more, in a session of its own, with no signal blocked or ignored.
/// Returns its process id; the caller has to reap it.
///
/// # Errors
/// Those of `posix_spawn`: the system has no room for another process, say.
#[expect(unsafe_code, reason = "posix_spawn has no safe wrapper")]
pub fn this_program(arguments: &[CString], descriptors: Descriptors<'_>) -> io::Result<u32> {
    let text = |word: OsString| CString::new(word.into_vec()).map_err(io::Error::other);
    let before = words_before(Path::new(THIS_PROGRAM))?.into_iter().map(text).collect::<io::Result<Vec<_>>>()?;
    // Without a runner the name of this process is the first argument, as ever.
    let skipped = usize::from(before.len() > 1);
    let arguments = before.iter().take(before.len() * skipped).chain(&arguments[skipped..]);
    let mut pointers: Vec<*mut c_char> = arguments.map(|argument| argument.as_ptr().cast_mut()).collect();
    pointers.push(ptr::null_mut());
    let actions = Actions::new(descriptors)?;
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: every pointer is valid for the call, the array of arguments ends with null, and the environment is
    // only changed by this process at its start, if at all.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            before[0].as_ptr(),
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
