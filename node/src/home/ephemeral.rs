//! Homes that last as long as one command: `chameleon run` without a standing system.
//!
//! The home itself, with sockets, journals and store, lies in memory if there is a file system that
//! does; what programs write lies on disk. Both directories are called after the owner, so that the
//! next command can clear away what a sudden loss of every process left behind.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use chameleon_core::world::ProcessMark;

use super::{Home, HomeError, Lock, LockError, make_directory, write_whole};
use crate::files::{commit, tree};
use crate::process::mark;

/// Where ephemeral homes are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// For what is small and used often; in memory if possible.
    pub home: PathBuf,
    /// For what is large.
    pub bulk: PathBuf,
}

impl Bases {
    /// `$XDG_RUNTIME_DIR` or `/dev/shm` for the home, if they are in memory; `$TMPDIR`, `/var/tmp` or
    /// `/tmp` for what is large, and for the home if nothing else serves.
    #[must_use]
    pub fn of_this_machine() -> Bases {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let writable = |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        let bulk = [variable("TMPDIR"), Some("/var/tmp".into()), Some("/tmp".into())];
        let bulk = bulk.into_iter().flatten().find(writable).unwrap_or_else(|| "/tmp".into());
        let memory = [variable("XDG_RUNTIME_DIR"), Some("/dev/shm".into())];
        let home = memory.into_iter().flatten().find(|path| writable(path) && in_memory(path));
        Bases { home: home.unwrap_or_else(|| bulk.clone()), bulk }
    }

    /// Makes a home that belongs to the process `owner`.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub fn make(&self, owner: &ProcessMark) -> Result<Home, HomeError> {
        let name = directory_name(owner);
        let path = ours(&self.home)?.join(&name);
        let bulk = ours(&self.bulk)?.join(name + "-bulk");
        make_directory(&path).map_err(HomeError::system(&path))?;
        let mark = minicbor::to_vec(owner).expect("writing to memory cannot fail");
        write_whole(&path.join("owner"), &mark).map_err(HomeError::system(&path))?;
        make_directory(&bulk).map_err(HomeError::system(&bulk))?;
        symlink(&bulk, path.join("bulk")).map_err(HomeError::system(&path))?;
        Home::create(&path)
    }

    fn directories(&self) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> = [&self.home, &self.bulk].map(|base| base.join(our_name())).into();
        directories.dedup();
        directories
    }
}

/// Removes an ephemeral home with all that is in it, here and on disk. A standing one, which has a version and no owner, stays.
/// Version and owner go last, so that whoever tries again, or beside us, knows what it is.
///
/// # Errors
/// The first thing that could not be removed; the rest was tried.
pub fn remove(home: &Home) -> io::Result<()> {
    let [version, owner] = ["version", "owner"].map(|name| home.path().join(name));
    if version.exists() && !owner.exists() {
        return Ok(());
    }
    forget_commits(home);
    let bulk = fs::canonicalize(home.path().join("bulk")).map_or(Ok(()), |bulk| tree::remove(&bulk));
    let entries = fs::read_dir(home.path()).into_iter().flatten().flatten().map(|entry| entry.path());
    let others = entries.filter(|path| *path != version && *path != owner);
    let outcomes: Vec<io::Result<()>> = others.map(|path| tree::remove_entry(&path)).collect();
    outcomes.into_iter().fold(bulk, Result::and)?;
    tree::remove_entry(&version)?;
    tree::remove(home.path())
}

/// Removes what the homes of dead owners left behind, where no daemon is left to do it.
pub fn clear_abandoned(bases: &Bases) {
    for directory in bases.directories() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = name.trim_end_matches("-bulk");
            if is_abandoned(name) && !has_daemon(&bases.home.join(our_name()).join(name)) {
                if let Ok(home) = Home::open(&entry.path()) {
                    forget_commits(&home);
                }
                let _ = tree::remove(&entry.path());
            }
        }
    }
}

/// Nobody will ask again whether the commits of this home were done.
fn forget_commits(home: &Home) {
    if let Err(error) = commit::forget_all(&Home::commits(), &home.id()) {
        crate::log!("cannot {error}");
    }
}

/// Whether the owner that a directory is called after is gone.
fn is_abandoned(name: &str) -> bool {
    let mut parts = name.split('-');
    let (Some("run"), Some(pid), Some(start), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(pid), Ok(start)) = (pid.parse(), start.parse::<u64>()) else { return false };
    mark::of(pid).map_or(true, |mark| mark.start_time != start)
}

pub(super) fn has_daemon(home: &Path) -> bool {
    let hosts = fs::read_dir(home.join("hosts")).into_iter().flatten().flatten();
    let held = |lock: PathBuf| lock.exists() && matches!(Lock::take(&lock), Err(LockError::Held { .. }));
    hosts.map(|host| host.path().join("daemon.lock")).any(held)
}

fn directory_name(owner: &ProcessMark) -> String {
    format!("run-{}-{}", owner.pid, owner.start_time)
}

fn our_name() -> String {
    format!("chameleon-{}", rustix::process::geteuid().as_raw())
}

/// Our own directory below a base, and nobody else's: others may write in the base.
fn ours(base: &Path) -> Result<PathBuf, HomeError> {
    let path = base.join(our_name());
    make_directory(&path).map_err(HomeError::system(&path))?;
    let metadata = fs::symlink_metadata(&path).map_err(HomeError::system(&path))?;
    let is_ours = metadata.is_dir()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.permissions().mode() & 0o077 == 0;
    if is_ours { Ok(path) } else { Err(HomeError::NotOurs { path }) }
}

/// Whether a directory lies in memory and not on a disk.
pub(crate) fn in_memory(path: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|system| system.f_type as u64 == TMPFS)
}

#[cfg(test)]
mod tests {
    use chameleon_core::names::HostId;

    use super::*;

    fn bases(directory: &tempfile::TempDir) -> Bases {
        Bases { home: directory.path().to_owned(), bulk: directory.path().to_owned() }
    }

    #[test]
    fn an_ephemeral_home_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let bases = bases(&directory);
        let home = bases.make(&mark::own()).unwrap();
        home.make_host(HostId(1)).unwrap();
        assert_eq!(home.owner(), Some(mark::own()));
        fs::write(home.host(HostId(1)).join("jobs/large"), "x").unwrap();
        assert!(home.path().join("bulk/h1/jobs/large").exists(), "what is large lies on disk");
        remove(&home).unwrap();
        assert!(home.is_gone());
        assert_eq!(fs::read_dir(directory.path().join(our_name())).unwrap().count(), 0);
    }

    #[test]
    fn the_remains_of_a_broken_off_removal_are_removed_too() {
        let directory = tempfile::tempdir().unwrap();
        let bases = bases(&directory);
        for left in [&["owner", "stopping"][..], &["stopping"], &["version", "owner"]] {
            let home = bases.make(&mark::own()).unwrap();
            home.mark_stopping().unwrap();
            for entry in fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap()) {
                if !left.iter().any(|name| entry.file_name() == *name) {
                    tree::remove_entry(&entry.path()).unwrap();
                }
            }
            fs::remove_dir_all(bases.bulk.join(our_name()).join(directory_name(&mark::own()) + "-bulk")).unwrap();
            remove(&home).unwrap();
            assert_eq!(fs::read_dir(directory.path().join(our_name())).unwrap().count(), 0, "{left:?}");
        }
    }

    #[test]
    fn only_homes_of_dead_owners_without_a_daemon_are_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let bases = bases(&directory);
        let alive = bases.make(&mark::own()).unwrap();
        let dead = ProcessMark { start_time: 1, ..mark::own() };
        let abandoned = bases.make(&dead).unwrap();
        let ending = bases.make(&ProcessMark { start_time: 2, ..dead }).unwrap();
        ending.make_host(HostId(1)).unwrap();
        let _daemon = Lock::take(&ending.daemon_lock(HostId(1))).unwrap();
        clear_abandoned(&bases);
        assert!(!alive.is_gone());
        assert!(!ending.is_gone());
        assert!(abandoned.is_gone());
    }

    #[test]
    fn a_standing_home_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(directory.path()).unwrap();
        remove(&home).unwrap();
        assert!(!home.is_gone());
    }

    #[test]
    fn a_directory_that_others_may_enter_is_not_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(our_name());
        make_directory(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(bases(&directory).make(&mark::own()), Err(HomeError::NotOurs { .. })));
    }
}
