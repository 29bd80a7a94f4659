//! Hosts as they are on machines of their own: each has a home, and they reach each other by TCP.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::launch::{Finished, Launch};
use crate::trial::{Trial, eventually};

/// How long a host may take to be known to all.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// Any free port of this machine.
const LISTEN: &str = "--listen=127.0.0.1:0";

/// A cluster whose hosts are taken down at the latest when this is dropped.
#[derive(Debug)]
pub struct Cluster<'a> {
    trial: &'a Trial,
    /// Homes of hosts that were started.
    homes: Vec<String>,
}

impl<'a> Cluster<'a> {
    /// A founding host, with these further arguments of `ftm init`.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    #[must_use]
    pub fn found(trial: &'a Trial, arguments: &[&str]) -> Cluster<'a> {
        let cluster = Cluster { trial, homes: vec!["h1".to_owned()] };
        let init = cluster.on("h1", &["ftm", "init", LISTEN, "--detach"]).args(arguments);
        let _ = init.run().exits(0);
        cluster
    }

    /// `chameleon` with these arguments, with the home of this name.
    #[must_use]
    pub fn on(&self, home: &str, arguments: &[&str]) -> Launch {
        self.trial.program(crate::binary::chameleon()).args(arguments).env("CHAMELEON_HOME", self.home(home))
    }

    #[must_use]
    pub fn home(&self, name: &str) -> PathBuf {
        self.trial.beside(&format!("home-{name}"))
    }

    /// Where the founding host is reached.
    ///
    /// # Panics
    /// If it never said so.
    #[must_use]
    pub fn address(&self) -> String {
        std::fs::read_to_string(self.home("h1").join("pki/listen")).expect("it was founded").trim().to_owned()
    }

    /// A token, made on the founding host.
    #[track_caller]
    #[must_use]
    pub fn token(&self, arguments: &[&str]) -> String {
        self.on("h1", &["token", "create"]).args(arguments).run().exits(0).out().trim().to_owned()
    }

    /// Starts a host that joins with this token; how that went.
    #[must_use]
    pub fn try_join(&mut self, home: &str, token: &str) -> Finished {
        let arguments = ["daemon", "--join", &self.address(), "--token", token, "--name", home, LISTEN, "--detach"];
        let finished = self.on(home, &arguments).run();
        if finished.end.code() == 0 {
            self.homes.push(home.to_owned());
        }
        finished
    }

    /// Lets a host of this home join, and waits until the FTM knows it.
    #[track_caller]
    pub fn join(&mut self, home: &str) {
        let token = self.token(&[]);
        let _ = self.try_join(home, &token).exits(0);
        let daemons = self.homes.len();
        eventually(&format!("{home} is known"), KNOWN_WITHIN, || (self.daemons() == daemons).then_some(()));
    }

    /// So many hosts have a daemon that the FTM knows.
    #[track_caller]
    #[must_use]
    pub fn daemons(&self) -> usize {
        let rows = self.json("h1", &["armors"]);
        rows.as_array().into_iter().flatten().filter(|row| row["kind"] == "daemon").count()
    }

    /// What a listing says on the host of this home.
    #[track_caller]
    #[must_use]
    pub fn json(&self, home: &str, arguments: &[&str]) -> Value {
        self.on(home, arguments).args(["--json"]).run().exits(0).json()
    }

    /// Ends all hosts, which leaves nothing running.
    #[track_caller]
    pub fn down(mut self) {
        for home in self.homes.drain(..).rev().collect::<Vec<_>>() {
            let _ = self.on(&home, &["down"]).run().exits(0);
        }
        self.trial.nothing_runs();
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for home in self.homes.drain(..).rev().collect::<Vec<_>>() {
            let _ = self.on(&home, &["down"]).run();
        }
    }
}
