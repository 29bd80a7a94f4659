//! A fleet: hosts as they are on machines of their own. Each has a home, and they reach each other by
//! authenticated TCP only: on the loopback of this machine, or, where everything can happen to them, in
//! a [`Network`] with an address each.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::binary;
use crate::launch::{Finished, Launch};
use crate::network::Network;
use crate::processes::{self, Process};
use crate::standing::Armor;
use crate::trial::{Trial, eventually};

/// How long a host may take to be known to all.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// How long a job of a test may take.
const JOB_WITHIN: Duration = Duration::from_secs(120);
/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// On which the FTM is.
const FOUNDER: u16 = 1;

/// Several hosts, the first of which founded the cluster. What still runs of them is ended when this is dropped.
#[derive(Debug)]
pub struct Fleet<'a> {
    trial: &'a Trial,
    /// `None`: all hosts are on the loopback of this machine.
    network: Option<Network>,
    /// Those that were started and not killed.
    running: BTreeSet<u16>,
}

impl<'a> Fleet<'a> {
    /// A founding host on the loopback, with these further arguments of `ftm init`.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    #[must_use]
    pub fn found(trial: &'a Trial, arguments: &[&str]) -> Fleet<'a> {
        Fleet { trial, network: None, running: BTreeSet::new() }.founded(arguments)
    }

    /// So many hosts in a network of their own, all of which have joined; see
    /// [`is_possible`](crate::network::is_possible).
    ///
    /// # Panics
    /// If a host does not join.
    #[track_caller]
    #[must_use]
    pub fn wired(trial: &'a Trial, hosts: u16) -> Fleet<'a> {
        let network = Some(Network::wire(hosts));
        let mut fleet = Fleet { trial, network, running: BTreeSet::new() }.founded(&[]);
        (2..=hosts).for_each(|host| fleet.join(host));
        fleet
    }

    #[track_caller]
    fn founded(mut self, arguments: &[&str]) -> Self {
        let init = ["ftm", "init", "--listen", &self.listen(FOUNDER), "--detach"];
        let _ = self.on(FOUNDER, &init).args(arguments).run().exits(0);
        self.running.insert(FOUNDER);
        self
    }

    // ---- what is said to hosts ----

    /// `chameleon` with these arguments on a host, with its home.
    #[must_use]
    pub fn on(&self, host: u16, arguments: &[&str]) -> Launch {
        self.chameleon(host).args(arguments).env("CHAMELEON_HOME", self.home(host))
    }

    /// `chameleon` with these arguments as a person, who is at the founder's machine and has a home of their own.
    #[must_use]
    pub fn person(&self, name: &str, arguments: &[&str]) -> Launch {
        self.chameleon(FOUNDER).args(arguments).env("CHAMELEON_HOME", self.home_of(name))
    }

    fn chameleon(&self, host: u16) -> Launch {
        match &self.network {
            Some(network) => self.trial.program("nsenter").args([network.enter(host)]).args([binary::chameleon()]),
            None => self.trial.program(binary::chameleon()),
        }
    }

    /// The home of a host.
    #[must_use]
    pub fn home(&self, host: u16) -> PathBuf {
        self.home_of(&format!("h{host}"))
    }

    /// The home of a person.
    #[must_use]
    pub fn home_of(&self, name: &str) -> PathBuf {
        self.trial.beside(&format!("home-{name}"))
    }

    fn listen(&self, host: u16) -> String {
        match &self.network {
            Some(network) => network.endpoint(host),
            // Any free port.
            None => "127.0.0.1:0".to_owned(),
        }
    }

    /// Where the FTM is reached.
    ///
    /// # Panics
    /// If its host never said so.
    #[must_use]
    pub fn address(&self) -> String {
        std::fs::read_to_string(self.home(FOUNDER).join("pki/listen")).expect("it was founded").trim().to_owned()
    }

    /// A token, made on the founding host.
    #[track_caller]
    #[must_use]
    pub fn token(&self, arguments: &[&str]) -> String {
        self.on(FOUNDER, &["token", "create"]).args(arguments).run().exits(0).out().trim().to_owned()
    }

    /// Starts a host that joins with this token; how that went.
    #[must_use]
    pub fn try_join(&mut self, host: u16, token: &str) -> Finished {
        let (address, listen, name) = (self.address(), self.listen(host), format!("h{host}"));
        let join = ["daemon", "--join", &address, "--token", token, "--name", &name, "--listen", &listen, "--detach"];
        let finished = self.on(host, &join).run();
        if finished.end.code() == 0 {
            self.running.insert(host);
        }
        finished
    }

    /// Lets a host join as a candidate for the FTM, and waits until the FTM knows it.
    #[track_caller]
    pub fn join_candidate(&mut self, host: u16, store: &str) {
        let token = self.token(&["--role", "ftm"]);
        let (address, listen, name) = (self.address(), self.listen(host), format!("h{host}"));
        let key = self.home(FOUNDER).join("pki/authority.key").display().to_string();
        let ftm = ["ftm", "--store", store, "--authority-key", &key, "--join", &address, "--token", &token];
        let _ = self.on(host, &ftm).args(["--name", &name, "--listen", &listen, "--detach"]).run().exits(0);
        self.running.insert(host);
        eventually(&format!("h{host} is known"), KNOWN_WITHIN, || self.daemon(host).map(drop));
    }

    /// Lets a host join, and waits until the FTM knows it.
    #[track_caller]
    pub fn join(&mut self, host: u16) {
        let token = self.token(&[]);
        let _ = self.try_join(host, &token).exits(0);
        eventually(&format!("h{host} is known"), KNOWN_WITHIN, || self.daemon(host).map(drop));
    }

    /// Starts a host again as who it was; how that went.
    #[track_caller]
    pub fn start_again(&mut self, host: u16) -> Finished {
        let finished = self.on(host, &["daemon", "--detach"]).run().exits(0);
        self.running.insert(host);
        finished
    }

    /// The words that start a host again as who it was, wherever on this machine they are said.
    #[must_use]
    pub fn words_to_start(&self, host: u16) -> Vec<String> {
        let (enter, home) = (self.network().enter(host), self.home(host));
        let chameleon = binary::chameleon().display().to_string();
        let words = ["nsenter", &enter, "env", &format!("CHAMELEON_HOME={}", home.display()), &chameleon];
        words.into_iter().chain(["daemon", "--detach"]).map(str::to_owned).collect()
    }

    /// Somebody else started this host again.
    pub fn was_started(&mut self, host: u16) {
        self.running.insert(host);
    }

    // ---- what is asked ----

    /// What a listing says on a host.
    #[track_caller]
    #[must_use]
    pub fn json(&self, host: u16, arguments: &[&str]) -> Value {
        self.on(host, arguments).args(["--json"]).run().exits(0).json()
    }

    /// All ARMORs, as the founder sees them.
    #[track_caller]
    #[must_use]
    pub fn armors(&self) -> Vec<Armor> {
        Armor::list(&self.on(FOUNDER, &["armors", "--json"]).run().exits(0))
    }

    /// The daemon of a host, if the FTM knows it.
    #[track_caller]
    #[must_use]
    pub fn daemon(&self, host: u16) -> Option<Armor> {
        let name = format!("daemon-h{host}");
        self.armors().into_iter().find(|armor| armor.id == name && armor.pid != 0)
    }

    /// Where a job's ARMORs of this kind run, host by host.
    #[track_caller]
    #[must_use]
    pub fn hosts_of(&self, kind: &str, job: &str) -> Vec<String> {
        let own = self.armors().into_iter().filter(|armor| armor.kind == kind && armor.job.as_deref() == Some(job));
        own.filter(|armor| armor.state == "running").map(|armor| armor.host).collect()
    }

    /// Submits a job on a host and returns its id.
    #[track_caller]
    #[must_use]
    pub fn submit(&self, host: u16, text: &str) -> String {
        let file = self.trial.job_file(text);
        self.on(host, &["submit"]).args([file]).run().exits(0).out().trim().to_owned()
    }

    /// Waits for the end of a job; how it stands then.
    #[track_caller]
    #[must_use]
    pub fn await_end(&self, job: &str) -> Value {
        eventually(&format!("{job} ends"), JOB_WITHIN, || {
            Some(self.json(FOUNDER, &["status", job])).filter(|status| !status["exit_code"].is_null())
        })
    }

    // ---- what happens to hosts ----

    /// The wires between hosts, to be pulled.
    ///
    /// # Panics
    /// If the hosts are on the loopback.
    #[must_use]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("this fleet is wired")
    }

    /// What runs on a host.
    #[must_use]
    pub fn processes(&self, host: u16) -> Vec<Process> {
        match &self.network {
            Some(network) => processes::of_network(network.inode(host)),
            None => processes::of_home(&self.home(host)),
        }
    }

    /// Every process of a host dies at once.
    pub fn kill(&mut self, host: u16) {
        // Whatever one starts while the others die, dies in the next turn.
        let mut left = self.processes(host);
        while !left.is_empty() {
            signal(&left, Signal::KILL);
            for process in &left {
                let _ = process.ends_within(GONE_WITHIN);
            }
            left = self.processes(host);
        }
        self.running.remove(&host);
    }

    /// Every process of a host stops.
    pub fn freeze(&self, host: u16) {
        // Whatever one started while the others stopped, stops in the next turn.
        loop {
            let running: Vec<Process> =
                self.processes(host).into_iter().filter(|process| process.state != 'T').collect();
            if running.is_empty() {
                return;
            }
            signal(&running, Signal::STOP);
        }
    }

    /// And goes on.
    pub fn thaw(&self, host: u16) {
        signal(&self.processes(host), Signal::CONT);
    }

    // ---- the end ----

    /// A host is taken down.
    #[track_caller]
    pub fn down_on(&mut self, host: u16) {
        let _ = self.on(host, &["down"]).run().exits(0);
        self.running.remove(&host);
    }

    /// Ends all hosts, which leaves nothing running.
    #[track_caller]
    pub fn down(mut self) {
        for host in self.running.clone().into_iter().rev() {
            self.down_on(host);
        }
        self.trial.nothing_runs();
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for &host in self.running.iter().rev() {
            // Whatever is frozen or does not listen any more is ended by the trial.
            if !std::thread::panicking() {
                let _ = self.on(host, &["down"]).run();
            }
        }
    }
}

fn signal(processes: &[Process], signal: Signal) {
    for process in processes {
        // It may have ended by itself.
        let _ = process.signal(signal);
    }
}
