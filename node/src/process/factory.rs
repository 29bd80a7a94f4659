//! Makes blank processes: started ahead of need, so that an ARMOR is installed by saying its name.
//!
//! A blank process holds one end of a pair of sockets, where it is told its name; or the end comes, if its
//! daemon dies first. Then it exits, and so that even a stopped one does, it asks the system to be killed
//! with its parent until it has a name. One stays blank for good: the others are its copies, which are
//! loaded and linked already.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use chameleon_core::job::OsBytes;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Identity;
use chameleon_core::world::SecondHome;
use minicbor::{Decode, Encode};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

use super::Process;
use crate::home::Home;
use crate::limits;
use crate::os::facilities::Facilities;
use crate::os::spawn::{self, Descriptors};
use crate::random;
use crate::slot::control;

/// Why there is no blank process.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    #[error("cannot open {path}, which every new process needs: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot start another process on this host, so no ARMOR can be installed: {0}")]
    Start(#[from] io::Error),
}

/// How long the process that stays blank may take to make a copy of itself.
const COPIES_WITHIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a blank process is told.
#[derive(Debug, Encode, Decode)]
pub(crate) enum Order {
    /// To be this ARMOR from now on.
    #[n(0)]
    Be(#[n(0)] Assignment),
    /// To stay blank. Answered by [`Answer::Up`].
    #[n(1)]
    Stay,
    /// To make a copy of itself, which is told more at the socket that comes along. Answered by [`Answer::Copied`].
    #[n(2)]
    Copy,
}

/// What a blank process says.
#[derive(Debug, Encode, Decode)]
pub(crate) enum Answer {
    /// It is loaded, and can make copies of itself at once.
    #[n(0)]
    Up,
    /// It has a copy, with this process id.
    #[n(1)]
    Copied(#[n(0)] i32),
}

/// Which ARMOR a blank process becomes.
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
}

/// Blank processes, and how more are made.
#[derive(Debug)]
pub struct Factory {
    home: Arc<Home>,
    host: HostId,
    cores: u16,
    stdin: File,
    log: File,
    original: Option<Original>,
    blanks: BTreeMap<u32, Blank>,
}

#[derive(Debug)]
struct Blank {
    process: Process,
    socket: OwnedFd,
}

/// The one that stays blank.
#[derive(Debug)]
struct Original {
    blank: Blank,
    is_up: bool,
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
        Ok(Factory { home, host, cores, stdin, log, original: None, blanks: BTreeMap::new() })
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
        let (ours, theirs) = sockets()?;
        let blank = match self.copy(&theirs) {
            Some(process) => Blank { process, socket: ours },
            None => self.start()?,
        };
        let process = blank.process.clone();
        self.blanks.insert(process.mark().pid, blank);
        Ok(process)
    }

    /// Copies the process that stays blank; `None`: there is none that could be copied at once. The copy is a child of
    /// this process, which takes more than POSIX has.
    fn copy(&mut self, theirs: &OwnedFd) -> Option<Process> {
        if self.home.facilities(self.host) == Some(Facilities::Posix) {
            return None;
        }
        let Some(original) = &mut self.original else {
            let started = self.start().ok();
            let stays = |blank: &Blank| control::send(blank.socket.as_fd(), &Order::Stay, &[]).is_ok();
            self.original = started.filter(stays).map(|blank| Original { blank, is_up: false });
            return None;
        };
        match original.copy(theirs) {
            Ok(copy) => copy,
            Err(why) => {
                crate::log!("process {} makes no copy of itself: {why}", original.blank.process.mark().pid);
                self.original.take().into_iter().for_each(|original| original.blank.end());
                None
            }
        }
    }

    /// Starts the program once more.
    fn start(&self) -> Result<Blank, FactoryError> {
        let (socket, theirs) = sockets()?;
        let arguments = [CString::from(c"chameleon"), CString::from(c"armor")];
        let descriptors = Descriptors { stdin: self.stdin.as_fd(), log: self.log.as_fd(), handed: theirs.as_fd() };
        let pid = spawn::this_program(&arguments, descriptors)?;
        let process = Process::open_pid(pid)?;
        limits::give_back(pid);
        Ok(Blank { process, socket })
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
        control::send(blank.socket.as_fd(), &Order::Be(assignment), &[]).ok()?;
        Some(blank.process)
    }

    /// A process has exited: says whether it was blank still.
    pub fn lost(&mut self, pid: u32) -> bool {
        self.blanks.remove(&pid).is_some()
    }

    /// Ends all blank processes and waits until they are gone.
    pub fn end(self) {
        let all: Vec<Blank> = self.blanks.into_values().chain(self.original.map(|original| original.blank)).collect();
        all.iter().for_each(|blank| blank.process.kill());
        all.into_iter().for_each(Blank::end);
    }
}

impl Original {
    /// Has it make a copy of itself that listens at the other end of a socket of ours; `None`: it is not loaded yet.
    fn copy(&mut self, theirs: &OwnedFd) -> io::Result<Option<Process>> {
        let socket = self.blank.socket.as_fd();
        if !self.is_up {
            self.is_up = matches!(heard(socket)?, Some(Answer::Up));
        }
        if !self.is_up {
            return Ok(None);
        }
        control::send(socket, &Order::Copy, &[theirs.as_fd()])?;
        rustix::event::poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&COPIES_WITHIN))?;
        match heard(socket)? {
            Some(Answer::Copied(pid)) => Process::open_pid(pid.unsigned_abs()).map(Some),
            Some(Answer::Up) | None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// What was answered; `None`: nothing yet.
fn heard(socket: BorrowedFd<'_>) -> io::Result<Option<Answer>> {
    match control::receive(socket, RecvFlags::DONTWAIT) {
        Ok(Some((answer, _))) => Ok(Some(answer)),
        Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

impl Blank {
    /// Ends it and waits until it is gone.
    fn end(self) {
        self.process.kill();
        self.process.wait(None);
        self.process.reap();
    }
}

fn sockets() -> Result<(OwnedFd, OwnedFd), FactoryError> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    Ok(pair.map_err(io::Error::from)?)
}
