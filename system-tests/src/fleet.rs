//! A fleet: hosts in network namespaces of their own on a bridge of their own, each with an address and a home.
//!
//! Nothing of it is seen outside: the bridge lies in a namespace too. What can happen to hosts is done to
//! them from outside, as it would happen: every process is killed or stopped at once, a link is down, a
//! direction is dropped, packets are lost at random.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::launch::Launch;
use crate::processes::{self, Process};
use crate::skip;
use crate::trial::{Trial, eventually};
use crate::{Finished, binary};

/// The variable that carries the host that a process belongs to, beside the mark of its trial.
const HOST: &str = "CHAMELEON_TRIAL_HOST";
/// Where every host listens.
const PORT: u16 = 7_700;
/// How long a host may take to join.
const JOINED_WITHIN: Duration = Duration::from_secs(30);

/// Several hosts, the first of which founded the cluster.
#[derive(Debug)]
pub struct Fleet<'a> {
    trial: &'a Trial,
    /// Begins the names of all its namespaces.
    prefix: String,
    hosts: Vec<u16>,
}

/// Whether a fleet can be made here; reports what is missing.
#[must_use]
pub fn is_possible() -> bool {
    skip::is_root("make network namespaces") && skip::has(&["ip", "nft", "nsenter"])
}

impl<'a> Fleet<'a> {
    /// Makes the network of so many hosts, numbered from 1; nothing runs there yet.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn wire(trial: &'a Trial, hosts: u16) -> Fleet<'a> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fleet =
            Fleet { trial, prefix: format!("chf{}-{number}", std::process::id()), hosts: (1..=hosts).collect() };
        let switch = fleet.switch();
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "bridge", "up"]);
        for &host in &fleet.hosts {
            let (space, port) = (fleet.space(host), port(host));
            ip(&["netns", "add", &space]);
            ip(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space]);
            ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"]);
            ip(&["-n", &space, "addr", "add", &format!("{}/24", address(host)), "dev", "eth0"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
        }
        fleet.nft("add table bridge trial; add chain bridge trial forward { type filter hook forward priority 0; }");
        fleet
    }

    /// A cluster of all hosts: the first founds it, the others join.
    ///
    /// # Panics
    /// If a host does not join.
    #[track_caller]
    #[must_use]
    pub fn start(trial: &'a Trial, hosts: u16) -> Fleet<'a> {
        let fleet = Fleet::wire(trial, hosts);
        let listen = fleet.endpoint(1);
        let _ = fleet.command(1, &["ftm", "init", "--listen", &listen]).run().exits(0);
        for &host in &fleet.hosts[1..] {
            fleet.join(host);
        }
        eventually("all hosts have joined", JOINED_WITHIN, || {
            let daemons = fleet.armors().into_iter().filter(|armor| armor.kind == "daemon" && armor.pid != 0).count();
            (daemons == usize::from(hosts)).then_some(())
        });
        fleet
    }

    /// A host joins with a token of its own.
    ///
    /// # Panics
    /// If it is not let in.
    #[track_caller]
    pub fn join(&self, host: u16) {
        let token = self.command(1, &["token", "create"]).run().exits(0).out().trim().to_owned();
        let (address, listen) = (self.endpoint(1), self.endpoint(host));
        let words = ["daemon", "--join", &address, "--token", &token, "--listen", &listen, "--detach"];
        let _ = self.command(host, &words).run().exits(0);
    }

    /// `chameleon` with these arguments on a host, with the home of that host.
    #[must_use]
    pub fn command(&self, host: u16, arguments: &[&str]) -> Launch {
        let launch = self.trial.program("nsenter").args([self.enter(host)]).args([binary::chameleon()]).args(arguments);
        launch.env("CHAMELEON_HOME", self.home(host)).env(HOST, self.mark(host))
    }

    /// All ARMORs, as the founder sees them.
    #[track_caller]
    #[must_use]
    pub fn armors(&self) -> Vec<crate::standing::Armor> {
        crate::standing::Armor::list(&self.command(1, &["armors", "--json"]).run().exits(0))
    }

    /// Submits a job on a host and waits for its end.
    #[track_caller]
    #[must_use]
    pub fn submit_and_wait(&self, host: u16, text: &str) -> Finished {
        let file = self.job_file(text);
        self.command(host, &["submit", "--wait"]).args([file]).within(Duration::from_secs(120)).run()
    }

    /// Writes a job file that every host can read.
    #[must_use]
    pub fn job_file(&self, text: &str) -> PathBuf {
        self.trial.job_file(text)
    }

    // ---- what happens to hosts ----

    /// What runs on a host.
    #[must_use]
    pub fn processes(&self, host: u16) -> Vec<Process> {
        processes::of_variable(HOST, &self.mark(host))
    }

    /// Every process of a host dies at once.
    pub fn kill(&self, host: u16) {
        // Whatever one starts while the others die, dies in the next turn.
        let mut left = self.processes(host);
        while !left.is_empty() {
            self.signal(host, Signal::KILL);
            for process in &left {
                let _ = process.ends_within(Duration::from_secs(1));
            }
            left = self.processes(host);
        }
    }

    /// Every process of a host stops.
    pub fn freeze(&self, host: u16) {
        self.signal(host, Signal::STOP);
        self.signal(host, Signal::STOP);
    }

    /// And goes on.
    pub fn thaw(&self, host: u16) {
        self.signal(host, Signal::CONT);
    }

    fn signal(&self, host: u16, signal: Signal) {
        for process in self.processes(host) {
            let _ = process.signal(signal);
        }
    }

    /// The cable of a host is pulled, or plugged in again.
    pub fn cable(&self, host: u16, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        ip(&["-n", &self.switch(), "link", "set", &port(host), state]);
    }

    /// What a host sends is dropped; it still hears the others.
    pub fn mute(&self, host: u16) {
        self.nft(&format!("add rule bridge trial forward iifname \"{}\" drop", port(host)));
    }

    /// What is sent to a host is dropped; the others still hear it.
    pub fn deafen(&self, host: u16) {
        self.nft(&format!("add rule bridge trial forward oifname \"{}\" drop", port(host)));
    }

    /// So many packets of a hundred are lost, whoever sends them.
    pub fn lose(&self, percent: u16) {
        self.nft(&format!("add rule bridge trial forward numgen random mod 100 < {percent} drop"));
    }

    /// Nothing is dropped any more.
    pub fn heal(&self) {
        self.nft("flush chain bridge trial forward");
    }

    // ---- names ----

    /// The home of a host; no other host may read it.
    #[must_use]
    pub fn home(&self, host: u16) -> PathBuf {
        self.trial.beside(&format!("host-{host}"))
    }

    /// Where a host listens.
    #[must_use]
    pub fn endpoint(&self, host: u16) -> String {
        format!("{}:{PORT}", address(host))
    }

    fn mark(&self, host: u16) -> String {
        format!("{}-h{host}", self.trial.mark())
    }

    /// What `nsenter` must be told to run something on a host.
    #[must_use]
    pub fn enter(&self, host: u16) -> String {
        format!("--net=/run/netns/{}", self.space(host))
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn space(&self, host: u16) -> String {
        format!("{}-h{host}", self.prefix)
    }

    fn nft(&self, rules: &str) {
        let space = format!("--net=/run/netns/{}", self.switch());
        run("nsenter", &[&space, "nft", rules]);
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for &host in &self.hosts {
            self.thaw(host);
            self.kill(host);
        }
        let spaces = self.hosts.iter().map(|&host| self.space(host)).chain([self.switch()]);
        for space in spaces {
            let _ = Command::new("ip").args(["netns", "del", &space]).status();
        }
    }
}

fn address(host: u16) -> String {
    format!("10.77.{}.{}", host / 250, host % 250 + 1)
}

/// A host's end on the bridge.
fn port(host: u16) -> String {
    format!("port{host}")
}

#[track_caller]
fn ip(words: &[&str]) {
    run("ip", words);
}

#[track_caller]
fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap_or_else(|why| panic!("{program}: {why}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", words.join(" "));
}
