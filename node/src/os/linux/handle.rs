//! What a file system calls an inode, wherever it is named: the same for all its hard links, and another
//! one for a new file in the same place.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// As much room as the kernel ever needs (`MAX_HANDLE_SZ`).
const ROOM: usize = 128;

/// A file handle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileHandle {
    pub kind: u8,
    pub bytes: Vec<u8>,
}

/// `struct file_handle` of fcntl.h, with its room.
#[repr(C)]
struct RawHandle {
    len: u32,
    kind: i32,
    bytes: [u8; ROOM],
}

impl FileHandle {
    /// The handle of what is at `path`, links not followed.
    ///
    /// # Errors
    /// There is nothing, or the file system has no handles.
    #[expect(unsafe_code, reason = "name_to_handle_at has no safe wrapper")]
    pub fn at(path: &Path) -> io::Result<FileHandle> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut raw = RawHandle { len: ROOM as u32, kind: 0, bytes: [0; ROOM] };
        let mut mount: libc::c_int = 0;
        // SAFETY: the path is a valid C string; `raw` is laid out as struct file_handle with `len` bytes of room at its
        // end; the kernel writes there and to `mount`, during the call only.
        let done = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                libc::AT_FDCWD,
                path.as_ptr(),
                std::ptr::from_mut(&mut raw),
                std::ptr::from_mut(&mut mount),
                0,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        let bytes = raw.bytes.get(..raw.len as usize).unwrap_or_default().to_vec();
        Ok(FileHandle { kind: raw.kind as u8, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_handle_goes_with_the_inode_and_not_with_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "a").unwrap();
        let Ok(handle) = FileHandle::at(&path("a")) else { return };
        fs::rename(path("a"), path("b")).unwrap();
        fs::write(path("a"), "a").unwrap();
        assert_eq!(FileHandle::at(&path("b")).unwrap(), handle);
        assert_ne!(FileHandle::at(&path("a")).unwrap(), handle);
    }
}
