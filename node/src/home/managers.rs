//! Who may have the FTM of a home, if several hosts may: the file `managers`, a line for each thing.

use std::fs;
use std::io;
use std::path::PathBuf;

use chameleon_core::names::HostId;
use chameleon_etcd::Address;

use super::{Home, HomeError, write_whole};

/// Several hosts may have the FTM: they share a store, and are candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managers {
    pub store: Address,
    /// By which the store knows that it is ours.
    pub cluster: String,
    /// Those of this home.
    pub candidates: Vec<HostId>,
}

impl Home {
    fn managers_path(&self) -> PathBuf {
        self.path().join("managers")
    }

    /// Who may have the FTM; `None`: the first host alone, with a store of its own.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn managers(&self) -> Result<Option<Managers>, HomeError> {
        let path = self.managers_path();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(HomeError::system(&path))?,
        };
        read(&text).map(Some).map_err(io::Error::other).map_err(HomeError::system(&path))
    }

    /// Keeps who may have the FTM, from the next start on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_managers(&self, managers: &Managers) -> Result<(), HomeError> {
        let candidates = managers.candidates.iter().map(|host| format!("candidate {host}\n"));
        let text =
            format!("store {}\ncluster {}\n{}", managers.store, managers.cluster, candidates.collect::<String>());
        write_whole(&self.managers_path(), text.as_bytes()).map_err(HomeError::system(&self.managers_path()))
    }
}

fn read(text: &str) -> Result<Managers, String> {
    let (mut store, mut cluster, mut candidates) = (None, None, Vec::new());
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("store", address)) => store = Some(address.parse::<Address>().map_err(|bad| bad.to_string())?),
            Some(("cluster", name)) => cluster = Some(name.to_owned()),
            Some(("candidate", host)) => candidates.push(host.parse().map_err(|bad| format!("{bad}"))?),
            _ => return Err(format!("expected store, cluster or candidate, found {line:?}")),
        }
    }
    let store = store.ok_or("it names no store")?;
    Ok(Managers { store, cluster: cluster.ok_or("it names no cluster")?, candidates })
}
