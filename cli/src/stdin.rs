//! Standard input, byte-identical for every lane: a regular file is reopened by each lane, anything
//! else is spooled to a file once, as it comes.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chameleon_core::job::{OsBytes, Stdin};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::Failure;

const BUFFER: usize = 256 << 10;
/// How often a job in the background of a terminal looks whether it has come to the foreground.
const BACKGROUND: Duration = Duration::from_millis(200);

/// What the standard input of this process is.
///
/// # Errors
/// It is a directory, or cannot be looked at.
pub fn examine() -> Result<Stdin, Failure> {
    of(io::stdin().as_fd())
}

fn of(input: BorrowedFd<'_>) -> Result<Stdin, Failure> {
    let failed = |why| Failure::Input { doing: "examined", why };
    let file = File::from(input.try_clone_to_owned().map_err(failed)?);
    let data = file.metadata().map_err(failed)?;
    let kind = data.file_type();
    if kind.is_dir() {
        return Err(Failure::Input { doing: "read", why: io::ErrorKind::IsADirectory.into() });
    }
    if kind.is_char_device() && data.rdev() == rustix::fs::makedev(1, 3) {
        return Ok(Stdin::Null);
    }
    if !kind.is_file() {
        return Ok(Stdin::Spool);
    }
    let position = rustix::fs::seek(input, rustix::fs::SeekFrom::Current(0)).map_err(|why| failed(why.into()))?;
    Ok(reopenable(&file).map_or(Stdin::Spool, |path| Stdin::File(bytes_of(path), position)))
}

/// The path under which others find the same file; none if it is deleted or hidden.
fn reopenable(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let (ours, theirs) = (file.metadata().ok()?, path.metadata().ok()?);
    (ours.dev() == theirs.dev() && ours.ino() == theirs.ino()).then_some(path)
}

fn bytes_of(path: PathBuf) -> OsBytes {
    path.into_os_string().into_vec().into()
}

/// Copies standard input to `path` until its end, telling each length reached and whether that is all.
///
/// # Errors
/// It cannot be read, or the spool not be written.
pub fn spool(path: &Path, told: impl FnMut(u64, bool)) -> Result<(), Failure> {
    let unwritable = |why| Failure::Unwritable { what: "the spool of standard input", path: path.to_owned(), why };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(unwritable)?;
    }
    let file = File::options().write(true).create_new(true).open(path).map_err(unwritable)?;
    copy(io::stdin().as_fd(), file, told).map_err(|trouble| match trouble {
        Trouble::Reading(why) => Failure::Input { doing: "read", why },
        Trouble::Writing(why) => unwritable(why),
    })
}

#[derive(Debug)]
enum Trouble {
    Reading(io::Error),
    Writing(io::Error),
}

fn copy(input: BorrowedFd<'_>, mut spool: impl Write, mut told: impl FnMut(u64, bool)) -> Result<(), Trouble> {
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        wait_for_turn(input).map_err(Trouble::Reading)?;
        match rustix::io::read(input, &mut buffer[..]) {
            Ok(0) => {
                told(length, true);
                return Ok(());
            }
            Ok(count) => {
                spool.write_all(&buffer[..count]).map_err(Trouble::Writing)?;
                length += count as u64;
                told(length, false);
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(why) => return Err(Trouble::Reading(why.into())),
        }
    }
}

/// Waits until there is something to read, and, on a terminal, until we are in its foreground:
/// reading from the background would stop us, although the program may never read at all.
fn wait_for_turn(input: BorrowedFd<'_>) -> io::Result<()> {
    let every = Timespec { tv_sec: 0, tv_nsec: BACKGROUND.subsec_nanos().into() };
    loop {
        let patience = rustix::termios::isatty(input).then_some(&every);
        let mut watched = [PollFd::new(&input, PollFlags::IN)];
        let ready = match poll(&mut watched, patience) {
            Err(rustix::io::Errno::INTR) => 0,
            ready => ready?,
        };
        if ready > 0 && in_foreground(input) {
            return Ok(());
        }
        if ready > 0 {
            std::thread::sleep(BACKGROUND);
        }
    }
}

/// Whether reading is allowed: always, unless it is a terminal that serves another process group.
fn in_foreground(input: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(input).map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    #[test]
    fn a_regular_file_is_known_by_its_path_and_position() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("in put");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut file = File::open(&path).unwrap();
        file.seek(io::SeekFrom::Start(4)).unwrap();
        assert_eq!(of(file.as_fd()).unwrap(), Stdin::File(bytes_of(path.clone()), 4));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(of(file.as_fd()).unwrap(), Stdin::Spool, "nobody else can open a deleted file");
    }

    #[test]
    fn devices_pipes_and_directories_are_told_apart() {
        let null = File::open("/dev/null").unwrap();
        assert_eq!(of(null.as_fd()).unwrap(), Stdin::Null);
        let (reader, _writer) = io::pipe().unwrap();
        assert_eq!(of(reader.as_fd()).unwrap(), Stdin::Spool);
        let directory = File::open("/").unwrap();
        assert!(of(directory.as_fd()).unwrap_err().to_string().contains("directory"));
    }

    #[test]
    fn a_pipe_is_spooled_to_its_last_byte_with_every_length_told() {
        let (reader, mut writer) = io::pipe().unwrap();
        let bytes: Vec<u8> = (0..1_000_003_u32).map(|number| (number % 251) as u8).collect();
        let sent = bytes.clone();
        let feeder = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        let (mut spool, mut told) = (Vec::new(), Vec::new());
        copy(reader.as_fd(), &mut spool, |length, end| told.push((length, end))).unwrap();
        feeder.join().unwrap();
        assert!(spool == bytes);
        assert_eq!(told.last(), Some(&(1_000_003, true)));
        assert!(told.is_sorted(), "lengths only grow");
    }

    #[test]
    fn a_full_disk_is_the_spools_trouble_and_not_the_inputs() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(matches!(copy(reader.as_fd(), full, |_, _| ()), Err(Trouble::Writing(_))));
    }
}
