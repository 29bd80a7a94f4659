//! Naming what a program was not allowed to change.
//!
//! A program only sees `EROFS` or an unreachable network, and often says nothing. So calls that would change a path or
//! reach out are made known here before they are carried out; the path is looked up as the program sees it, and
//! remembered if it lies on a read-only mount. The call always goes on: this only observes, and a program that
//! changes the path in between deceives no one but the report.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags};

use crate::os::linux::seccomp::{Notice, Watched};

/// How many paths are named an execution.
pub const MOST: usize = 8;

/// What a call needs of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// That nothing is there yet: it is made.
    Absent,
    /// That something is there: it is changed or removed.
    Present,
    /// To be written to; made if the flags in this argument say so, or always.
    Written { flags: Option<usize> },
    /// Not a path but a network address.
    Address,
}

/// A call that can change something: which argument holds the directory that a relative path starts at (`None`: the
/// working directory), and which the path.
struct Call {
    number: i64,
    directory: Option<usize>,
    path: usize,
    need: Need,
}

const fn call(number: libc::c_long, directory: Option<usize>, path: usize, need: Need) -> Call {
    Call { number, directory, path, need }
}

const WRITING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32;

const CALLS: &[Call] = &[
    call(libc::SYS_openat, Some(0), 1, Need::Written { flags: Some(2) }),
    call(libc::SYS_mkdirat, Some(0), 1, Need::Absent),
    call(libc::SYS_mknodat, Some(0), 1, Need::Absent),
    call(libc::SYS_symlinkat, Some(1), 2, Need::Absent),
    call(libc::SYS_linkat, Some(2), 3, Need::Absent),
    call(libc::SYS_unlinkat, Some(0), 1, Need::Present),
    call(libc::SYS_renameat2, Some(0), 1, Need::Present),
    call(libc::SYS_truncate, None, 0, Need::Present),
    call(libc::SYS_fchmodat, Some(0), 1, Need::Present),
    call(libc::SYS_fchownat, Some(0), 1, Need::Present),
    call(libc::SYS_connect, None, 1, Need::Address),
];

/// Calls that only older architectures have.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[Call] = &[
    call(libc::SYS_open, None, 0, Need::Written { flags: Some(1) }),
    call(libc::SYS_creat, None, 0, Need::Written { flags: None }),
    call(libc::SYS_mkdir, None, 0, Need::Absent),
    call(libc::SYS_mknod, None, 0, Need::Absent),
    call(libc::SYS_symlink, None, 1, Need::Absent),
    call(libc::SYS_link, None, 1, Need::Absent),
    call(libc::SYS_unlink, None, 0, Need::Present),
    call(libc::SYS_rmdir, None, 0, Need::Present),
    call(libc::SYS_rename, None, 0, Need::Present),
    call(libc::SYS_renameat, Some(0), 1, Need::Present),
    call(libc::SYS_chmod, None, 0, Need::Present),
    call(libc::SYS_chown, None, 0, Need::Present),
    call(libc::SYS_lchown, None, 0, Need::Present),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[Call] = &[];

fn calls() -> impl Iterator<Item = &'static Call> {
    CALLS.iter().chain(OLD_CALLS)
}

/// The calls to be told of.
#[must_use]
pub fn watched(net: bool) -> Vec<Watched> {
    let wanted = calls().filter(|call| !(net && call.need == Need::Address));
    wanted
        .map(|call| {
            let only_if = match call.need {
                Need::Written { flags: Some(argument) } => Some((argument as u32, WRITING)),
                Need::Written { flags: None } | Need::Absent | Need::Present | Need::Address => None,
            };
            Watched { number: call.number, only_if }
        })
        .collect()
}

/// What a call will not be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Change this path.
    Path(PathBuf),
    /// Reach this address.
    Address(String),
}

/// What the call that waits will be denied, if anything.
#[must_use]
pub fn judge(notice: &Notice) -> Option<Denied> {
    let call = calls().find(|call| call.number == notice.number)?;
    let process = PathBuf::from(format!("/proc/{}", notice.pid));
    let memory = File::open(process.join("mem")).ok()?;
    let mut bytes = [0; 4096];
    let read = memory.read_at(&mut bytes, notice.arguments[call.path]).ok()?;
    if call.need == Need::Address {
        return unreachable_address(&bytes[..read.min(notice.arguments[2] as usize)]).map(Denied::Address);
    }
    let path = Path::new(OsStr::from_bytes(CStr::from_bytes_until_nul(&bytes[..read]).ok()?.to_bytes()));
    let path = absolute(&process, call.directory.map(|argument| notice.arguments[argument] as i32), path)?;
    let root = rustix::fs::open(process.join("root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let makes = match call.need {
        Need::Written { flags: Some(flags) } => notice.arguments[flags] as i32 & libc::O_CREAT != 0,
        Need::Written { flags: None } | Need::Absent => true,
        Need::Present | Need::Address => false,
    };
    denied(&root, &path, call.need, makes).map(Denied::Path)
}

/// The path from the root of the process.
fn absolute(process: &Path, directory: Option<i32>, path: &Path) -> Option<PathBuf> {
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    let start = match directory {
        None | Some(libc::AT_FDCWD) => process.join("cwd"),
        Some(descriptor) => process.join("fd").join(descriptor.to_string()),
    };
    let start = std::fs::read_link(start).ok()?;
    (!path.as_os_str().is_empty()).then(|| start.join(path))
}

/// The path of which the kernel will say that its file system is read-only, rather than go on or find another reason.
/// A link to a file that is to be written leads to the file.
fn denied(root: &OwnedFd, path: &Path, need: Need, makes: bool) -> Option<PathBuf> {
    let follow = matches!(need, Need::Written { .. });
    if follow && let Some(existing) = open_in(root, path) {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&existing).ok()?.st_mode);
        let denied = kind == FileType::RegularFile && is_read_only(&existing);
        return denied.then(|| std::fs::read_link(format!("/proc/self/fd/{}", existing.as_raw_fd())).ok())?;
    }
    let parent = open_in(root, path.parent()?)?;
    let exists = rustix::fs::statat(&parent, path.file_name()?, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let meant = if makes { !exists } else { exists && !follow };
    (meant && is_read_only(&parent)).then(|| path.to_owned())
}

fn open_in(root: &OwnedFd, path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()
}

fn is_read_only(directory: &OwnedFd) -> bool {
    rustix::fs::fstatvfs(directory).is_ok_and(|is| is.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Reads a `struct sockaddr`; `None`: it is local, or no address of the internet.
fn unreachable_address(bytes: &[u8]) -> Option<String> {
    let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let address: IpAddr = match family {
        libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).to_canonical(),
        _ => return None,
    };
    (!address.is_loopback() && !address.is_unspecified()).then(|| std::net::SocketAddr::new(address, port).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;

    #[test]
    fn addresses_beyond_this_host_are_read_and_others_are_not_named() {
        let with_family = |family: i32, rest: &[u8]| [&(family as u16).to_ne_bytes()[..], rest].concat();
        let v6 = |last: u8| [&[1, 187, 0, 0, 0, 0, 0x20, 1][..], &[0; 13], &[last], &[0; 4]].concat();
        let cases = [
            (with_family(libc::AF_INET, &[0, 80, 192, 0, 2, 1]), Some("192.0.2.1:80")),
            (with_family(libc::AF_INET, &[0, 80, 127, 0, 0, 1]), None),
            (with_family(libc::AF_INET6, &v6(9)), Some("[2001::9]:443")),
            (with_family(libc::AF_UNIX, b"/run/socket"), None),
            (with_family(libc::AF_INET, &[0]), None),
            (vec![], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(unreachable_address(&bytes).as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_the_kernel_would_not_deny_is_not_named() {
        let root = rustix::fs::openat(CWD, "/", OFlags::PATH, Mode::empty()).unwrap();
        let written = Need::Written { flags: None };
        let cases = [
            ("/proc/sys/absent/x", Need::Absent, true),
            ("/dev/null", written, true),
            ("/no/such/folder/file", written, true),
            ("/", Need::Absent, true),
        ];
        for (path, need, makes) in cases {
            assert_eq!(denied(&root, Path::new(path), need, makes), None, "{path}");
        }
    }
}
