//! A system under test and the jobs that are submitted to it.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use chameleon_core::job::{Determinism, Job, Origin, OsBytes, Stage, Stdin};
use chameleon_core::message::{DaemonMessage, FtmMessage, Message, Outcome, UserMessage};
use chameleon_core::names::{ArmorName, Digest, HostId, JobId};
use chameleon_core::strategy::library;
use chameleon_core::world::{IndexEntry, Piece};
use chameleon_node::client::{Client, ClientEvent, block_on};
use chameleon_node::home::{Bases, Home};
use chameleon_node::index::Entries;
use chameleon_node::launch;
use chameleon_node::process::{Process, mark};
use rustix::event::Timespec;
use rustix::process::{Pid, Signal};
use tokio::time::timeout;

pub const HOST: HostId = HostId(1);
const DAEMON: ArmorName = ArmorName::Daemon(HOST);
/// Nothing in these tests takes this long, however busy the machine is.
const BOUND: Duration = Duration::from_secs(120);

pub struct System {
    _directory: tempfile::TempDir,
    run_directory: tempfile::TempDir,
    home: Home,
    requests: u64,
}

impl System {
    pub fn start() -> System {
        let directory = tempfile::tempdir().unwrap();
        let bases = Bases { home: directory.path().to_owned(), bulk: directory.path().to_owned() };
        let home = bases.make(&mark::own()).unwrap();
        launch::start(&home, HOST, 6).unwrap();
        System { _directory: directory, run_directory: tempfile::tempdir().unwrap(), home, requests: 0 }
    }

    pub fn directory(&self) -> &Path {
        self.run_directory.path()
    }

    fn client<T>(&self, command: impl AsyncFnOnce(&mut Client) -> T) -> T {
        block_on(async {
            let mut client = Client::connect(Home::open(self.home.path()).unwrap()).unwrap();
            let outcome = timeout(BOUND, command(&mut client)).await;
            client.close().await;
            outcome.unwrap_or_else(|_| panic!("it did not happen in time; the home is {}", self.home.path().display()))
        })
        .unwrap()
    }

    /// Submits a shell command, and waits until the job is on disk.
    pub fn submit(&mut self, strategy: &str, command: &str) -> JobId {
        self.requests += 1;
        let request = self.requests;
        let job = Box::new(self.job(strategy, command));
        self.client(async |client| {
            client.open(ArmorName::Ftm);
            loop {
                match client.recv().await {
                    ClientEvent::Up(_) => client.send(ArmorName::Ftm, FtmMessage::Submit { request, job: job.clone() }),
                    ClientEvent::Message { message: Message::User(UserMessage::Accepted { job, .. }), .. } => {
                        return job;
                    }
                    ClientEvent::Message { message, .. } => panic!("{message:?}"),
                    ClientEvent::Down(_) | ClientEvent::TurnedAway(_) => {}
                }
            }
        })
    }

    fn job(&self, strategy: &str, command: &str) -> Job {
        let words = ["sh", "-c", command].map(|word| OsBytes::from(word.as_bytes().to_vec()));
        let stage = Stage::new("stage", words.into());
        Job {
            name: "job".into(),
            strategy: library::find(strategy, &|_| Err("no file".into())).unwrap(),
            stages: vec![stage],
            deadline: None,
            abnormal_exit: Vec::new(),
            notify: Vec::new(),
            hold: false,
            net: false,
            determinism: Determinism::Plain,
            masks: Vec::new(),
            injections: Vec::new(),
            directory: self.directory().as_os_str().as_bytes().to_vec().into(),
            environment: vec![b"PATH=/usr/bin:/bin".to_vec().into()],
            stdin: Stdin::Null,
            spool_quota: 64 << 20,
            origin: Origin { host: HostId(1), pass: Digest::default() },
            build: None,
            umask: Job::USUAL_UMASK,
            needs: Default::default(),
        }
    }

    /// Waits until the job has ended.
    pub fn outcome(&self, job: JobId) -> Outcome {
        self.client(async |client| {
            client.open(ArmorName::Ftm);
            loop {
                match client.recv().await {
                    ClientEvent::Up(_) => client.send(ArmorName::Ftm, FtmMessage::Await(job)),
                    ClientEvent::Message { message: Message::User(UserMessage::Ended { outcome, .. }), .. } => {
                        return outcome;
                    }
                    ClientEvent::Message { .. } | ClientEvent::Down(_) | ClientEvent::TurnedAway(_) => {}
                }
            }
        })
    }

    /// The decided standard output of a job that has ended.
    pub fn output(&self, job: JobId) -> String {
        let entries = Entries::open(&self.home.index(HostId(1), job)).unwrap();
        let pieces = entries.filter_map(|entry| match entry.unwrap() {
            IndexEntry::Piece(piece) => Some(piece),
            IndexEntry::Failed(..) | IndexEntry::Unclear(..) | IndexEntry::Whole => None,
        });
        let text = |piece: &Piece| {
            let lane = self.home.lane(piece.host, job, piece.lane);
            let pack = std::fs::read(lane.join(format!("slot-{}/out.pack", piece.stdout.slot.0))).unwrap();
            let from = piece.stdout.offset as usize;
            String::from_utf8(pack[from..from + piece.stdout.length as usize].to_vec()).unwrap()
        };
        pieces.map(|piece| text(&piece)).collect()
    }

    fn process(&self, name: ArmorName) -> Option<Process> {
        let stream = UnixStream::connect(self.home.socket(name)).ok()?;
        Process::at_other_end(&stream).ok()
    }

    /// Waits until an ARMOR can be reached.
    pub fn await_process(&self, name: ArmorName) {
        let deadline = Instant::now() + BOUND;
        while self.process(name).is_none() {
            assert!(Instant::now() < deadline, "{name} does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn kill(&self, name: ArmorName) {
        self.process(name).unwrap().kill();
    }

    pub fn freeze(&self, name: ArmorName) {
        let pid = self.process(name).unwrap().mark().pid;
        rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::STOP).unwrap();
    }

    pub fn stop(&mut self) {
        let Some(daemon) = self.process(DAEMON) else { return };
        self.client(async |client| {
            client.open(DAEMON);
            loop {
                match client.recv().await {
                    ClientEvent::Up(_) => client.send(DAEMON, DaemonMessage::Stop),
                    ClientEvent::Down(_) => return,
                    ClientEvent::Message { .. } | ClientEvent::TurnedAway(_) => {}
                }
            }
        });
        assert!(daemon.wait(Some(&Timespec { tv_sec: 60, tv_nsec: 0 })));
        daemon.reap();
        assert!(self.home.is_gone(), "nothing is left");
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        if !self.home.is_gone() {
            self.stop();
        }
    }
}

impl System {
    /// What every process of the system said.
    fn show_logs(&self) {
        let host = self.home.host(HOST);
        let armors = std::fs::read_dir(host.join("armors")).into_iter().flatten().flatten();
        for log in armors.map(|armor| armor.path().join("log")).chain([host.join("daemon.log")]) {
            eprintln!("---- {}\n{}", log.display(), std::fs::read_to_string(&log).unwrap_or_default());
        }
    }
}
