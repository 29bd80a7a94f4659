//! Mount flags that are set on a whole tree of mounts at once.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How far a change of mount flags reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount at the path only.
    One,
    /// It and every mount beneath.
    Tree,
}

/// `MOUNT_ATTR_RDONLY` of linux/mount.h.
const READ_ONLY: u64 = 1;

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Makes the mount at `path` read-only or writable. Flags that the kernel has locked are left alone,
/// which a remount would refuse to do.
pub fn set_read_only(path: &Path, reach: Reach, read_only: bool) -> io::Result<()> {
    let flag = READ_ONLY;
    let attributes = MountAttributes {
        set: if read_only { flag } else { 0 },
        clear: if read_only { 0 } else { flag },
        propagation: 0,
        user_namespace: 0,
    };
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = if reach == Reach::Tree { libc::AT_RECURSIVE } else { 0 };
    mount_setattr(&path, flags, &attributes)
}

#[expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]
fn mount_setattr(path: &CString, flags: libc::c_int, attributes: &MountAttributes) -> io::Result<()> {
    // SAFETY: the path is a valid C string and the attributes are a valid struct of the size that is passed;
    // the kernel only reads both, during the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
