//! A backup is put in place: in a home of its own, or in that where it was taken. What becomes of what it tells is decided
//! in `core/src/managers/ftm/restoration.rs`.
//!
//! A mark in the home lets nothing start before all is done; a restore that was broken off is simply done again.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::managers::ftm::restoration::{self, OpenJobs, Restoration, Restored};
use chameleon_core::names::JobId;
use chameleon_core::shell::Saved;
use chameleon_core::world::ProcessMark;

use super::{Backup, OF_PKI, OperationError, decoded, whole};
use crate::home::{Address, Home, HomeError, LastDaemon, Lock, Managers, make_directory, write_whole};
use crate::pki::Standing;
use crate::store::{Electorate, Embedded, Etcd, NOBODY, StoreError, members};
use crate::timers;

/// How a backup is put in place.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// In place of what is there.
    pub replace: bool,
    /// The store of candidates is elsewhere now.
    pub store: Option<Address>,
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// Jobs that had not ended, and have now.
    pub ended: Vec<JobId>,
    /// Where what was there before is.
    pub aside: Option<PathBuf>,
}

/// Puts a backup in place in this home, which is made if there is none.
///
/// # Errors
/// See [`OperationError`].
pub fn restore(path: &Path, backup: &Backup, how: &How) -> Result<Done, OperationError> {
    let known = match Home::open(path) {
        Ok(home) => Some(home),
        Err(HomeError::Absent { .. }) => None,
        Err(why) => return Err(why.into()),
    };
    if let Some(home) = known.as_ref().filter(|home| home.has_daemon()) {
        return Err(OperationError::Runs { path: home.path().to_owned() });
    }
    may_be_here(path, known.as_ref(), backup)?;
    let was_broken_off = known.as_ref().is_some_and(|home| home.restoring().exists());
    let how = How { replace: how.replace || was_broken_off, ..how.clone() };
    let home = known.map_or_else(|| Home::create(path), Ok)?;
    let place = Store::of(&home, backup, &how)?;
    let replaced = place.found(&home)?;
    if replaced.is_some() && !how.replace {
        return Err(OperationError::Occupied { what: place.describe(&home) });
    }
    let now_unix_ms = timers::now().unix_ms;
    let known_until_unix_ms = backup.taken_unix_ms;
    let restoration = Restoration { known_until_unix_ms, now_unix_ms, open_jobs: OpenJobs::End };
    let restored = restoration::restore(&backup.records, replaced.as_deref().unwrap_or_default(), restoration);
    fs::write(home.restoring(), []).map_err(OperationError::system(&home.restoring()))?;
    put_identity(&home, backup)?;
    put_hosts(&home, backup, &restored)?;
    let aside = place.fill(&home, &restored, replaced.as_deref(), now_unix_ms)?;
    fs::remove_file(home.restoring()).map_err(OperationError::system(&home.restoring()))?;
    Ok(Done { ended: restored.ended, aside })
}

/// Whether this home is, or can become, that of the backup.
fn may_be_here(path: &Path, home: Option<&Home>, backup: &Backup) -> Result<(), OperationError> {
    let standing = home.map(Standing::of).transpose()?.flatten();
    let found = standing.map(|standing| standing.cluster()).transpose()?;
    let wanted = backup.cluster.as_ref().map(|cluster| cluster.name.clone());
    let named = |cluster: Option<String>| {
        cluster.map_or("a system of its own".to_owned(), |name| format!("of the cluster {name}"))
    };
    let is_fresh = home.is_none_or(|home| !home.store().exists() && home.hosts() == 0);
    match (&found, &backup.cluster) {
        (None, Some(cluster)) if cluster.files.is_empty() => Err(OperationError::NoKeys { wanted: named(wanted) }),
        (None, Some(_)) if is_fresh || home.is_some_and(|home| home.restoring().exists()) => Ok(()),
        _ if found == wanted => Ok(()),
        _ => Err(OperationError::Stranger { path: path.to_owned(), found: named(found), wanted: named(wanted) }),
    }
}

/// Who the home is, unless it knows.
fn put_identity(home: &Home, backup: &Backup) -> Result<(), OperationError> {
    let Some(cluster) = backup.cluster.as_ref().filter(|_| !home.pki().join("member").exists()) else { return Ok(()) };
    make_directory(&home.pki()).map_err(OperationError::system(&home.pki()))?;
    // In the order of the table: without the last one the home is nobody.
    for name in OF_PKI {
        let Some(kept) = cluster.files.iter().find(|kept| kept.name == name) else { continue };
        let path = home.pki().join(name);
        let write = || {
            write_whole(&path, &kept.bytes)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))
        };
        write().map_err(OperationError::system(&path))?;
    }
    Ok(())
}

/// The directories of its hosts; a daemon there begins beyond every life that one had.
fn put_hosts(home: &Home, backup: &Backup, restored: &Restored) -> Result<(), OperationError> {
    for &host in &backup.hosts {
        home.make_host(host)?;
        let Some(&(_, incarnation)) = restored.daemons.iter().find(|(known, _)| *known == host) else { continue };
        let path = home.daemon_lock(host);
        let runs = |_held| OperationError::Runs { path: home.path().to_owned() };
        let lock = Lock::take(&path).map_err(runs)?;
        let incarnation = incarnation.max(home.last_daemon(host).incarnation);
        let daemon = LastDaemon { incarnation, process: ProcessMark::default() };
        home.keep_daemon(&lock, &daemon).map_err(OperationError::system(&path))?;
    }
    Ok(())
}

/// Where the records go.
enum Store {
    /// A file of the home.
    File,
    /// An etcd in the home: others are put in place of its members.
    Own(Managers),
    /// An etcd of somebody else's.
    Shared(Managers),
}

impl Store {
    fn of(home: &Home, backup: &Backup, how: &How) -> Result<Store, OperationError> {
        let managers = match (home.managers()?, &backup.candidates) {
            (None, None) => return Ok(Store::File),
            (Some(known), _) => known,
            (None, Some(_)) if home.store().exists() => {
                let (path, found) = (home.path().to_owned(), "a system with one FTM".to_owned());
                return Err(OperationError::Stranger { path, found, wanted: "several candidates".to_owned() });
            }
            (None, Some(kept)) => {
                let store = match &kept.store {
                    Some(store) => store.parse().map_err(|why| OperationError::Record(format!("{why}")))?,
                    None => members::address(&home.etcd(), members::COUNT, members::PREFIX)?,
                };
                Managers { store, cluster: kept.cluster.clone(), candidates: kept.hosts.clone() }
            }
        };
        let managers = Managers { store: how.store.clone().unwrap_or(managers.store), ..managers };
        Ok(match members::is_in(&home.etcd(), &managers.store) {
            true => Store::Own(managers),
            false => Store::Shared(managers),
        })
    }

    fn describe(&self, home: &Home) -> String {
        match self {
            Store::File => format!("the store {}", home.store().display()),
            Store::Own(_) => format!("the etcd {}", home.etcd().display()),
            Store::Shared(managers) => format!("the store {} of this cluster", managers.store),
        }
    }

    /// What is there; what cannot be read is nothing that could be gone on with.
    fn found(&self, home: &Home) -> Result<Option<Vec<FtmRecord>>, OperationError> {
        let found = match self {
            Store::File => match Embedded::whole(&home.store()) {
                Err(StoreError::Damaged { .. } | StoreError::Newer { .. }) => return Ok(Some(Vec::new())),
                found => found?,
            },
            Store::Own(managers) => match members::with_data(&home.etcd()).len() {
                0 => None,
                few if few * 2 < usize::from(members::COUNT) => return Ok(Some(Vec::new())),
                _ => whole(home, managers)?,
            },
            Store::Shared(managers) => Electorate::new(managers, NOBODY)?.whole()?,
        };
        found.map(|records| decoded(&records)).transpose()
    }

    /// Puts the records in place; where what was there before is, if there was anything.
    fn fill(
        &self,
        home: &Home,
        restored: &Restored,
        replaced: Option<&[FtmRecord]>,
        now: u64,
    ) -> Result<Option<PathBuf>, OperationError> {
        let records = saved(&restored.records);
        match self {
            Store::File => {
                let aside = home.store().exists().then(|| home.store_before(now));
                if let Some(aside) = &aside {
                    fs::hard_link(home.store(), aside).map_err(OperationError::system(aside))?;
                }
                Embedded::put_in_place(&home.store(), &records)?;
                Ok(aside)
            }
            Store::Own(managers) => {
                let aside = members::set_aside(&home.etcd(), now)?;
                home.keep_managers(managers)?;
                members::start(&home.etcd(), members::COUNT, members::PREFIX)?;
                let filled = Etcd::put_in_place(managers, restored.term, records);
                members::stop(&home.etcd());
                filled?;
                Ok(aside)
            }
            Store::Shared(managers) => {
                home.keep_managers(managers)?;
                let aside = replaced.map(|replaced| keep_aside(home, replaced, now)).transpose()?;
                Etcd::put_in_place(managers, restored.term, records)?;
                Ok(aside)
            }
        }
    }
}

/// What somebody else's etcd had, as a backup in this home.
fn keep_aside(home: &Home, replaced: &[FtmRecord], now: u64) -> Result<PathBuf, OperationError> {
    let records = saved(replaced).into_iter().map(|record| record.bytes).collect();
    let path = home.store_before(now);
    path.parent().map_or(Ok(()), make_directory).map_err(OperationError::system(&path))?;
    write_whole(&path, &super::of(home, records, true)?.encode()).map_err(OperationError::system(&path))?;
    Ok(path)
}

/// Each record under its key.
pub(super) fn saved(records: &[FtmRecord]) -> Vec<Saved> {
    let save = |record: &FtmRecord| {
        let bytes = minicbor::to_vec(record).expect("writing to memory cannot fail");
        Saved { place: record.place(), bytes }
    };
    records.iter().map(save).collect()
}
