//! Counting executions from outside: every program says its name on a FIFO.
//!
//! What a lane writes to files is held, but a FIFO in a directory that is only readable may be written
//! to: it keeps nothing. So the count is of executions that began, whatever became of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Counts the lines that come on a FIFO.
#[derive(Debug)]
pub struct Counter {
    path: PathBuf,
    fifo: File,
    lines: BTreeMap<String, usize>,
}

impl Counter {
    /// Makes the FIFO.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(path: &Path) -> Counter {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        // Open for both, so that no writer ever waits for a reader.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let fifo = File::options().read(true).write(true).custom_flags(flags).open(path).expect("a FIFO opens");
        rustix::pipe::fcntl_setpipe_size(&fifo, 1 << 20).expect("a pipe of 1 MiB");
        Counter { path: path.to_owned(), fifo, lines: BTreeMap::new() }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How often each line came so far.
    pub fn lines(&mut self) -> &BTreeMap<String, usize> {
        let mut bytes = Vec::new();
        // Ends with "would block", once all that came is read.
        let _ = self.fifo.read_to_end(&mut bytes);
        for line in String::from_utf8_lossy(&bytes).lines() {
            *self.lines.entry(line.to_owned()).or_default() += 1;
        }
        &self.lines
    }

    /// How many lines came so far.
    pub fn total(&mut self) -> usize {
        self.lines().values().sum()
    }
}
