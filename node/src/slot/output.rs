//! One output of a slot: the pipe that programs write to, and the pack that it is kept in.
//!
//! All executions of a slot share the pipe, which is enough because nothing is left running when an execution is
//! reported as ended: then the pipe is drained, and what comes next belongs to the next execution.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::pack::Pack;
use crate::os::readiness::watch;

/// The size that is asked of the kernel for the pipe.
const PIPE: usize = 1024 * 1024;

/// One output of a slot.
#[derive(Debug)]
pub struct Output {
    pipe: AsyncFd<OwnedFd>,
    pub pack: Pack,
}

impl Output {
    /// An output that is kept in the pack at `path`; returns it with the pipe's end for the programs.
    pub fn open(path: &Path) -> io::Result<(Output, OwnedFd)> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        // A smaller pipe only costs speed; a user may have used up what the system allows them.
        let _ = rustix::pipe::fcntl_setpipe_size(&reader, PIPE);
        Ok((Output { pipe: watch(reader, Interest::READABLE)?, pack: Pack::open(path)? }, writer))
    }

    /// Waits until something is in the pipe and takes it. Nothing is lost if it is dropped while it waits.
    pub async fn take(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.pipe.readable().await?;
            if let Ok(read) = ready.try_io(|pipe| self.pack.read(pipe.get_ref())) {
                return read;
            }
        }
    }

    /// Takes everything that is in the pipe: to be called when nothing runs in the slot.
    pub fn drain(&mut self) -> io::Result<()> {
        self.pack.drain(self.pipe.get_ref())
    }
}
