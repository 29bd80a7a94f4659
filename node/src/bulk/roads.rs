//! How hosts' desks are reached: in the same home by their sockets, on other machines by an authenticated stream.
//!
//! Whoever asks and whoever answers is a thread that waits. A stream to another machine is driven by the runtime of
//! its process; each reading and writing of it ends in time.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chameleon_core::names::{ArmorName, HostId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Handle};

use super::pace;
use crate::home::Home;
use crate::links::door::Destination;
use crate::links::{Far, FarStream};
use crate::{pki, random};

/// A stream to or from a desk.
pub trait Road: Read + Write + Send + Debug {}

impl Road for UnixStream {}
impl Road for Distant {}

/// The roads of one process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Roads {
    home: Arc<Home>,
    /// The host that they begin at; `None` for a command, which is on none.
    here: Option<HostId>,
    /// What is known of other machines, and what drives streams there.
    distant: Option<(Arc<Far>, Handle)>,
}

impl Roads {
    /// Those of an ARMOR, within its runtime. `far`: what it knows of other machines, if there are any.
    #[must_use]
    pub fn new(home: Arc<Home>, far: Option<Arc<Far>>) -> Roads {
        Roads { home, here: None, distant: far.map(|far| (far, Handle::current())) }
    }

    /// Those of a command.
    ///
    /// # Errors
    /// There can be no runtime.
    pub fn of_command(home: Arc<Home>) -> io::Result<Roads> {
        let name = ArmorName::User(u64::from_le_bytes(random::bytes()));
        let far = Far::of(&home, name);
        let distant = far.map(|far| io::Result::Ok((far, driver()?))).transpose()?;
        Ok(Roads { home, here: None, distant })
    }

    /// Those that begin at this host, which remembers how fast bytes come over them.
    #[must_use]
    pub fn from(self, here: HostId) -> Roads {
        Roads { here: Some(here), ..self }
    }

    /// So many bytes came from this host in this time.
    pub(super) fn note_pace(&self, host: HostId, bytes: u64, took: Duration) {
        if let Some(here) = self.here.filter(|here| *here != host) {
            pace::note(&self.home.paces(here), host, bytes, took);
        }
    }

    #[must_use]
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// All hosts whose desks are known of.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostId> {
        let daemon = |name| if let ArmorName::Daemon(host) = name { Some(host) } else { None };
        let mut hosts: Vec<HostId> = self.home.linked().unwrap_or_default().into_iter().filter_map(daemon).collect();
        if self.distant.is_some() {
            let book = pki::read_book(&self.home).unwrap_or_default();
            hosts.extend(book.hosts.iter().map(|entry| entry.host));
        }
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// A stream to the desk of a host. To be called where waiting is allowed.
    ///
    /// # Errors
    /// It cannot be reached, or is somebody else's.
    pub fn dial(&self, host: HostId, patience: Duration) -> io::Result<Box<dyn Road>> {
        match &self.distant {
            Some((far, handle)) if far.here() != Some(host) => {
                let handle = handle.clone();
                let stream = handle.block_on(far.call(Destination::Bulk, host))?;
                Ok(Box::new(Distant { stream, handle, patience }))
            }
            _ => {
                let stream = UnixStream::connect(self.home.bulk_socket(host))?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// What drives streams in a process, until it ends: a thread that waits for nothing else.
///
/// # Errors
/// There can be no such thread.
pub(super) fn driver() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let drive = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("bulk".to_owned()).spawn(drive)?;
    Ok(handle)
}

/// A stream to another machine, for a thread that waits.
#[derive(Debug)]
pub(super) struct Distant {
    pub stream: FarStream,
    pub handle: Handle,
    /// For each reading and writing.
    pub patience: Duration,
}

impl Read for Distant {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Distant { stream, handle, patience } = self;
        handle.block_on(in_time(*patience, stream.read(buffer)))
    }
}

impl Write for Distant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Distant { stream, handle, patience } = self;
        handle.block_on(in_time(*patience, stream.write(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        let Distant { stream, handle, patience } = self;
        handle.block_on(in_time(*patience, stream.flush()))
    }
}

async fn in_time<T>(patience: Duration, act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, act).await.map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))?
}
