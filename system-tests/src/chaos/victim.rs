//! Finding one process of a kind among those of a trial.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::launch::Started;
use crate::processes::Process;
use crate::random::Random;
use crate::trial::{Trial, ephemeral_remains};

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Program,
    /// The first process of a slot.
    Slot,
    Execution,
    Voter,
    Fanout,
    Surrogate,
    Ftm,
    Daemon,
    /// A process that waits to become an ARMOR.
    Blank,
    /// The `chameleon run` that a person typed.
    Command,
}

impl Victim {
    pub const ALL: [Victim; 10] = [
        Victim::Program,
        Victim::Slot,
        Victim::Execution,
        Victim::Voter,
        Victim::Fanout,
        Victim::Surrogate,
        Victim::Ftm,
        Victim::Daemon,
        Victim::Blank,
        Victim::Command,
    ];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Victim::Program => "program",
            Victim::Slot => "slot",
            Victim::Execution => "execution",
            Victim::Voter => "voter",
            Victim::Fanout => "fanout",
            Victim::Surrogate => "surrogate",
            Victim::Ftm => "ftm",
            Victim::Daemon => "daemon",
            Victim::Blank => "blank",
            Victim::Command => "command",
        }
    }

    /// Whether programs die with it by construction, and run again.
    #[must_use]
    pub fn programs_die_with_it(self) -> bool {
        matches!(self, Victim::Program | Victim::Slot | Victim::Execution)
    }

    /// One of this kind, if one runs now.
    pub(super) fn find(self, trial: &Trial, started: &Started, random: &mut Random) -> Option<Process> {
        let all = trial.processes();
        let of_role = |role: &str| all.iter().filter(|process| process.role() == Some(role)).cloned().collect();
        let found: Vec<Process> = match self {
            Victim::Program => programs(&all),
            Victim::Slot => of_role("slot"),
            Victim::Command => started.process().into_iter().cloned().collect(),
            Victim::Blank => {
                let named: BTreeSet<i32> = armors(trial, started.pid())?.iter().map(|(_, pid)| *pid).collect();
                let unnamed = |process: &Process| process.role() == Some("armor") && !named.contains(&process.pid);
                all.iter().filter(|process| unnamed(process)).cloned().collect()
            }
            Victim::Daemon => of_role("daemon"),
            Victim::Execution | Victim::Voter | Victim::Fanout | Victim::Surrogate | Victim::Ftm => {
                let pids: BTreeSet<i32> = armors(trial, started.pid())?
                    .into_iter()
                    .filter_map(|(kind, pid)| (kind == self.word()).then_some(pid))
                    .collect();
                all.iter().filter(|process| pids.contains(&process.pid)).cloned().collect()
            }
        };
        random.pick(&found).cloned()
    }
}

/// What runs in slots: children of a slot that are no slots, and theirs.
fn programs(all: &[Process]) -> Vec<Process> {
    let mut inside: BTreeSet<i32> =
        all.iter().filter(|process| process.role() == Some("slot")).map(|process| process.pid).collect();
    let mut programs = Vec::new();
    loop {
        let known = inside.len();
        for process in all {
            if inside.contains(&process.parent) && inside.insert(process.pid) {
                programs.push(process.clone());
            }
        }
        if inside.len() == known {
            return programs;
        }
    }
}

/// Kind and pid of the ARMORs of the ephemeral home of a command, if it answers.
fn armors(trial: &Trial, command: i32) -> Option<Vec<(String, i32)>> {
    let homes = ephemeral_remains(command);
    let home = homes.iter().find(|home| home.join("links").is_dir())?;
    let listed = trial.chameleon(["armors", "--json", "--home"]).args([home]).within(Duration::from_secs(40)).run();
    let rows: serde_json::Value = serde_json::from_slice(&listed.stdout).ok()?;
    let row = |row: &serde_json::Value| Some((row["kind"].as_str()?.to_owned(), row["pid"].as_i64()? as i32));
    rows.as_array().map(|rows| rows.iter().filter_map(row).collect())
}
