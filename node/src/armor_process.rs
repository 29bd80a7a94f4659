//! The life of a process that has a name: it restores its ARMOR, can be reached, and runs until it dies.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::sync::Arc;

use chameleon_core::names::{ArmorName, Term};
use chameleon_core::shell::{BadRecord, Identity, Running};
use tokio::runtime::{Builder, Runtime};

use crate::bulk::{Desk, Roads};
use crate::datagrams::Datagrams;
use crate::event_loop::{EventLoop, Reporter};
use crate::home::{Home, HomeError, LockError};
use crate::journal::{Journal, JournalError};
use crate::links::{Links, ListenError};
use crate::outside;
use crate::perform::{Files, Slots, World};
use crate::pki::PkiError;
use crate::policy;
use crate::process::{Factory, FactoryError, Processes, mark};
use crate::saving::{Archive, Saving, SavingError};
use crate::store::{Embedded, Etcd, Store, StoreError};
use crate::timers::Timers;

/// Makes an ARMOR with no past from its identity, if the name is an ARMOR's: the table of all kinds.
pub type Raise = fn(Identity) -> Option<Box<dyn Running>>;

/// Threads for what would block the event loop; made when needed, ended when idle.
const BLOCKING_THREADS: usize = 4;

/// Why an ARMOR does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot become the daemon: {0}")]
    Lock(#[from] LockError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] BadRecord),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Factory(#[from] FactoryError),
    #[error(transparent)]
    Saving(#[from] SavingError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("cannot set up this process: {0}")]
    System(#[from] io::Error),
    #[error("{0}")]
    Arguments(String),
}

/// Runs the ARMOR of this identity; returns only if it cannot be run any longer. `factory`: makes
/// processes, so many at once; for daemons.
pub(crate) fn run(
    home: Home,
    identity: Identity,
    raise: Raise,
    factory: Option<(Factory, u16)>,
) -> Result<Infallible, StartError> {
    let home = Arc::new(home);
    let (archive, records) = open_archive(&home, &identity)?;
    let name = identity.name;
    let mut armor = raise(identity.clone()).ok_or_else(|| StartError::Arguments(format!("{name} is no ARMOR")))?;
    armor.restore(&records)?;
    drop(records);
    runtime()?.block_on(async {
        let (mut links, inputs) = Links::new(home.clone(), identity.name, identity.incarnation);
        links.listen()?;
        exit_if_stopping(&home);
        let (reporter, happenings) = Reporter::new();
        let (shared, incarnation) = (home.clone(), identity.incarnation);
        let (factory, blanks) = factory.map_or((None, 0), |(factory, blanks)| (Some(factory), blanks));
        let is_daemon = factory.is_some();
        if is_daemon {
            policy::watch(home.policy(identity.host), reporter.clone());
        }
        let (host, far) = (identity.host, links.far().cloned());
        let roads = Roads::new(home.clone(), far.clone()).from(host);
        let slots = Slots::new(roads.clone(), host, reporter.clone());
        let files = Files::new(roads, host, reporter.clone());
        let datagrams = match name {
            ArmorName::Heartbeat(_) => Datagrams::open(home.clone(), &identity, reporter.clone()).await?,
            _ => Datagrams::default(),
        };
        let mut processes = Processes::new(home, identity, reporter.clone(), factory);
        if let Archive::Store(store) = &archive {
            processes.keep_store(store.share());
        }
        processes.stock(blanks);
        if is_daemon {
            processes.watch_owner();
            let desk = Desk::new(&shared, host)?;
            desk.open(&shared, host)?;
            let calls = far.map(|far| desk.answer(far)).transpose()?;
            outside::begin(&shared, incarnation, &reporter, calls)?;
        }
        let world = World { links, timers: Timers::default(), processes, slots, files, datagrams };
        let saving = Saving::new(archive, reporter);
        let event_loop = EventLoop { armor, world, saving, inputs, happenings };
        // Waking the future that blocks this thread costs two system calls more than waking a task.
        let ended = tokio::spawn(event_loop.run()).await;
        Ok(ended.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))?)
    })
}

/// The FTM keeps its records in the store, every other ARMOR in its journal.
fn open_archive(home: &Home, identity: &Identity) -> Result<(Archive, Vec<Vec<u8>>), StartError> {
    if identity.name == ArmorName::Ftm {
        let store = open_store(home, identity)?;
        let records = store.records()?;
        return Ok((Archive::Store(store), records));
    }
    let directory = home.armor(identity.host, identity.name);
    fs::create_dir_all(&directory)?;
    let (journal, records) = Journal::open(&directory)?;
    Ok((Archive::Journal(journal), records))
}

/// The store of this home alone, or the one that several candidates share.
fn open_store(home: &Home, identity: &Identity) -> Result<Box<dyn Store>, StartError> {
    if let Some(managers) = home.managers()? {
        return Ok(Box::new(Etcd::open(&managers, identity.host, Term(identity.incarnation.0.into()))?));
    }
    let mark = mark::own();
    let holder = format!("{}-{}-{}", mark.pid, mark.start_time, mark.boot_id);
    Ok(Box::new(Embedded::open(&home.store(), &holder)?))
}

/// Whoever ends a home looks for sockets after it has set the mark: see `process/ending.rs`.
fn exit_if_stopping(home: &Home) {
    if home.is_stopping() || home.is_gone() {
        std::process::exit(0);
    }
}

/// One thread; others only while something blocks.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()
}
