//! Makes blank processes: started ahead of need, so that an ARMOR is installed by saying its name.
//!
//! A blank process holds one end of a pair of sockets. One message comes, the assignment; or the end,
//! if its daemon dies first. Then it exits, and so that even a stopped one does, it asks the system to
//! be killed with its parent until it has a name.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use chameleon_core::job::OsBytes;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Identity;
use chameleon_core::world::SecondHome;
use minicbor::{Decode, Encode};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};

use super::Process;
use crate::home::Home;
use crate::limits;
use crate::os::spawn::{self, Descriptors};
use crate::random;

/// Why there is no blank process.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    #[error("cannot open {path}, which every new process needs: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot start another process on this host, so no ARMOR can be installed: {0}")]
    Start(#[from] io::Error),
}

/// What a blank process is told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Assignment {
    #[n(0)]
    home: OsBytes,
    #[n(1)]
    name: ArmorName,
    #[n(2)]
    incarnation: Incarnation,
    #[n(3)]
    host: HostId,
    #[n(4)]
    cores: u16,
    #[n(61)]
    mirror: Option<SecondHome>,
}

impl Assignment {
    pub fn home(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsStr::from_bytes(&self.home))
    }

    /// Who this process is from now on.
    pub fn identity(&self) -> Identity {
        Identity {
            name: self.name,
            incarnation: self.incarnation,
            host: self.host,
            cores: self.cores,
            seed: random::bytes(),
            mirror: self.mirror,
            elected: false,
        }
    }

    /// Waits for the assignment of this process; `None`: there will be none.
    pub fn receive(socket: &OwnedFd) -> io::Result<Option<Assignment>> {
        let mut bytes = vec![0; 64 << 10];
        let (_, length) = rustix::net::recv(socket, bytes.as_mut_slice(), RecvFlags::empty())?;
        match length {
            0 => Ok(None),
            _ => minicbor::decode(&bytes[..length]).map(Some).map_err(io::Error::other),
        }
    }
}

/// Blank processes, and how more are made.
#[derive(Debug)]
pub struct Factory {
    home: Arc<Home>,
    host: HostId,
    cores: u16,
    stdin: File,
    log: File,
    blanks: BTreeMap<u32, Blank>,
}

#[derive(Debug)]
struct Blank {
    process: Process,
    socket: OwnedFd,
}

impl Factory {
    /// A factory whose processes write to the daemon's log until they have one of their own.
    ///
    /// # Errors
    /// See [`FactoryError`].
    pub fn new(home: Arc<Home>, host: HostId, cores: u16) -> Result<Factory, FactoryError> {
        let null = PathBuf::from("/dev/null");
        let stdin = File::open(&null).map_err(|source| FactoryError::Open { path: null, source })?;
        let path = home.host(host).join("daemon.log");
        let log = OpenOptions::new().append(true).create(true).open(&path);
        let log = log.map_err(|source| FactoryError::Open { path, source })?;
        Ok(Factory { home, host, cores, stdin, log, blanks: BTreeMap::new() })
    }

    /// How many blank processes wait for a name.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.blanks.len()
    }

    /// Makes one more. It need not have come up yet: what it is told waits for it.
    ///
    /// # Errors
    /// See [`FactoryError`].
    pub fn make(&mut self) -> Result<Process, FactoryError> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
        let arguments = [CString::from(c"chameleon"), CString::from(c"armor")];
        let descriptors = Descriptors { stdin: self.stdin.as_fd(), log: self.log.as_fd(), handed: theirs.as_fd() };
        let pid = spawn::this_program(&arguments, descriptors)?;
        let process = Process::open_pid(pid)?;
        limits::give_back(pid);
        self.blanks.insert(pid, Blank { process: process.clone(), socket: ours });
        Ok(process)
    }

    /// Gives a blank process its name; `None`: it is gone.
    pub fn assign(
        &mut self,
        pid: u32,
        name: ArmorName,
        incarnation: Incarnation,
        mirror: Option<SecondHome>,
    ) -> Option<Process> {
        let blank = self.blanks.remove(&pid)?;
        let home = self.home.path().as_os_str().as_bytes().to_vec().into();
        let assignment = Assignment { home, name, incarnation, host: self.host, cores: self.cores, mirror };
        let bytes = minicbor::to_vec(assignment).expect("writing to memory cannot fail");
        rustix::net::send(&blank.socket, &bytes, SendFlags::NOSIGNAL).ok()?;
        Some(blank.process)
    }

    /// A process has exited: says whether it was blank still.
    pub fn lost(&mut self, pid: u32) -> bool {
        self.blanks.remove(&pid).is_some()
    }

    /// Ends all blank processes and waits until they are gone.
    pub fn end(self) {
        for blank in self.blanks.values() {
            blank.process.kill();
        }
        for blank in self.blanks.values() {
            blank.process.wait(None);
            blank.process.reap();
        }
    }
}
