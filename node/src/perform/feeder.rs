//! Feeds a program from the spooled standard input: through a pipe, since that is what the user gave,
//! and never further than every lane has it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::pipe::PipeFlags;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How much is read from the spool at once, in bytes.
const CHUNK: usize = 64 << 10;

/// The feeding of one program; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Feeder {
    allowed: watch::Sender<(u64, bool)>,
    task: JoinHandle<()>,
}

impl Feeder {
    /// The program's end of a pipe, and who feeds it from the beginning of the spool.
    pub fn new(spool: File) -> io::Result<(OwnedFd, Feeder)> {
        let (program_end, our_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let our_end = pipe::Sender::from_owned_fd(our_end)?;
        let (allowed, changes) = watch::channel((0, false));
        let task = tokio::spawn(async move {
            // A program may end, or close its input, before it has read everything: that is its own affair.
            let _ = copy(spool, our_end, changes).await;
        });
        Ok((program_end, Feeder { allowed, task }))
    }

    /// So many bytes of the spool may be read, all there will be if `end`.
    pub fn feed(&self, upto: u64, end: bool) {
        self.allowed.send_replace((upto, end));
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy(spool: File, mut pipe: pipe::Sender, mut allowed: watch::Receiver<(u64, bool)>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut position = 0;
    loop {
        let (upto, end) = *allowed.borrow_and_update();
        while position < upto {
            let most = CHUNK.min(usize::try_from(upto - position).unwrap_or(CHUNK));
            spool.read_exact_at(&mut buffer[..most], position)?;
            pipe.write_all(&buffer[..most]).await?;
            position += most as u64;
        }
        if end || allowed.changed().await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_program_reads_what_is_allowed_and_its_end() {
        let mut spool = tempfile::tempfile().unwrap();
        let text: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
        spool.write_all(&text).unwrap();
        let (program_end, feeder) = Feeder::new(spool).unwrap();
        let (sender, read) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut program_end = File::from(program_end);
            let mut first = [0; 10];
            program_end.read_exact(&mut first).unwrap();
            sender.send(()).unwrap();
            let mut rest = Vec::new();
            program_end.read_to_end(&mut rest).unwrap();
            [first.to_vec(), rest].concat()
        });
        feeder.feed(10, false);
        tokio::task::spawn_blocking(move || read.recv_timeout(Duration::from_secs(20)).unwrap()).await.unwrap();
        feeder.feed(200_001, true);
        let all = tokio::task::spawn_blocking(move || reader.join().unwrap()).await.unwrap();
        assert_eq!(all, &text[..200_001]);
    }
}
