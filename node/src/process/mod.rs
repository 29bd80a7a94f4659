//! The other processes of this host: blank ones, ARMORs, the daemon, and the user's notify command.

mod ending;
mod factory;
mod handle;
pub mod mark;
mod notify;
mod polls;
pub(crate) mod shims;
mod survey;
mod unguarded;

use std::collections::BTreeMap;
use std::sync::Arc;

use chameleon_core::book::Book;
use chameleon_core::job::OsBytes;
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, Term};
use chameleon_core::principal::{Principal, Role};
use chameleon_core::shell::Identity;
use chameleon_core::world::{ProcessEvent, ProcessMark, SecondHome};

use crate::backup;
use crate::bulk::pace;
use crate::datagrams::neighbours;
use crate::event_loop::{Happening, Reporter};
use crate::files::{commit, tree};
use crate::home::Home;
use crate::launch;
use crate::pki;
use crate::profile;
use crate::store::Store;

pub use ending::Ending;
pub(crate) use factory::{Answer, Order};
pub use factory::{Factory, FactoryError};
pub use handle::Process;
use polls::Polls;
pub use survey::{Survey, SurveyError};
pub use unguarded::Unguarded;

/// The processes that one ARMOR, mostly the daemon, deals with.
#[derive(Debug)]
pub struct Processes {
    home: Arc<Home>,
    identity: Identity,
    reporter: Reporter,
    /// Makes blank processes; only the daemon has one.
    factory: Option<Factory>,
    /// How many blank processes are to wait.
    stock: usize,
    /// Those that were given a name here, or adopted.
    armors: BTreeMap<(ArmorName, Incarnation), Process>,
    /// What the FTM knows lies there; only it has one.
    store: Option<Box<dyn Store>>,
    /// The store that several candidates share, once it was asked for.
    electorate: Arc<Polls>,
}

/// What there is of blank processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blanks {
    Enough,
    /// Fewer than there are to be: more are made when there is nothing else to do.
    Few,
    /// None waits: one is made at once.
    Missing,
}

impl Processes {
    #[must_use]
    pub fn new(home: Arc<Home>, identity: Identity, reporter: Reporter, factory: Option<Factory>) -> Processes {
        let (stock, armors, store, electorate) = (0, BTreeMap::new(), None, Arc::default());
        Processes { home, identity, reporter, factory, stock, armors, store, electorate }
    }

    /// Blank processes are made until so many wait, one with each [`Processes::make_blank`]. What is taken of them is not
    /// made again before it is asked for: whoever takes them is in a hurry, and would share the cores with the next.
    pub fn stock(&mut self, blanks: u16) {
        self.stock = usize::from(blanks);
    }

    /// How many blank processes wait, beside how many are to.
    #[must_use]
    pub fn blanks(&self) -> Blanks {
        match self.factory.as_ref().map_or(self.stock, Factory::waiting) {
            waiting if waiting >= self.stock => Blanks::Enough,
            0 => Blanks::Missing,
            _ => Blanks::Few,
        }
    }

    /// Makes a blank process. One at a time, so that the first has its name before the last is made.
    pub fn make_blank(&mut self) {
        let Some(factory) = self.factory.as_mut() else { return };
        match factory.make() {
            Ok(process) => {
                self.reporter.process(ProcessEvent::Blank { process: process.mark().clone() });
                self.watch(process);
            }
            Err(error) => {
                crate::log!("{error}");
                self.stock = 0;
            }
        }
    }

    /// Gives a blank process its name.
    pub fn assign(&mut self, pid: u32, name: ArmorName, incarnation: Incarnation, mirror: Option<SecondHome>) {
        self.stock = self.stock.saturating_sub(1);
        let assigned = self.factory.as_mut().and_then(|factory| factory.assign(pid, name, incarnation, mirror));
        match assigned {
            Some(process) => drop(self.armors.insert((name, incarnation), process)),
            None => self.reporter.process(ProcessEvent::Exited { name, incarnation }),
        }
    }

    /// Watches a process that an earlier daemon made.
    pub fn adopt(&mut self, name: ArmorName, incarnation: Incarnation, mark: &ProcessMark) {
        match Process::open(mark) {
            Ok(process) => {
                self.reporter.process(ProcessEvent::Adopted { name, incarnation });
                self.armors.insert((name, incarnation), process.clone());
                self.watch(process);
            }
            Err(_gone) => self.reporter.process(ProcessEvent::Exited { name, incarnation }),
        }
    }

    /// What it means that a watched process has exited.
    pub fn exited(&mut self, pid: u32) -> Option<ProcessEvent> {
        if self.factory.as_mut().is_some_and(|factory| factory.lost(pid)) {
            return Some(ProcessEvent::BlankLost { pid });
        }
        let (&(name, incarnation), _) = self.armors.iter().find(|(_, process)| process.mark().pid == pid)?;
        self.armors.remove(&(name, incarnation));
        Some(ProcessEvent::Exited { name, incarnation })
    }

    /// Ends a process. `linked` is the one at the other end of our link to that name, if any.
    pub fn kill(&mut self, name: ArmorName, incarnation: Incarnation, linked: Option<(Incarnation, Process)>) {
        if (name, incarnation) == (self.identity.name, self.identity.incarnation) {
            crate::log!("this process ends itself: it hears nobody any more");
            std::process::exit(1);
        }
        match self.find(name, incarnation, linked) {
            Some(process) => process.kill(),
            None if self.factory.is_some() => self.reporter.process(ProcessEvent::Exited { name, incarnation }),
            None => {}
        }
    }

    /// Asks the system how a process fares. One that is gone is reported by `Exited`.
    pub fn sample(&mut self, name: ArmorName, incarnation: Incarnation, linked: Option<(Incarnation, Process)>) {
        let sample = self.find(name, incarnation, linked).and_then(|process| process.sample());
        if let Some(sample) = sample {
            self.reporter.process(ProcessEvent::Sampled { name, incarnation, sample });
        }
    }

    fn find(
        &self,
        name: ArmorName,
        incarnation: Incarnation,
        linked: Option<(Incarnation, Process)>,
    ) -> Option<Process> {
        let linked = linked.filter(|(found, _)| *found == incarnation).map(|(_, process)| process);
        self.armors.get(&(name, incarnation)).cloned().or(linked).or_else(|| self.unmet(name, incarnation))
    }

    /// A daemon that answers no greeting: of its life nothing is known but what it wrote as it began.
    fn unmet(&self, name: ArmorName, incarnation: Incarnation) -> Option<Process> {
        let ArmorName::Daemon(host) = name else { return None };
        if incarnation != Incarnation::default() {
            return None;
        }
        Process::open(&self.home.last_daemon(host).process).ok()
    }

    /// Deletes what an ARMOR, or a job, kept on this host.
    pub fn clean(&self, name: Option<ArmorName>, job: Option<JobId>) {
        let host = self.identity.host;
        let mut trees = Vec::new();
        if let Some(name) = name {
            self.home.drop_name(name);
            trees.push(self.home.armor(host, name));
        }
        if let Some(job) = job {
            trees.push(self.home.job_on(host, job));
        }
        let commits = job.map(|job| self.home.commits_of(job));
        tokio::task::spawn_blocking(move || {
            if let Some(Err(error)) = commits.map(|commits| commit::forget_all(&Home::commits(), &commits)) {
                crate::log!("cannot {error}");
            }
            for path in &trees {
                if let Err(error) = tree::remove(path) {
                    crate::log!("cannot delete {}: {error}", path.display());
                }
            }
        });
    }

    /// Tells the user's command.
    pub fn notify(&self, notice: u64, command: Vec<OsBytes>, text: String) {
        self.run_command("notify", command, text, move |failure| ProcessEvent::Notified { notice, failure });
    }

    /// Starts a lost host by a person's command.
    pub fn summon(&self, host: HostId, command: Vec<OsBytes>, text: String) {
        self.run_command("revive", command, text, move |failure| ProcessEvent::Summoned { host, failure });
    }

    /// Runs a person's command for this purpose, and reports what went wrong, if it did.
    fn run_command(
        &self,
        what: &'static str,
        command: Vec<OsBytes>,
        text: String,
        event: impl FnOnce(Option<String>) -> ProcessEvent + Send + 'static,
    ) {
        let reporter = self.reporter.clone();
        tokio::task::spawn_blocking(move || {
            let failure = notify::run(what, &command, &text).err().map(|error| error.to_string());
            reporter.process(event(failure));
        });
    }

    /// Ends the whole system of this home, this process included.
    pub fn stop(&mut self) {
        if let Some(factory) = self.factory.take() {
            factory.end();
        }
        ending::end(&self.home, self.identity.name);
    }

    /// Starts a daemon on this host, unless there is one. A process whose home ends, ends too.
    pub fn revive(&self) {
        if self.home.is_gone() || self.home.is_stopping() {
            crate::log!("the home ended, and so does this process");
            std::process::exit(0);
        }
        match launch::spawn_daemon(&self.home, self.identity.host, 0) {
            Ok(Some(process)) => {
                crate::log!("no daemon held its lock: started another one, process {}", process.mark().pid);
                self.watch(process);
            }
            Ok(None) => {}
            Err(error) => crate::log!("{error}"),
        }
    }

    /// Knocks at the door of another host's daemon.
    pub fn knock(&self, host: HostId) {
        let (home, reporter) = (self.home.clone(), self.reporter.clone());
        tokio::spawn(async move {
            let knock = neighbours::knock(&home, host).await;
            reporter.process(ProcessEvent::Knocked { host, knock });
        });
    }

    /// How fast bytes came from other hosts of late.
    pub fn transfers(&self) {
        let (paces, reporter) = (self.home.paces(self.identity.host), self.reporter.clone());
        tokio::task::spawn_blocking(move || reporter.process(ProcessEvent::Transfers(pace::read(&paces))));
    }

    /// Certifies a member's key with that of the cluster's authority.
    pub fn sign(&self, to: ArmorName, member: Principal, role: Role, key: Vec<u8>) {
        let (home, reporter) = (self.home.clone(), self.reporter.clone());
        tokio::task::spawn_blocking(move || {
            let sign = || pki::Standing::of(&home)?.map(|standing| standing.certify(&member, role, &key)).transpose();
            let outcome = match sign() {
                Ok(Some(chain)) => Ok(chain.into_iter().map(|certificate| certificate.to_vec()).collect()),
                Ok(None) => Err("this home belongs to no cluster".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            reporter.process(ProcessEvent::Signed { to, member, outcome });
        });
    }

    /// The FTM's store, of which backups are taken.
    pub fn keep_store(&mut self, store: Box<dyn Store>) {
        self.store = Some(store);
    }

    /// Writes a backup of the store.
    pub fn back_up(&self, to: ArmorName, number: u64, keys: bool) {
        let (home, reporter) = (self.home.clone(), self.reporter.clone());
        let store = self.store.as_ref().map(|store| store.share());
        tokio::task::spawn_blocking(move || {
            let written = store.map(|store| backup::take_within(&home, &*store, number, keys));
            let failure = match written {
                Some(Ok(())) => None,
                Some(Err(why)) => Some(why.to_string()),
                None => Some("this process keeps no store".to_owned()),
            };
            reporter.process(ProcessEvent::BackedUp { to, number, failure });
        });
    }

    /// Keeps the cluster's address book for all processes of this home.
    pub fn keep_book(&self, book: &Book) {
        if let Err(error) = pki::keep_book(&self.home, book) {
            crate::log!("the address book is not kept, so changes of it are not known here: {error}");
        }
    }

    /// Has this host looked over.
    pub fn profile(&self) {
        let (reporter, host) = (self.reporter.clone(), self.identity.host);
        let (kept, policy, facilities) = (self.home.host(host), self.home.policy(host), self.home.facilities(host));
        tokio::task::spawn_blocking(move || {
            reporter.process(ProcessEvent::Profiled(Box::new(profile::look_over(&kept, &policy, facilities))));
        });
    }

    /// Looks up who reigns, or asks for the reign behind the accused one.
    pub fn seek_reign(&mut self, request: Option<(Term, u64, Option<u64>)>) {
        let (reporter, home, host) = (self.reporter.clone(), self.home.clone(), self.identity.host);
        let electorate = self.electorate.clone();
        tokio::task::spawn_blocking(move || {
            let seek = || {
                let electorate = electorate.of(&home, host)?;
                match request {
                    None => electorate.look(),
                    Some((accused, request, changes)) => electorate.ask(accused, request, changes),
                }
            };
            reporter.process(ProcessEvent::ReignSeen(electorate.told(seek())));
        });
    }

    /// Watches the process that an ephemeral home belongs to.
    pub fn watch_owner(&self) {
        let Some(owner) = self.home.owner() else { return };
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            if let Ok(process) = Process::open(&owner) {
                exited(&process).await;
            }
            reporter.process(ProcessEvent::OwnerGone);
        });
    }

    fn watch(&self, process: Process) {
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            exited(&process).await;
            reporter.tell(Happening::Exited(process.mark().pid));
        });
    }
}

/// Waits until a process exits; with a thread of its own if the event loop has no room for it.
async fn exited(process: &Process) {
    if let Err(error) = process.exited().await {
        crate::log!("process {} is watched by a thread: {error}", process.mark().pid);
        let process = process.clone();
        let _ = tokio::task::spawn_blocking(move || {
            process.wait(None);
            process.reap();
        })
        .await;
    }
}
