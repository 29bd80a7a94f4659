//! Backups of what an FTM knows: taken at one moment while it reigns or at rest, and put back.
//!
//! A backup has the FTM's records (jobs and how they ended, events, members, hosts) and, unless told otherwise, the keys by
//! which the home is known in its cluster, so that a person can go on with it on another machine. It does not have what
//! lies on hosts: results' bytes, journals, what was built, hosts' own policies.

mod file;
mod recovery;
mod restore;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::names::HostId;

pub use file::{Backup, BackupError, Candidates, Cluster, Kept};
pub use recovery::{Recovered, recover};
pub use restore::{Done, How, restore};

use crate::home::{Home, HomeError, Managers, write_whole};
use crate::pki::{PkiError, Standing};
use crate::store::{Electorate, Embedded, MembersError, NOBODY, Store, StoreError, members};
use crate::timers;

/// The files of `pki/` that make a home who it is.
const OF_PKI: [&str; 8] =
    ["authority.der", "authority.key", "lifetime", "key.der", "certificate.der", "listen", "name", "member"];

/// Why no backup was taken, or none put back. Nothing was changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Members(#[from] MembersError),
    #[error("cannot write {path}: {source}")]
    System { path: PathBuf, source: io::Error },
    #[error("a record of the store cannot be read, so there would be a hole in the backup: {0}")]
    Record(String),
    #[error("a system runs at {path}; `chameleon down` ends it, then it can be restored")]
    Runs { path: PathBuf },
    #[error(
        "{what} is there already, and nothing was changed; `--replace` puts the backup in its place and keeps it aside"
    )]
    Occupied { what: String },
    #[error("{path} is {found}, and the backup is of {wanted}; nothing was changed: name another --home")]
    Stranger { path: PathBuf, found: String, wanted: String },
    #[error("the backup is of {wanted} and has no keys, so it can only be restored into a home of that cluster")]
    NoKeys { wanted: String },
    #[error("{0}")]
    Unneeded(String),
}

impl OperationError {
    fn system(path: &Path) -> impl FnOnce(io::Error) -> OperationError {
        let path = path.to_owned();
        move |source| OperationError::System { path, source }
    }
}

/// Writes a backup where whoever asked for it finds it, from the store that the FTM has open.
///
/// # Errors
/// See [`OperationError`].
pub fn take_within(home: &Home, store: &dyn Store, number: u64, keys: bool) -> Result<(), OperationError> {
    let backup = of(home, store.records()?, keys)?;
    let path = home.backup(number);
    write_whole(&path, &backup.encode()).map_err(OperationError::system(&path))
}

/// Takes a backup of a store that can be read from here: that of a home at rest, or one that candidates share, also while
/// they reign over it. `None`: there is none that could be read from here, but the FTM may have one.
///
/// # Errors
/// See [`OperationError`].
pub fn take(home: &Home, keys: bool) -> Result<Option<Backup>, OperationError> {
    let records = match home.managers()? {
        Some(managers) => whole(home, &managers)?,
        None => match Embedded::whole(&home.store()) {
            Err(StoreError::InUse { .. }) => None,
            found => found?,
        },
    };
    records.map(|records| of(home, records, keys)).transpose()
}

/// All records of the store of candidates. If it lies in this home and rests, it is woken for that.
fn whole(home: &Home, managers: &Managers) -> Result<Option<Vec<Vec<u8>>>, OperationError> {
    let read = || Electorate::new(managers, NOBODY)?.whole();
    let rests = members::is_in(&home.etcd(), &managers.store) && !home.has_daemon();
    if !rests {
        return Ok(read()?);
    }
    members::start(&home.etcd(), members::COUNT, &managers.store.prefix)?;
    let found = read();
    members::stop(&home.etcd());
    Ok(found?)
}

fn of(home: &Home, records: Vec<Vec<u8>>, keys: bool) -> Result<Backup, OperationError> {
    let cluster = Standing::of(home)?.map(|standing| cluster_of(home, &standing, keys)).transpose()?;
    let candidates = home.managers()?.map(|managers| Candidates {
        store: (!members::is_in(&home.etcd(), &managers.store)).then(|| managers.store.to_string()),
        cluster: managers.cluster,
        hosts: managers.candidates,
    });
    let hosts = match &cluster {
        Some(_) => vec![home.own_host()],
        None => (1..=home.hosts()).map(HostId).collect(),
    };
    let (taken_unix_ms, written_by) = (timers::now().unix_ms, env!("CARGO_PKG_VERSION").to_owned());
    Ok(Backup { taken_unix_ms, written_by, hosts, cluster, candidates, records: decoded(&records)? })
}

fn cluster_of(home: &Home, standing: &Standing, keys: bool) -> Result<Cluster, OperationError> {
    let mut files = Vec::new();
    for name in OF_PKI.iter().filter(|_| keys) {
        let path = home.pki().join(name);
        match fs::read(&path) {
            Ok(bytes) => files.push(Kept { name: (*name).to_owned(), bytes }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OperationError::system(&path)(error)),
        }
    }
    Ok(Cluster { name: standing.cluster()?, files })
}

fn decoded(records: &[Vec<u8>]) -> Result<Vec<FtmRecord>, OperationError> {
    let decode = |bytes: &Vec<u8>| minicbor::decode(bytes).map_err(|error| OperationError::Record(error.to_string()));
    records.iter().map(decode).collect()
}
