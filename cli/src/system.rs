//! The system a command speaks to: the standing one of a home, or one that lasts as long as the
//! command.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chameleon_core::armor::LinkEvent;
use chameleon_core::job::{Injection, Job, Origin};
use chameleon_core::message::{DaemonMessage, FtmMessage, Query};
use chameleon_core::names::{ArmorName, Digest, HostId, JobId, Kind};
use chameleon_core::principal::{self, Principal};
use chameleon_core::token::Token;
use chameleon_node::bulk::shelf;
use chameleon_node::client::block_on;
use chameleon_node::home::{Address, Bases, Home, HomeError, clear_abandoned};
use chameleon_node::os::facilities::Facilities;
use chameleon_node::pki::enrol::Wish;
use chameleon_node::pki::{self, Founded, Standing, certificate};
use chameleon_node::process::{self, Ending};
use chameleon_node::store::{health, members};
use chameleon_node::{launch, outside, random};

use crate::candidates;
use crate::conversation;
use crate::failure::Failure;
use crate::line::Line;
use crate::reign;
use crate::session::{Heard, Session};

/// Processes that wait for a job's ARMORs: the FTM, its SM, Voter and Fanout, and the lanes.
const BLANKS_BESIDE_LANES: u16 = 4;
/// Blank processes of a standing host.
pub const BLANKS: u16 = 8;
/// How long an ending system may take.
const ENDING: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);
/// How often a starting FTM's log is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What an ARMOR writes into its log in front of the reason.
const DIES: &str = " dies: ";
/// The first host of a home.
const FIRST: HostId = HostId(1);

/// Where a command looks for its system.
pub struct Place {
    home: PathBuf,
    /// What keeps programs from the hosts that are started here; `None`: as they are set, or what the system has.
    facilities: Option<Facilities>,
}

/// A system that runs.
pub struct System {
    home: Home,
    ephemeral: bool,
}

impl Place {
    /// The home that was named, else that of the environment, else the default one.
    pub fn new(home: Option<PathBuf>) -> Self {
        Place { home: home.unwrap_or_else(Home::default_path), facilities: None }
    }

    /// The same, for a command by which a person says what the hosts it starts use.
    pub fn with(&self, facilities: Option<Facilities>) -> Self {
        Place { home: self.home.clone(), facilities }
    }

    /// The home itself.
    pub fn path(&self) -> &Path {
        &self.home
    }

    /// The standing system.
    ///
    /// # Errors
    /// There is none.
    pub fn standing(&self) -> Result<System, Failure> {
        self.running()?.ok_or_else(|| Failure::NoSystem { home: self.home.clone() })
    }

    /// The standing system; without one, a new one that ends with this process.
    ///
    /// # Errors
    /// It cannot be started, or the home is not ours to use.
    pub fn standing_or_ephemeral(&self, lanes: u16) -> Result<System, Failure> {
        if let Some(system) = self.running()? {
            return Ok(system);
        }
        let bases = Bases::of_this_machine();
        clear_abandoned(&bases);
        let home = bases.make(&process::mark::own()).map_err(system)?;
        self.launch(&home, FIRST, lanes.saturating_add(BLANKS_BESIDE_LANES))?;
        Ok(System { home, ephemeral: true })
    }

    /// Starts a standing system with so many hosts, of which so many are candidates for the FTM.
    ///
    /// # Errors
    /// One runs there already, it has more hosts than that, or other candidates, or it cannot be started.
    pub fn start(&self, hosts: Option<u32>, ftms: Option<u32>) -> Result<System, Failure> {
        if let Some(member) = self.member()? {
            return Err(Failure::Asked(format!("this home is {member} of a cluster; `chameleon daemon` starts it")));
        }
        if self.running()?.is_some() {
            return Err(Failure::RunsAlready { home: self.home.clone() });
        }
        let home = Home::create(&self.home).map_err(system)?;
        let known = home.hosts();
        let hosts = hosts.unwrap_or(known.max(ftms.unwrap_or(1)));
        if hosts < known {
            let path = self.home.display();
            let why =
                format!("{path} has {known} hosts, and each may hold parts of jobs: at least as many must be started");
            return Err(Failure::System(why));
        }
        candidates::appoint(&home, hosts, ftms)?;
        let started = System { home, ephemeral: false };
        for host in 1..=hosts {
            if let Err(why) = self.launch(&started.home, HostId(host), BLANKS) {
                let _ = started.stop();
                return Err(why);
            }
        }
        if let Err(why) = started.await_ftm() {
            let _ = started.stop();
            return Err(why);
        }
        Ok(started)
    }

    /// Who this home is in its cluster, if it has joined one.
    ///
    /// # Errors
    /// What it keeps cannot be read.
    pub fn member(&self) -> Result<Option<Principal>, Failure> {
        match Home::open(&self.home) {
            Ok(home) => Ok(Standing::of(&home).map_err(system)?.map(|standing| standing.member)),
            Err(HomeError::Absent { .. }) => Ok(None),
            Err(why) => Err(system(why)),
        }
    }

    /// Makes a cluster and starts its first host.
    ///
    /// # Errors
    /// There is one, or it cannot be started.
    pub fn found(
        &self,
        listen: SocketAddr,
        name: String,
        lifetime: Duration,
        store: Option<Address>,
    ) -> Result<System, Failure> {
        if let Some(member) = self.member()? {
            let why = format!("this home is {member} of a cluster already; `chameleon daemon` starts it");
            return Err(Failure::Asked(why));
        }
        if self.running()?.is_some() {
            return Err(Failure::RunsAlready { home: self.home.clone() });
        }
        if !principal::is_fit(&name) {
            return Err(Failure::Asked(format!(
                "{name:?} cannot be a name: use lower-case letters, digits, `.`, `_` and `-`"
            )));
        }
        let home = Home::create(&self.home).map_err(system)?;
        let listen = choose(listen)?.to_string();
        pki::found(&home, &Founded { name, listen, lifetime }).map_err(system)?;
        if let Some(store) = store {
            candidates::stand_for(&home, FIRST, store, None)?;
        }
        self.start_host(FIRST)
    }

    /// Joins a cluster as a host that listens there, or as a person.
    ///
    /// # Errors
    /// We are not let in; the same token may be tried again.
    pub fn join(
        &self,
        address: &str,
        token: &Token,
        name: String,
        listen: Option<SocketAddr>,
    ) -> Result<Principal, Failure> {
        let home = Home::create(&self.home).map_err(system)?;
        let listen = listen.map(choose).transpose()?;
        let wish = Wish { address, token, name, listen };
        let joined = block_on(pki::enrol::join(&home, wish)).map_err(system)?;
        Ok(joined.map_err(|why| Failure::Refused(why.to_string()))?.member)
    }

    /// Starts the host that this home is, as a candidate for the FTM.
    ///
    /// # Errors
    /// It may not have the FTM, or as [`Place::start_host`].
    pub fn start_candidate(&self, host: HostId, store: Address, key: Option<&Path>) -> Result<System, Failure> {
        let home = self.home_at_rest()?;
        candidates::stand_for(&home, host, store, key)?;
        self.start_host(host)
    }

    /// Starts the host that this home is.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn start_host(&self, host: HostId) -> Result<System, Failure> {
        let home = self.home_at_rest()?;
        self.launch(&home, host, BLANKS)?;
        let may_have_ftm = host == FIRST || home.managers().map_err(system)?.is_some();
        let started = System { home, ephemeral: false };
        if may_have_ftm {
            started.await_ftm()?;
        }
        Ok(started)
    }

    /// Starts a host, with the facilities that a person has said.
    fn launch(&self, home: &Home, host: HostId, blanks: u16) -> Result<(), Failure> {
        let said = std::env::var(Facilities::VARIABLE).ok().map(|word| word.parse()).transpose();
        if let Some(facilities) = self.facilities.or(said.map_err(Failure::Asked)?) {
            home.make_host(host).map_err(system)?;
            home.keep_facilities(host, facilities).map_err(system)?;
        }
        launch::start(home, host, blanks).map_err(system)
    }

    /// This home, in which nothing runs.
    fn home_at_rest(&self) -> Result<Home, Failure> {
        let home = Home::open(&self.home).map_err(system)?;
        match home.has_daemon() && !home.is_stopping() {
            true => Err(Failure::RunsAlready { home: self.home.clone() }),
            false => Ok(home),
        }
    }

    /// The system of this home, if one runs.
    ///
    /// # Errors
    /// The home is not ours to use.
    pub fn running(&self) -> Result<Option<System>, Failure> {
        match Home::open(&self.home) {
            Ok(home) if is_alive(&home) && !home.is_stopping() => Ok(Some(System { home, ephemeral: false })),
            Ok(_) | Err(HomeError::Absent { .. }) => Ok(None),
            Err(why) => Err(system(why)),
        }
    }
}

impl System {
    /// How many hosts it has.
    pub fn hosts(&self) -> u32 {
        self.home.hosts()
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Who this is, in a few words.
    ///
    /// # Errors
    /// What the home keeps cannot be read.
    pub fn describe(&self) -> Result<String, Failure> {
        let Some(standing) = Standing::of(&self.home).map_err(system)? else {
            return Ok("a system of its own runs".to_owned());
        };
        let listen = standing.listen().map_err(system)?.unwrap_or_default();
        Ok(format!("{} of the cluster {} listens at {listen}", standing.member, standing.cluster().map_err(system)?))
    }

    /// By which the authority of this cluster is known.
    ///
    /// # Errors
    /// There is none.
    pub fn authority(&self) -> Result<Digest, Failure> {
        let standing = Standing::of(&self.home).map_err(system)?;
        let none = "no other machine can join this system: it was started by `chameleon dev`; `chameleon ftm init` \
                    makes one that can be joined";
        let standing = standing.ok_or_else(|| Failure::Refused(none.to_owned()))?;
        certificate::authority_digest(&standing.authority).map_err(system)
    }

    /// The store that candidates share, and how its members are; `None`: this home is no candidate's.
    ///
    /// # Errors
    /// What the home keeps cannot be read.
    pub fn shared_store(&self) -> Result<Option<reign::Shared>, Failure> {
        let managers = self.home.managers().map_err(system)?;
        Ok(managers.map(|managers| (managers.store.clone(), health::of(&managers.store))))
    }

    /// What to type for the report of a job, once this command has ended.
    pub fn outlives_command(&self) -> bool {
        !self.ephemeral
    }

    /// Opens a session with the ARMORs of this system.
    ///
    /// # Errors
    /// Nothing of ours can listen there.
    pub fn connect(&self) -> Result<Line, Failure> {
        let path = self.home.path().to_owned();
        Line::new(|ear| conversation::with(path, ear))
    }

    /// Waits until the FTM can be spoken to.
    ///
    /// # Errors
    /// It dies again and again, in its own words; or it is not there within [`ENDING`].
    fn await_ftm(&self) -> Result<(), Failure> {
        let hosts = || (1..=self.home.hosts()).map(HostId);
        let logs = || hosts().map(|host| self.home.armor(host, ArmorName::Ftm).join("log"));
        let deaths = || logs().filter_map(|log| fs::read_to_string(log).ok()).collect::<String>();
        let earlier = deaths().matches(DIES).count();
        let mut line = self.connect()?;
        line.send(ArmorName::Ftm, FtmMessage::Ask(Query::Armors).into());
        let began = Instant::now();
        while began.elapsed() < ENDING {
            if let Some(Heard::Link(LinkEvent::Up { peer: ArmorName::Ftm, .. })) = line.next(LOOK) {
                return Ok(());
            }
            let log = deaths();
            if log.matches(DIES).count() > earlier + 1 {
                let words = log.lines().rev().find_map(|line| line.split_once(DIES)).map_or("", |(_, words)| words);
                return Err(Failure::System(format!("the FTM cannot start: {words}")));
            }
        }
        Err(Failure::Silent { home: self.home().to_owned(), waited: ENDING })
    }

    /// Makes a job this system's: it comes from here, and has the faults that are put into every job of it.
    ///
    /// # Errors
    /// The faults cannot be read.
    pub fn adopt(&self, job: &mut Job) -> Result<(), Failure> {
        job.origin = Origin { host: self.origin(), pass: Digest(random::bytes()) };
        // A job of earlier has them.
        let fresh = self.injections()?.into_iter().filter(|injection| !job.injections.contains(injection));
        let fresh: Vec<Injection> = fresh.collect();
        job.injections.extend(fresh);
        Ok(())
    }

    /// The host where the files of jobs lie that are handed in here: a person who is on no host has them where the FTM is.
    pub fn origin(&self) -> HostId {
        let own = Some(self.home.own_host()).filter(|host| *host != HostId::default());
        own.unwrap_or_else(|| pki::read_book(&self.home).unwrap_or_default().ftm)
    }

    /// Notes on this host that a job came from here: its bytes can be asked for by those who serve it, and by us.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn admit(&self, job: JobId, pass: Digest) -> Result<(), Failure> {
        let own = self.home.own_host();
        shelf::admit(&self.home, own, job, pass).map_err(|why| {
            let path = self.home.job_on(own, job);
            Failure::Unwritable { what: "what belongs to the job", path, why }
        })
    }

    /// Faults that are put into every job of this system.
    fn injections(&self) -> Result<Vec<Injection>, Failure> {
        let path = self.home().join("injections");
        let text = match fs::read_to_string(&path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            read => read.map_err(|why| Failure::Unreadable { what: "the system's injections", path, why })?,
        };
        text.lines().map(|line| line.parse().map_err(|why| Failure::Asked(format!("{why}")))).collect()
    }

    /// Keeps them; they end with the system.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn keep_injections(&self, injections: &[Injection]) -> Result<(), Failure> {
        let path = self.home().join("injections");
        let lines: String = injections.iter().map(|injection| format!("{injection}\n")).collect();
        fs::write(&path, lines).map_err(|why| Failure::Unwritable { what: "the system's injections", path, why })
    }

    /// Ends a system that was made for this command; a standing one stays.
    ///
    /// # Errors
    /// As [`System::stop`].
    pub fn leave(self) -> Result<(), Failure> {
        if self.ephemeral { self.stop() } else { Ok(()) }
    }

    /// Ends the system and waits until nothing of it runs.
    ///
    /// # Errors
    /// It did not end within [`ENDING`].
    pub fn stop(self) -> Result<(), Failure> {
        let mut line = self.connect()?;
        let daemons = self.home.linked().unwrap_or_default().into_iter().filter(|name| name.kind() == Kind::Daemon);
        let daemons: Vec<ArmorName> = daemons.collect();
        for host in daemons.iter().filter_map(|name| name.host()) {
            // One that has just died would be missed, and be back when we are gone.
            launch::start(&self.home, host, 0).map_err(system)?;
        }
        daemons.into_iter().for_each(|daemon| line.send(daemon, DaemonMessage::Stop.into()));
        let mut ending = Ending::of(&self.home);
        let began = Instant::now();
        while began.elapsed() < ENDING {
            if ending.is_over() {
                members::stop(&self.home.etcd());
                let _ = fs::remove_file(self.home().join("injections"));
                return Ok(());
            }
            if let Some(Heard::Link(LinkEvent::Up { peer, .. })) = line.next(PAUSE) {
                line.send(peer, DaemonMessage::Stop.into());
            }
        }
        Err(Failure::Silent { home: self.home().to_owned(), waited: ENDING })
    }
}

/// A place to listen at, with a port that is free.
fn choose(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    let taken = |why| Failure::Asked(format!("nobody can be let in at {listen}: {why}; give another --listen"));
    outside::choose(listen).map_err(taken)
}

/// Whether a system runs: its daemon, or an FTM that will start one again in a moment. That of a person
/// runs elsewhere.
fn is_alive(home: &Home) -> bool {
    let of_person = || Standing::of(home).ok().flatten().is_some_and(|standing| standing.member.host().is_none());
    home.has_daemon() || of_person() || UnixStream::connect(home.socket(ArmorName::Ftm)).is_ok()
}

fn system(why: impl std::fmt::Display) -> Failure {
    Failure::System(why.to_string())
}
