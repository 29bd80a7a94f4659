//! Gives bytes out: a thread that takes streams, and one for each that is served. They belong to the daemon's process
//! and share nothing with its event loop.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chameleon_core::names::HostId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::frame::{self, Answer, Ask, Refusal};
use super::roads::{Distant, driver};
use super::shelf::{Found, Shelf};
use crate::home::{Home, HomeError};
use crate::links::Far;
use crate::links::door::BulkCalls;

/// Streams that are served at once.
const MOST: usize = 64;
/// Who asks nothing, or takes nothing, for so long is sent away.
const PATIENCE: Duration = Duration::from_secs(60);
const BUFFER: usize = 256 << 10;

/// The desk of one host. Clones are the same desk.
#[derive(Debug, Clone)]
pub struct Desk {
    shelf: Arc<Shelf>,
    served: Arc<AtomicUsize>,
}

impl Desk {
    /// # Errors
    /// The home cannot be opened.
    pub fn new(home: &Home, host: HostId) -> Result<Desk, HomeError> {
        let shelf = Shelf::new(Home::open(home.path())?, host);
        Ok(Desk { shelf: Arc::new(shelf), served: Arc::default() })
    }

    /// Serves whoever connects to the host's socket in this home, from now until the process ends. Whoever calls it
    /// holds the lock of the host: a socket that is there belongs to a daemon that is gone.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(&self, home: &Home, host: HostId) -> io::Result<()> {
        let path = home.bulk_socket(host);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let desk = self.clone();
        thread::Builder::new().name("bulk".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => desk.attend(stream),
                    // Too many open files, say: it may pass.
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        })?;
        Ok(())
    }

    /// Serves whoever calls from other machines and is let in, from now until the process ends.
    ///
    /// # Errors
    /// There can be no thread for it.
    pub fn answer(&self, far: Arc<Far>) -> io::Result<BulkCalls> {
        let (calls, mut called) = mpsc::unbounded_channel();
        let desk = self.clone();
        // Its own, so that no decision of the daemon waits for a reader far away.
        let driver = driver()?;
        thread::Builder::new().name("bulk".to_owned()).spawn(move || {
            while let Some(stream) = called.blocking_recv() {
                let (far, handle) = (far.clone(), driver.clone());
                desk.in_a_thread(move || answer(stream, &far, handle));
            }
        })?;
        Ok(calls)
    }

    /// Serves one stream in a thread of its own.
    pub fn attend(&self, stream: UnixStream) {
        self.in_a_thread(move || {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
    }

    fn in_a_thread<R: Read + Write>(&self, open: impl FnOnce() -> io::Result<R> + Send + 'static) {
        let desk = self.clone();
        let is_room = desk.served.fetch_add(1, Ordering::Relaxed) < MOST;
        let serve = move || {
            // Whoever breaks off, or says what cannot be read, is not served any longer.
            let _ =
                open().and_then(|mut stream| if is_room { desk.serve(&mut stream) } else { turn_away(&mut stream) });
            desk.served.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().name("bulk".to_owned()).spawn(serve).is_err() {
            self.served.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Answers one question after the other until the stream ends.
    ///
    /// # Errors
    /// Those of the stream, and of a file that ends before it should: what was promised cannot be given any more.
    pub fn serve(&self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        let mut buffer = Vec::new();
        while let Some(ask) = frame::read::<Ask>(stream)? {
            match self.shelf.find(&ask) {
                Err(refusal) => frame::write(stream, &Answer::Refused(refusal))?,
                Ok(Found::Whole(bytes)) => {
                    frame::write(stream, &Answer::Bytes(bytes.len() as u64))?;
                    stream.write_all(&bytes)?;
                    stream.flush()?;
                }
                Ok(Found::Part { file, offset, length }) => {
                    frame::write(stream, &Answer::Bytes(length))?;
                    buffer.resize(BUFFER, 0);
                    give(&file, offset, length, &mut buffer, stream)?;
                    stream.flush()?;
                }
            }
        }
        Ok(())
    }
}

/// Whoever calls must prove that it belongs to the cluster. What it may have, the pass says.
fn answer(stream: TcpStream, far: &Arc<Far>, handle: Handle) -> io::Result<Distant> {
    stream.set_nonblocking(true)?;
    let answered = handle.block_on(async { far.answer(tokio::net::TcpStream::from_std(stream)?).await });
    match answered? {
        (stream, Some(_member)) => Ok(Distant { stream, handle, patience: PATIENCE }),
        (_stranger, None) => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

fn turn_away(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let _asked: Option<Ask> = frame::read(stream)?;
    frame::write(stream, &Answer::Refused(Refusal::Busy))
}

fn give(file: &fs::File, offset: u64, length: u64, buffer: &mut [u8], stream: &mut impl Write) -> io::Result<()> {
    let mut given = 0;
    while given < length {
        let most = buffer.len().min(usize::try_from(length - given).unwrap_or(usize::MAX));
        match file.read_at(&mut buffer[..most], offset + given)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                stream.write_all(&buffer[..read])?;
                given += read as u64;
            }
        }
    }
    Ok(())
}
