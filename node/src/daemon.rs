//! The process of a daemon: the one that holds the lock of its host.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chameleon_core::names::{ArmorName, HostId, Incarnation, Kind};
use chameleon_core::shell::Identity;

use crate::armor_process::{self, Raise, StartError};
use crate::home::{Home, LastDaemon, Lock, LockError};
use crate::limits;
use crate::os::descriptor;
use crate::process::{Factory, mark};
use crate::random;

/// What `chameleon daemon HOME HOST BLANKS` does; started by [`crate::launch`] only, which hands over
/// the lock of the host.
pub fn daemon_main(arguments: &[OsString], raise: Raise) -> ExitCode {
    match run(arguments, raise) {
        Err(StartError::Lock(LockError::Held { .. })) => ExitCode::SUCCESS,
        Err(error) => {
            crate::log!("the daemon dies: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString], raise: Raise) -> Result<Infallible, StartError> {
    let handed = descriptor::take_handed();
    let (path, host, blanks) = parse(arguments)?;
    let home = Home::open(&path)?;
    home.make_host(host)?;
    let lock = match handed {
        Ok(file) => Lock::handed(file),
        Err(_started_by_hand) => Lock::take(&home.daemon_lock(host))?,
    };
    std::env::set_current_dir("/")?;
    limits::raise();
    remove_dead_users(&home);
    let incarnation = own_incarnation(&home, host, &lock)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX));
    let elected = home.managers()?.is_some_and(|managers| managers.candidates.contains(&host));
    let (name, seed) = (ArmorName::Daemon(host), random::bytes());
    let identity = Identity { name, incarnation, host, cores, seed, mirror: None, elected };
    let factory = Factory::new(Arc::new(Home::open(&path)?), host, cores)?;
    armor_process::run(home, identity, raise, Some((factory, blanks)))
}

/// Commands that were killed could not remove their sockets.
fn remove_dead_users(home: &Home) {
    let users = home.linked().unwrap_or_default().into_iter().filter(|name| name.kind() == Kind::User);
    for socket in users.map(|name| home.socket(name)) {
        if UnixStream::connect(&socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(socket);
        }
    }
}

fn parse(arguments: &[OsString]) -> Result<(PathBuf, HostId, u16), StartError> {
    let wrong = |why: &str| StartError::Arguments(format!("daemon HOME HOST BLANKS: {why}"));
    let [home, host, blanks] = arguments else { return Err(wrong("three arguments are needed")) };
    let text = |argument: &OsString| argument.to_str().unwrap_or_default().to_owned();
    let host = text(host).parse().map_err(|_| wrong("the second is a host such as h1"))?;
    let blanks = text(blanks).parse().map_err(|_| wrong("the third is a number"))?;
    Ok((PathBuf::from(home), host, blanks))
}

/// One more than that of the last daemon, unless whoever started this one has written it already.
fn own_incarnation(home: &Home, host: HostId, lock: &Lock) -> Result<Incarnation, StartError> {
    let (last, process) = (home.last_daemon(host), mark::own());
    if last.process == process {
        return Ok(last.incarnation);
    }
    let incarnation = last.next();
    home.keep_daemon(lock, &LastDaemon { incarnation, process })?;
    Ok(incarnation)
}
