//! Where a system keeps everything: one directory, and the one place that knows its layout.
//!
//! ```text
//! HOME/version             of this layout
//!      owner               the process an ephemeral home belongs to
//!      stopping            is there while the whole system ends
//!      bulk                where an ephemeral home puts what is large: a link to a directory on disk
//!      links/NAME          the sockets of all ARMORs and users; links/bulk-HOST, where a host gives bytes out
//!      restoring           is there while a backup is put in place: nothing starts
//!      ftm/store.redb      the FTM's store, unless several hosts may have it:
//!      managers            then who they are, and where theirs is
//!      etcd/               of a system that is all on this machine: see `store/members.rs`
//!      pki/                who this home is among other machines: see `pki`
//!      book                where other machines are reached
//!      hosts/HOST/         policy.toml, facilities, daemon.lock, daemon.log, beats, armors/NAME/{journal, log}
//!      hosts/HOST/jobs/JOB/  pass, stdin.spool, output.index, lane-N/slot-N/{out.pack, err.pack}, blobs/DIGEST,
//!                          offered/DIGEST, offers/STAGE/…, mirror-STAGE/…
//!      hosts/HOST/builds/DIGEST/  outputs, blobs/DIGEST
//! ```

mod ephemeral;
mod facilities;
mod last_daemon;
mod lock;
mod managers;

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, LaneId};
use chameleon_core::world::ProcessMark;
use rustix::fs::{Mode, OFlags};

pub use chameleon_etcd::Address;
pub(crate) use ephemeral::in_memory;
pub use ephemeral::{Bases, clear_abandoned, remove};
pub use last_daemon::LastDaemon;
pub use lock::{Lock, LockError};
pub use managers::Managers;

/// Version of the layout and of everything kept in it.
pub const VERSION: u32 = 1;

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error(
        "{path} was made by a newer Chameleon (layout {found}, this one knows {VERSION}); use that one, or another --home"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error("{path} is no home of Chameleon: it is not empty and has no readable file `version`; nothing was touched")]
    Foreign { path: PathBuf },
    #[error(
        "a restore of {path} was broken off, so nothing is started there; `chameleon restore FILE --replace` ends it"
    )]
    HalfRestored { path: PathBuf },
    #[error("no system was ever started in {path}")]
    Absent { path: PathBuf },
    #[error("{path} belongs to somebody else or is open to others, so nothing private can be kept there")]
    NotOurs { path: PathBuf },
    #[error("cannot use the home {path}: {source}")]
    System { path: PathBuf, source: io::Error },
}

impl HomeError {
    fn system(path: &Path) -> impl FnOnce(io::Error) -> HomeError {
        let path = path.to_owned();
        move |source| HomeError::System { path, source }
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where programs of this user keep their state: on a disk, beyond a boot. Users whose home cannot be written, as
/// services have, share no directory with others.
fn state_directory() -> PathBuf {
    let own = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    let user = rustix::process::geteuid().as_raw();
    own.filter(|path| can_be_made(path)).unwrap_or_else(|| PathBuf::from(format!("/var/tmp/chameleon-{user}/state")))
}

/// Whether a directory is there or can be made, and can be written to.
fn can_be_made(path: &Path) -> bool {
    let nearest = path.ancestors().find(|ancestor| ancestor.exists());
    nearest.is_some_and(|path| path.is_dir() && rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok())
}

/// An open home.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    links: OwnedFd,
}

impl Home {
    /// The home that commands use unless told otherwise: `$CHAMELEON_HOME`, else `chameleon` in
    /// `$XDG_STATE_HOME`, else in `~/.local/state`, else in a directory of the user's in `/var/tmp`.
    #[must_use]
    pub fn default_path() -> PathBuf {
        variable("CHAMELEON_HOME").unwrap_or_else(|| state_directory().join("chameleon"))
    }

    /// Where this user's unfinished commits are looked for, whatever home they belong to: on a disk,
    /// `chameleon-commits` beside the default home.
    #[must_use]
    pub fn commits() -> PathBuf {
        state_directory().join("chameleon-commits")
    }

    /// How the ids of all commits of a job of this home begin. An ephemeral home may get the path of an
    /// earlier one, but never its owner.
    #[must_use]
    pub fn commits_of(&self, job: JobId) -> String {
        format!("{}-{job}-", self.id())
    }

    /// Tells this home from every other one of this user, fit for a file name.
    pub(crate) fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.path.as_os_str().as_bytes());
        hasher.update(&fs::read(self.path.join("owner")).unwrap_or_default());
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// Opens a home, and makes it if there is none yet.
    ///
    /// # Errors
    /// See [`HomeError`]; a directory that is something else is left as it is.
    pub fn create(path: &Path) -> Result<Home, HomeError> {
        make_directory(path).map_err(HomeError::system(path))?;
        if read_version(path)?.is_none() {
            if !is_empty(path).map_err(HomeError::system(path))? {
                return Err(HomeError::Foreign { path: path.to_owned() });
            }
            let text = format!("{VERSION}\n");
            write_whole(&path.join("version"), text.as_bytes()).map_err(HomeError::system(path))?;
        }
        for directory in ["links", "ftm", "hosts"] {
            make_directory(&path.join(directory)).map_err(HomeError::system(path))?;
        }
        Home::open(path)
    }

    /// Opens a home that is there.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub fn open(path: &Path) -> Result<Home, HomeError> {
        let path = fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HomeError::Absent { path: path.to_owned() },
            _ => HomeError::System { path: path.to_owned(), source: error },
        })?;
        match read_version(&path)? {
            None => return Err(HomeError::Absent { path }),
            Some(found) if found > VERSION => return Err(HomeError::Newer { path, found }),
            Some(_) => {}
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
        let links = rustix::fs::open(path.join("links"), flags, Mode::empty())
            .map_err(|error| HomeError::System { path: path.clone(), source: error.into() })?;
        Ok(Home { path, links })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where an ARMOR or a user listens: short however deep the home lies, valid in this process.
    #[must_use]
    pub fn socket(&self, name: ArmorName) -> PathBuf {
        self.in_links(&name.to_string())
    }

    /// A file among the sockets, by a path that is short and valid in this process.
    #[must_use]
    pub fn in_links(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{file}", self.links.as_raw_fd()))
    }

    /// Takes the name of an ARMOR for this life of it, unless a later one lives on another host of this home.
    ///
    /// # Errors
    /// The life cannot be noted.
    pub fn take_name(&self, name: ArmorName, life: Incarnation) -> io::Result<bool> {
        if self.hosts() < 2 {
            return Ok(true);
        }
        let noted = self.in_links(&format!(".{name}-life"));
        let known = fs::read_to_string(&noted).ok().and_then(|text| text.parse().ok()).map(Incarnation);
        if known > Some(life) && UnixStream::connect(self.socket(name)).is_ok() {
            return Ok(false);
        }
        fs::write(noted, life.0.to_string()).map(|()| true)
    }

    /// Gives the name of an ARMOR away, unless a life of it, on another host of this home, has it.
    pub fn drop_name(&self, name: ArmorName) {
        if UnixStream::connect(self.socket(name)).is_err() {
            for file in [self.socket(name), self.in_links(&format!(".{name}-life"))] {
                let _ = fs::remove_file(file);
            }
        }
    }

    /// Names of all sockets there are, of living and of dead.
    ///
    /// # Errors
    /// Those of reading a directory.
    pub fn linked(&self) -> io::Result<Vec<ArmorName>> {
        let entries = fs::read_dir(self.path.join("links"))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("ftm/store.redb")
    }

    /// Where the FTM writes the backup of this number for whoever asked for it.
    #[must_use]
    pub fn backup(&self, number: u64) -> PathBuf {
        self.path.join(format!("ftm/backup-{number}"))
    }

    /// Where what was in the store lies, once it was put back as it was in an earlier time.
    #[must_use]
    pub fn store_before(&self, unix_ms: u64) -> PathBuf {
        self.path.join(format!("ftm/before-{unix_ms}"))
    }

    /// The mark that a backup is being put in place.
    #[must_use]
    pub fn restoring(&self) -> PathBuf {
        self.path.join("restoring")
    }

    /// Where the etcd of a system that is all here lies.
    #[must_use]
    pub fn etcd(&self) -> PathBuf {
        self.path.join("etcd")
    }

    /// Who this home is among other machines; see [`crate::pki`].
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    /// The cluster's address book.
    #[must_use]
    pub fn book(&self) -> PathBuf {
        self.path.join("book")
    }

    /// Where a host gives out bytes, in this process.
    #[must_use]
    pub fn bulk_socket(&self, host: HostId) -> PathBuf {
        self.in_links(&format!("bulk-{host}"))
    }

    /// The host that whoever works in this home is on: the only one here, or the first of a local system. The home of a
    /// person, who is on none, has its own number for that, 0.
    #[must_use]
    pub fn own_host(&self) -> HostId {
        let hosts = fs::read_dir(self.path.join("hosts")).into_iter().flatten().flatten();
        hosts.filter_map(|host| host.file_name().to_str()?.parse().ok()).min().unwrap_or_default()
    }

    /// The spooled standard input of a job, or a host's copy of it.
    #[must_use]
    pub fn spool(&self, host: HostId, job: JobId) -> PathBuf {
        self.job_on(host, job).join("stdin.spool")
    }

    /// Where the decided output of a job lies.
    #[must_use]
    pub fn index(&self, host: HostId, job: JobId) -> PathBuf {
        self.job_on(host, job).join("output.index")
    }

    #[must_use]
    pub fn host(&self, host: HostId) -> PathBuf {
        self.path.join(format!("hosts/{host}"))
    }

    /// Where the Heartbeat of a host listens: an address and a port.
    #[must_use]
    pub fn beats(&self, host: HostId) -> PathBuf {
        self.host(host).join("beats")
    }

    /// How fast bytes came to this host from others.
    #[must_use]
    pub fn paces(&self, host: HostId) -> PathBuf {
        self.host(host).join("paces")
    }

    /// How many hosts the system has, running or not.
    #[must_use]
    pub fn hosts(&self) -> u32 {
        (1..u32::MAX).take_while(|&number| self.host(HostId(number)).exists()).last().unwrap_or(0)
    }

    /// What the owner of a host allows there.
    #[must_use]
    pub fn policy(&self, host: HostId) -> PathBuf {
        self.host(host).join("policy.toml")
    }

    /// What an ARMOR keeps for its own next life: its journal and its log.
    #[must_use]
    pub fn armor(&self, host: HostId, name: ArmorName) -> PathBuf {
        self.host(host).join(format!("armors/{name}"))
    }

    /// What was built on a host, by what it was built from.
    #[must_use]
    pub fn builds(&self, host: HostId) -> PathBuf {
        self.host(host).join("builds")
    }

    /// What a job keeps on a host.
    #[must_use]
    pub fn job_on(&self, host: HostId, job: JobId) -> PathBuf {
        self.host(host).join(format!("jobs/{job}"))
    }

    /// What a lane of a job keeps on its host.
    #[must_use]
    pub fn lane(&self, host: HostId, job: JobId, lane: LaneId) -> PathBuf {
        self.job_on(host, job).join(format!("lane-{}", lane.0))
    }

    /// Makes the directories of a host.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub fn make_host(&self, host: HostId) -> Result<(), HomeError> {
        self.try_make_host(host).map_err(HomeError::system(&self.path))
    }

    fn try_make_host(&self, host: HostId) -> io::Result<()> {
        make_directory(&self.host(host).join("armors"))?;
        let bulk = self.path.join("bulk");
        for name in ["jobs", "builds"] {
            let here = self.host(host).join(name);
            if here.exists() || !bulk.exists() {
                make_directory(&here)?;
                continue;
            }
            let on_disk = fs::canonicalize(&bulk)?.join(host.to_string()).join(name);
            make_directory(&on_disk)?;
            symlink(on_disk, here)?;
        }
        Ok(())
    }

    /// The process that this home was made for; the home ends with it.
    #[must_use]
    pub fn owner(&self) -> Option<ProcessMark> {
        let bytes = fs::read(self.path.join("owner")).ok()?;
        minicbor::decode(&bytes).ok()
    }

    /// Whether the whole system ends just now.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.path.join("stopping").exists()
    }

    /// The file whose lock the daemon of a host holds as long as it lives.
    #[must_use]
    pub fn daemon_lock(&self, host: HostId) -> PathBuf {
        self.host(host).join("daemon.lock")
    }

    /// The last daemon that a host had; the default if it had none.
    #[must_use]
    pub fn last_daemon(&self, host: HostId) -> LastDaemon {
        let text = fs::read_to_string(self.daemon_lock(host)).unwrap_or_default();
        LastDaemon::of_text(&text).unwrap_or_default()
    }

    /// Keeps who holds the lock of its host.
    ///
    /// # Errors
    /// Those of writing.
    pub fn keep_daemon(&self, lock: &Lock, daemon: &LastDaemon) -> io::Result<()> {
        lock.write(daemon.to_string().as_bytes())
    }

    /// Whether a daemon runs on any host of this home.
    #[must_use]
    pub fn has_daemon(&self) -> bool {
        ephemeral::has_daemon(&self.path)
    }

    /// Whether the home was removed while this process had it open.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        !self.path.join("version").exists()
    }

    /// Says to all processes of the home that it ends.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn mark_stopping(&self) -> io::Result<()> {
        fs::write(self.path.join("stopping"), [])
    }

    /// A new life of the system may begin.
    pub fn clear_stopping(&self) {
        let _ = fs::remove_file(self.path.join("stopping"));
    }
}

/// Makes a directory that only we can enter, and those above it.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file so that it is there whole or not at all, also after a loss of power.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let file = fs::File::create(&beside)?;
    io::Write::write_all(&mut &file, bytes)?;
    file.sync_data()?;
    fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
}

fn read_version(path: &Path) -> Result<Option<u32>, HomeError> {
    match fs::read_to_string(path.join("version")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(text) => match text.trim().parse() {
            Ok(version) => Ok(Some(version)),
            Err(_) => Err(HomeError::Foreign { path: path.to_owned() }),
        },
        Err(error) => Err(HomeError::system(path)(error)),
    }
}

/// Whether there is nothing in a directory but another process's attempt to make it a home.
fn is_empty(path: &Path) -> io::Result<bool> {
    let of_a_home = |name: &str| name.starts_with("version") || ["owner", "bulk"].contains(&name);
    for entry in fs::read_dir(path)? {
        if !entry?.file_name().to_str().is_some_and(of_a_home) {
            return path.join("version").try_exists();
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_made_once_and_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        assert!(matches!(Home::open(&path), Err(HomeError::Absent { .. })));
        Home::create(&path).unwrap();
        let home = Home::create(&path).unwrap();
        home.make_host(HostId(1)).unwrap();
        assert!(home.armor(HostId(1), ArmorName::Ftm).parent().unwrap().is_dir());
        assert!(!home.is_stopping());
        home.mark_stopping().unwrap();
        assert!(Home::open(&path).unwrap().is_stopping());
    }

    #[test]
    fn what_is_no_home_or_a_newer_one_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(Home::create(directory.path()), Err(HomeError::Foreign { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(directory.path()).unwrap();
        fs::write(home.path().join("version"), "99\n").unwrap();
        let error = Home::create(directory.path()).unwrap_err();
        assert!(matches!(error, HomeError::Newer { found: 99, .. }), "{error}");
        fs::write(home.path().join("version"), "garbage").unwrap();
        assert!(matches!(Home::open(directory.path()), Err(HomeError::Foreign { .. })));
    }

    #[test]
    fn the_name_of_an_armor_belongs_to_its_latest_life_while_that_lives() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(directory.path()).unwrap();
        [HostId(1), HostId(2)].into_iter().for_each(|host| home.make_host(host).unwrap());
        let name = ArmorName::Voter(JobId(1));
        let take = |life| home.take_name(name, Incarnation(life)).unwrap();
        assert!(take(1_001));
        let listener = std::os::unix::net::UnixListener::bind(home.socket(name)).unwrap();
        assert!(!take(2), "a later life lives");
        home.drop_name(name);
        assert!(home.socket(name).exists());
        assert!(take(1_002));
        drop(listener);
        assert!(take(3), "it is dead");
        home.drop_name(name);
        assert!(!home.socket(name).exists());
    }

    #[test]
    fn sockets_are_reached_however_deep_the_home_lies() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(&directory.path().join("d".repeat(120)).join("e".repeat(120))).unwrap();
        let name = ArmorName::Daemon(HostId(1));
        let _listener = std::os::unix::net::UnixListener::bind(home.socket(name)).unwrap();
        std::os::unix::net::UnixStream::connect(home.socket(name)).unwrap();
        assert_eq!(home.linked().unwrap(), [name]);
    }
}
