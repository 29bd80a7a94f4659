//! A system of toys under test, and how a user's command sees it. Every process that it starts is known
//! by its home and ends with it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use chameleon_core::message::{DaemonMessage, Message, SurrogateMessage, UserMessage};
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId};
use chameleon_node::client::{Client, ClientEvent, block_on};
use chameleon_node::home::{Bases, Home};
use chameleon_node::launch;
use chameleon_node::process::{Factory, Process, mark};
use minicbor::Decode;
use rustix::event::Timespec;
use rustix::process::{Pid, Signal};
use tokio::time::timeout;

use crate::toys::{self, Kept};

pub const HOST: HostId = HostId(1);
pub const DAEMON: ArmorName = ArmorName::Daemon(HOST);
/// Nothing in these tests takes this long, however busy the machine is.
const BOUND: Duration = Duration::from_secs(60);

pub struct System {
    directory: tempfile::TempDir,
    home: Home,
    owner: Option<Child>,
}

impl System {
    /// A system in an ephemeral home, whose owner is a sleeping process.
    pub fn start() -> System {
        let directory = tempfile::tempdir().unwrap();
        let bases = Bases { home: directory.path().to_owned(), bulk: directory.path().to_owned() };
        let owner = Command::new("sleep").arg("1000").spawn().unwrap();
        let home = bases.make(&mark::of(owner.id()).unwrap()).unwrap();
        System::in_home(directory, home, Some(owner))
    }

    pub fn start_standing() -> System {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(&directory.path().join("standing")).unwrap();
        System::in_home(directory, home, None)
    }

    fn in_home(directory: tempfile::TempDir, home: Home, owner: Option<Child>) -> System {
        launch::start(&home, HOST, 3).unwrap();
        System { directory, home, owner }
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Whether nothing but empty directories is left.
    pub fn is_empty(&self) -> bool {
        let mut open: Vec<PathBuf> = vec![self.directory.path().to_owned()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => return false,
                }
            }
        }
        true
    }

    fn client<T>(&self, command: impl AsyncFnOnce(&mut Client) -> T) -> T {
        block_on(async {
            let mut client = Client::connect(Home::open(self.home.path()).unwrap()).unwrap();
            let outcome = timeout(BOUND, command(&mut client)).await.expect("it happens in time");
            client.close().await;
            outcome
        })
        .unwrap()
    }

    /// Waits until the daemon keeps a counter that runs and is as wanted.
    pub fn running(&self, name: ArmorName, wanted: impl Fn(&Kept) -> bool) -> Kept {
        let is_wanted = |kept: &&Kept| kept.name == name && kept.process.is_some() && wanted(kept);
        let kept = self.kept(|kept| kept.iter().any(|kept| is_wanted(&kept)));
        kept.iter().find(is_wanted).cloned().unwrap()
    }

    /// Waits until all counters run.
    pub fn all_running(&self) -> Vec<Kept> {
        self.kept(|kept| kept.len() == toys::COUNTERS && kept.iter().all(|kept| kept.process.is_some()))
    }

    /// What the daemon's next life would know of its counters.
    fn kept(&self, wanted: impl Fn(&[Kept]) -> bool) -> Vec<Kept> {
        let last = |records: Vec<Kept>| -> Vec<Kept> {
            let last: BTreeMap<_, _> = records.into_iter().map(|kept| (kept.name, kept)).collect();
            last.into_values().collect()
        };
        self.saved(DAEMON, last, |kept| wanted(kept))
    }

    /// Reads an ARMOR's journal, as its next life would and without saying anything to it, until what is read
    /// is as wanted.
    fn saved<R: for<'b> Decode<'b, ()>, T: Debug>(
        &self,
        name: ArmorName,
        read: impl Fn(Vec<R>) -> T,
        wanted: impl Fn(&T) -> bool,
    ) -> T {
        let deadline = Instant::now() + BOUND;
        let path = self.home.armor(HOST, name).join("journal");
        loop {
            // There is none before the ARMOR first runs.
            let found = read(records(&std::fs::read(&path).unwrap_or_default()));
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{name} has saved {found:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Tells a counter a number, and waits until it has confirmed it.
    pub fn count(&self, counter: ArmorName, number: u64) {
        self.client(async |client| {
            client.open(counter);
            loop {
                match client.recv().await {
                    ClientEvent::Up(_) => client.send(counter, of_number(number)),
                    ClientEvent::Message { message, .. } if counted(&message).is_some_and(|it| it.1 == number) => {
                        return;
                    }
                    _ => {}
                }
            }
        });
    }

    /// How many numbers a counter has after a kill, and the last of them.
    pub fn counted(&self, counter: ArmorName, wanted: impl Fn(u64, u64) -> bool) -> (u64, u64) {
        let ends = |found: Vec<u64>| (found.len() as u64, found.last().copied().unwrap_or_default());
        self.saved(counter, ends, |(count, last)| wanted(*count, *last))
    }

    /// The process that listens under a name.
    pub fn process(&self, name: ArmorName) -> Process {
        let stream = UnixStream::connect(self.home.socket(name)).unwrap();
        Process::at_other_end(&stream).unwrap()
    }

    /// The daemon's process and those of all counters, once they run.
    pub fn processes(&self) -> Vec<Process> {
        let counters = self.all_running().into_iter().map(|kept| kept.name);
        counters.chain([DAEMON]).map(|name| self.process(name)).collect()
    }

    /// Waits until another process listens under a name.
    pub fn next_process(&self, name: ArmorName, last: &Process) -> Process {
        let deadline = Instant::now() + BOUND;
        loop {
            let found = UnixStream::connect(self.home.socket(name)).ok();
            let found = found.and_then(|stream| Process::at_other_end(&stream).ok());
            match found {
                Some(process) if process.mark() != last.mark() => return process,
                _ => assert!(Instant::now() < deadline, "nobody replaced {name}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn kill(&self, kept: &Kept) {
        Process::open_pid(kept.process.as_ref().unwrap().pid).unwrap().kill();
    }

    pub fn freeze(&self, process: &Process) {
        let pid = Pid::from_raw(process.mark().pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, Signal::STOP).unwrap();
    }

    pub fn kill_owner(&mut self) {
        let mut owner = self.owner.take().unwrap();
        owner.kill().unwrap();
        owner.wait().unwrap();
    }

    /// Waits until these processes, and then the home, are gone.
    pub fn await_end(&self, processes: &[Process]) {
        for process in processes {
            assert!(process.wait(Some(&Timespec { tv_sec: 60, tv_nsec: 0 })), "{process:?} lives");
            process.reap();
        }
    }

    pub fn stop(&self) {
        let daemon = self.process(DAEMON);
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
        self.await_end(&[daemon]);
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(mut owner) = self.owner.take() {
            let _ = owner.kill();
            let _ = owner.wait();
        }
        if let Ok(stream) = UnixStream::connect(self.home.socket(DAEMON))
            && let Ok(daemon) = Process::at_other_end(&stream)
        {
            daemon.wait(Some(&Timespec { tv_sec: 20, tv_nsec: 0 }));
            daemon.reap();
        }
    }
}

/// What tells a counter this number.
fn of_number(number: u64) -> SurrogateMessage {
    SurrogateMessage::Consumed { upto: number }
}

fn counted(message: &Message) -> Option<(u64, u64)> {
    let Message::User(UserMessage::Refused { why }) = message else { return None };
    let (count, last) = why.split_once(' ')?;
    Some((count.parse().ok()?, last.parse().ok()?))
}

fn records<R: for<'b> Decode<'b, ()>>(journal: &[u8]) -> Vec<R> {
    let boot = chameleon_node::journal::this_boot();
    let contents = chameleon_node::journal::record::decode(journal, boot).unwrap();
    contents.records.iter().map(|saved| minicbor::decode(&saved.bytes).unwrap()).collect()
}

/// Prints what processes and links cost here; compares nothing.
pub fn figures() {
    let system = System::start();
    let counters = system.all_running().into_iter().map(|kept| kept.name);
    for name in counters.chain([DAEMON]) {
        let pid = system.process(name).mark().pid;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        println!("{name}: {}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    }
    for (what, warm) in [("a new process becomes an ARMOR", false), ("a blank process becomes an ARMOR", true)] {
        print_times(what, (0..40).map(|number| installed(&system.home, number, warm)).collect());
    }
    let counter = ArmorName::Surrogate(JobId(1));
    let took = system.client(async |client| {
        client.open(counter);
        while !matches!(client.recv().await, ClientEvent::Up(_)) {}
        let mut took = Vec::new();
        for number in 0..2_000u64 {
            let since = Instant::now();
            client.send(counter, of_number(number * 2));
            while !matches!(client.recv().await, ClientEvent::Message { .. }) {}
            took.push(since.elapsed());
        }
        took
    });
    print_times("a message is saved and answered", took);
}

/// From the decision until the ARMOR can be reached.
fn installed(home: &Home, number: u64, warm: bool) -> Duration {
    let name = ArmorName::Surrogate(JobId(1_000 + number + if warm { 1_000 } else { 0 }));
    let home = std::sync::Arc::new(Home::open(home.path()).unwrap());
    let mut factory = Factory::new(home.clone(), HOST, 1).unwrap();
    let mut since = Instant::now();
    let blank = factory.make().unwrap();
    if warm {
        std::thread::sleep(Duration::from_millis(30));
        since = Instant::now();
    }
    factory.assign(blank.mark().pid, name, Incarnation(1), None).unwrap();
    await_socket(&home, name);
    let took = since.elapsed();
    blank.kill();
    blank.wait(None);
    blank.reap();
    factory.end();
    took
}

/// Waits until an ARMOR can be reached.
pub fn await_socket(home: &Home, name: ArmorName) {
    let begin = Instant::now();
    while UnixStream::connect(home.socket(name)).is_err() {
        assert!(begin.elapsed() < BOUND, "{name} cannot be reached");
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// The child of this process that is none of these.
pub fn only_other_child(known: &[&Process]) -> u32 {
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
    let others: Vec<u32> = pids.filter(|pid| known.iter().all(|known| known.mark().pid != *pid)).collect();
    let [other] = others[..] else { panic!("{others:?} are children of this process, beside {known:?}") };
    other
}

fn print_times(what: &str, mut took: Vec<Duration>) {
    took.sort();
    println!("{what}: p50 {:?}, p99 {:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
}
