//! Starting daemons.
//!
//! Whoever starts one takes the lock of the host and hands it over: of any number of processes that
//! miss their daemon at the same moment, one starts another.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use chameleon_core::names::{ArmorName, HostId};

use crate::files::commit::{self, Recovered};
use crate::home::{Home, HomeError, LastDaemon, Lock, LockError};
use crate::limits;
use crate::os::spawn::{self, Descriptors};
use crate::process::{Ending, Process, Unguarded};
use crate::store::{Embedded, StoreError};

/// How long a daemon may take until it can be reached, and an ending system until it has ended.
const ATTEMPTS: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(1);
/// Attempts between two looks at a daemon that was started and cannot be reached.
const LOOK_EVERY: u32 = 200;
/// Daemons that may die without a word before no other is started.
const SILENT_DEATHS: u32 = 3;
/// The host on which the FTM is raised.
const FOUNDER: HostId = HostId(1);
/// How much of a dead daemon's log is shown.
const SHOWN_LOG: usize = 600;

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a daemon on {host}: {source}")]
    System { host: HostId, source: io::Error },
    #[error("the daemon on {host} died as it started: {log}")]
    Died { host: HostId, log: String },
    #[error("the daemon on {host} cannot be reached after 10 s; its log is {log}")]
    Silent { host: HostId, log: PathBuf },
}

/// Starts a daemon on a host of this home, unless there is one, and waits until it can be reached, and
/// on the founding host until the FTM can: from then on ARMORs guard the daemon. Until then nobody else
/// would notice one that is stopped or spins, so this does. It makes so many blank processes at once.
///
/// # Errors
/// See [`LaunchError`].
pub fn start(home: &Home, host: HostId, blanks: u16) -> Result<(), LaunchError> {
    home.make_host(host)?;
    if home.restoring().exists() {
        return Err(HomeError::HalfRestored { path: home.path().to_owned() }.into());
    }
    await_end(home);
    finish_commits();
    examine_store(home)?;
    let alone = home.managers()?.is_none() && host == FOUNDER;
    let reached = |name| UnixStream::connect(home.socket(name)).is_ok();
    let mut nurse = Nurse { home, host, blanks, daemon: None, deaths: 0 };
    for attempt in 1..=ATTEMPTS {
        if reached(ArmorName::Daemon(host)) && (!alone || reached(ArmorName::Ftm)) {
            return Ok(());
        }
        nurse.tend(attempt.is_multiple_of(LOOK_EVERY))?;
        thread::sleep(PAUSE);
    }
    Err(LaunchError::Silent { host, log: log_path(home, host) })
}

/// Whoever starts a daemon, until ARMORs guard it.
struct Nurse<'a> {
    home: &'a Home,
    host: HostId,
    blanks: u16,
    /// The daemon of the host, and whether it was started here.
    daemon: Option<(Unguarded, bool)>,
    /// Those that were started here and died without a word.
    deaths: u32,
}

impl Nurse<'_> {
    /// Starts a daemon if none holds the lock of the host. One that hangs is ended if it is looked at; another follows.
    fn tend(&mut self, look: bool) -> Result<(), LaunchError> {
        if look && self.daemon.as_mut().is_some_and(|(daemon, _)| daemon.end_if_it_hangs()) {
            self.daemon = None;
        }
        if let Some((_, ours)) = self.daemon.take_if(|(daemon, _)| daemon.has_exited()) {
            let log = end_of_log(self.home, self.host);
            if ours && (!log.is_empty() || self.deaths == SILENT_DEATHS) {
                return Err(LaunchError::Died { host: self.host, log });
            }
            // It was killed from outside: one that cannot run says why.
            self.deaths += u32::from(ours);
        }
        if self.daemon.is_none() {
            let started = spawn_daemon(self.home, self.host, self.blanks)?;
            self.daemon = match started {
                Some(process) => Some((Unguarded::newborn(process), true)),
                None => Unguarded::living(self.home, self.host).map(|daemon| (daemon, false)),
            };
        }
        Ok(())
    }
}

/// Starts a daemon, unless one holds the lock of the host.
///
/// # Errors
/// See [`LaunchError`].
pub(crate) fn spawn_daemon(home: &Home, host: HostId, blanks: u16) -> Result<Option<Process>, LaunchError> {
    let lock = match Lock::take(&home.daemon_lock(host)) {
        Err(LockError::Held { .. }) => return Ok(None),
        outcome => outcome?,
    };
    let next = home.last_daemon(host).next();
    let spawn = || {
        let log = OpenOptions::new().append(true).create(true).open(log_path(home, host))?;
        let stdin = File::open("/dev/null")?;
        let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::other);
        let arguments = [
            text(b"chameleon")?,
            text(b"daemon")?,
            text(home.path().as_os_str().as_bytes())?,
            text(host.to_string().as_bytes())?,
            text(blanks.to_string().as_bytes())?,
        ];
        let descriptors = Descriptors { stdin: stdin.as_fd(), log: log.as_fd(), handed: lock.as_fd() };
        let pid = spawn::this_program(&arguments, descriptors)?;
        limits::give_back(pid);
        let process = Process::open_pid(pid)?;
        // It does so too; but one that hangs at its first instruction is to be found as well.
        home.keep_daemon(&lock, &LastDaemon { incarnation: next, process: process.mark().clone() })?;
        Ok(process)
    };
    spawn().map(Some).map_err(|source| LaunchError::System { host, source })
}

/// A store that no FTM could open is told at once, and not only in the log of each that tries.
fn examine_store(home: &Home) -> Result<(), LaunchError> {
    if home.has_daemon() || home.managers()?.is_some() {
        return Ok(());
    }
    match Embedded::examine(&home.store()) {
        // An FTM that outlived its daemon.
        Err(StoreError::InUse { .. }) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Commits that a sudden end left half done are finished before anything else happens.
fn finish_commits() {
    match commit::roll_forward(&Home::commits(), &mut |_step| {}) {
        Ok(recovered) => {
            for commit in recovered {
                if let Recovered::RolledForward { id } = commit {
                    crate::log!("finished the commit {id}, which an earlier system had begun");
                }
            }
        }
        Err(error) => crate::log!("cannot {error}"),
    }
}

/// A system that ends just now is waited for; a mark that nobody stands behind is removed.
fn await_end(home: &Home) {
    let mut ending = Ending::of(home);
    for _ in 0..ATTEMPTS {
        if !home.is_stopping() {
            return;
        }
        if ending.is_over() {
            home.clear_stopping();
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn log_path(home: &Home, host: HostId) -> PathBuf {
    home.host(host).join("daemon.log")
}

fn end_of_log(home: &Home, host: HostId) -> String {
    let log = fs::read(log_path(home, host)).unwrap_or_default();
    let shown = &log[log.len().saturating_sub(SHOWN_LOG)..];
    String::from_utf8_lossy(shown).trim().to_owned()
}
