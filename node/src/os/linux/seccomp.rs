//! Being told of chosen system calls before they are carried out, without changing what they do.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

/// A system call to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    pub number: i64,
    /// Only if any of these bits is set in the argument with this index.
    pub only_if: Option<(u32, u32)>,
}

/// A system call that waits to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    id: u64,
    /// Of the process, or thread, that makes the call.
    pub pid: u32,
    pub number: i64,
    pub arguments: [u64; 6],
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUALS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const HAS_BITS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Programs that this process starts from now on make the watched calls known through the returned descriptor. It must
/// be served: until then, each such call waits. Calls that this process makes itself are among them.
pub fn watch(calls: &[Watched]) -> io::Result<OwnedFd> {
    let program = filter(calls);
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    install(&program)
}

fn filter(calls: &[Watched]) -> Vec<libc::sock_filter> {
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let (allow, notify) =
        (step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0), step(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0));
    let mut program =
        vec![step(LOAD, ARCHITECTURE_AT, 0, 0), step(EQUALS, ARCHITECTURE, 1, 0), allow, step(LOAD, NUMBER_AT, 0, 0)];
    for call in calls {
        let number = call.number as u32;
        match call.only_if {
            None => program.extend([step(EQUALS, number, 0, 1), notify]),
            Some((argument, bits)) => program.extend([
                step(EQUALS, number, 0, 4),
                step(LOAD, ARGUMENTS_AT + argument * 8, 0, 0),
                step(HAS_BITS, bits, 0, 1),
                notify,
                allow,
            ]),
        }
    }
    program.push(allow);
    program
}

#[expect(unsafe_code, reason = "seccomp has no safe wrapper")]
fn install(program: &libc::sock_fprog) -> io::Result<OwnedFd> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program is a valid array of the length it says; the kernel copies it during the call.
    let listener =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(program)) };
    match listener {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just opened this descriptor for us and nobody else owns it.
        listener => Ok(unsafe { OwnedFd::from_raw_fd(listener as i32) }),
    }
}

/// Takes the next waiting call. `WouldBlock`: there is none; `UnexpectedEof`: all processes that could make one have
/// ended. Another error means that the process has died meanwhile.
#[expect(unsafe_code, reason = "seccomp notices are received by an ioctl")]
pub fn receive(listener: &OwnedFd) -> io::Result<Notice> {
    // The ioctl itself would wait.
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    let ready = polled[0].revents();
    if !ready.contains(PollFlags::IN) {
        let ended = ready.contains(PollFlags::HUP);
        return Err(if ended { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::WouldBlock }.into());
    }
    // SAFETY: an all-zero seccomp_notif is a valid value of that plain C struct, and what the kernel asks for.
    let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the struct valid for the call.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut notice) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let data = notice.data;
    Ok(Notice { id: notice.id, pid: notice.pid, number: i64::from(data.nr), arguments: data.args })
}

/// Lets a waiting call go on as if nothing had been there.
#[expect(unsafe_code, reason = "seccomp notices are answered by an ioctl")]
pub fn let_go_on(listener: &OwnedFd, notice: &Notice) {
    let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let answer = libc::seccomp_notif_resp { id: notice.id, val: 0, error: 0, flags };
    // SAFETY: the descriptor is open and the struct valid for the call. That it fails means that the process has died.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw const answer) };
}
