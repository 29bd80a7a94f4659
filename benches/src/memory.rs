//! Memory of each process while a job runs: what is resident, and its fair part of what is shared.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use chameleon_system_tests::{Process, Trial, eventually};

use crate::figures::Table;

const JOB: &str =
    "[job]\nname = \"long\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\ncommand = [\"sleep\", \"600\"]\n";

pub fn measure() -> Table {
    let mut table = Table::new(
        &["process", "resident (RSS)", "fair part (PSS)", "how many"],
        "The largest of each kind, after a job of a thousand tasks and while another runs; `sleep` is the floor of any \
         process. Promised: a daemon at most 20 MB, an ARMOR at most 8 MB.",
    );
    let trial = Trial::new();
    let system = trial.stand(1);
    crate::tasks::run(&system, &crate::tasks::job("tmr", "none", &["/bin/true", "{task}"], 1_000));
    let id = system.submit(JOB);
    eventually("three programs run", Duration::from_secs(20), || {
        (trial.processes().iter().filter(|process| process.command == ["sleep", "600"]).count() == 3).then_some(())
    });
    let names: BTreeMap<i32, String> = system.armors().into_iter().map(|armor| (armor.pid, armor.kind)).collect();
    let mut kinds: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for process in trial.processes() {
        if let Some(memory) = memory_of(&process) {
            kinds.entry(kind_of(&process, &names)).or_default().push(memory);
        }
    }
    for (kind, memories) in kinds {
        let most = |of: fn(&(u64, u64)) -> u64| memories.iter().map(of).max().unwrap_or_default();
        let mb = |kib: u64| format!("{:.1} MB", kib as f64 * 1_024.0 / 1e6);
        table.row([kind, mb(most(|memory| memory.0)), mb(most(|memory| memory.1)), memories.len().to_string()]);
    }
    let _ = system.command(&["cancel", &id]).run();
    system.down();
    table
}

fn kind_of(process: &Process, names: &BTreeMap<i32, String>) -> String {
    match (names.get(&process.pid), process.role()) {
        (Some(kind), _) => kind.clone(),
        (None, Some("armor")) => "blank".to_owned(),
        (None, Some(role)) => role.to_owned(),
        (None, None) => process.command.first().cloned().unwrap_or_default(),
    }
}

/// RSS and PSS in KiB.
fn memory_of(process: &Process) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).ok()?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((value("Rss:")?, value("Pss:")?))
}
