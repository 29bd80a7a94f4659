//! A standing system in a trial's home, as a user's commands see it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::launch::{Finished, Launch};
use crate::processes::{self, Process};
use crate::trial::{Trial, eventually};

/// How long a job of a test may take.
const JOB_WITHIN: Duration = Duration::from_secs(90);

/// A system that runs until it is taken down, at the latest when this is dropped.
#[derive(Debug)]
pub struct Standing<'a> {
    trial: &'a Trial,
    is_down: bool,
}

/// A line of `armors --json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armor {
    pub id: String,
    pub kind: String,
    pub host: String,
    pub pid: i32,
    pub incarnation: u64,
    pub state: String,
    pub job: Option<String>,
}

impl Armor {
    fn read(row: &Value) -> Option<Armor> {
        let text = |key: &str| row.get(key)?.as_str().map(str::to_owned);
        Some(Armor {
            id: text("id")?,
            kind: text("kind")?,
            host: text("host")?,
            // It has none while it is being installed.
            pid: row.get("pid")?.as_i64().unwrap_or_default().try_into().ok()?,
            incarnation: row.get("incarnation")?.as_u64()?,
            state: text("state")?,
            job: text("job"),
        })
    }

    /// The lines of a listing.
    #[track_caller]
    #[must_use]
    pub fn list(listing: &Finished) -> Vec<Armor> {
        let rows = listing.json();
        let rows = rows.as_array().unwrap_or_else(|| panic!("no list: {rows}"));
        rows.iter().map(|row| Armor::read(row).unwrap_or_else(|| panic!("keys are missing: {row}"))).collect()
    }

    /// Its process, if it runs.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        Process::of(self.pid)
    }
}

impl<'a> Standing<'a> {
    #[track_caller]
    pub(crate) fn start(trial: &'a Trial, flags: &[&str]) -> Standing<'a> {
        let _ = trial.chameleon(["dev", "--detach"]).args(flags).run().exits(0);
        Standing { trial, is_down: false }
    }

    /// `chameleon` with these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Launch {
        self.trial.chameleon(arguments)
    }

    /// What a listing says, as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.command(arguments).args(["--json"]).run().exits(0).json()
    }

    /// All ARMORs that are not retired.
    #[track_caller]
    #[must_use]
    pub fn armors(&self) -> Vec<Armor> {
        Armor::list(&self.command(&["armors", "--json"]).run().exits(0))
    }

    /// Writes a job file beside the run directory.
    #[must_use]
    pub fn job_file(&self, text: &str) -> PathBuf {
        self.trial.job_file(text)
    }

    /// Submits a job and returns its id.
    #[track_caller]
    #[must_use]
    pub fn submit(&self, text: &str) -> String {
        let file = self.job_file(text);
        let finished = self.command(&["submit"]).args([file]).run().exits(0);
        finished.out().trim().to_owned()
    }

    /// Submits a job and waits for its end.
    #[track_caller]
    #[must_use]
    pub fn submit_and_wait(&self, text: &str) -> Finished {
        let file = self.job_file(text);
        self.command(&["submit", "--wait"]).args([file]).within(JOB_WITHIN).run()
    }

    /// How a job stands, a row of `ps --all --json`.
    #[track_caller]
    #[must_use]
    pub fn job(&self, id: &str) -> Value {
        let rows = self.json(&["ps", "--all"]);
        let row = rows.as_array().into_iter().flatten().find(|row| row["job"] == id);
        row.unwrap_or_else(|| panic!("{id} is not listed: {rows}")).clone()
    }

    /// Waits for the end of a job; its row.
    #[track_caller]
    #[must_use]
    pub fn await_end(&self, id: &str) -> Value {
        eventually(&format!("{id} ends"), JOB_WITHIN, || Some(self.job(id)).filter(|row| !row["exit_code"].is_null()))
    }

    /// Stops every process of a host: its daemon, its ARMORs and what descends from them.
    pub fn freeze(&self, host: &str) -> Vec<Process> {
        let roots = self.roots(host);
        eventually(&format!("every process of {host} is stopped"), Duration::from_secs(10), || {
            let all = processes::tree(self.trial.mark(), &roots);
            let running: Vec<&Process> = all.iter().filter(|process| process.state != 'T').collect();
            running.iter().for_each(|process| drop(process.signal(Signal::STOP)));
            running.is_empty().then_some(all)
        })
    }

    /// Kills every process of a host; they are stopped first, so that none can do anything about the death of another.
    pub fn kill(&self, host: &str) {
        self.freeze(host).iter().for_each(|process| drop(process.signal(Signal::KILL)));
    }

    fn roots(&self, host: &str) -> BTreeSet<i32> {
        let here = self.armors().into_iter().filter(|armor| armor.host == host && armor.pid > 0);
        here.map(|armor| armor.pid).collect()
    }

    /// Gives up a system of which all processes were killed.
    pub fn abandon(mut self) {
        self.is_down = true;
    }

    /// Ends the system, which leaves nothing running.
    #[track_caller]
    pub fn down(mut self) {
        self.is_down = true;
        let _ = self.command(&["down"]).run().exits(0);
        self.trial.nothing_runs();
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if !self.is_down {
            let finished = self.command(&["down"]).run();
            if !std::thread::panicking() {
                finished.exits(0);
            }
        }
    }
}
