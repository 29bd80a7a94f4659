//! From the death of a program to the first instruction of the next: ours, and a bare loop.
//!
//! The program is this one: it says the time on a FIFO when it begins and again just before it kills
//! itself, so that both are measured from inside.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, ExitCode};
use std::time::Duration;

use chameleon_system_tests::Trial;
use chameleon_system_tests::chaos::Counter;
use rustix::process::{Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::figures::{Sample, Table, ms, times};
use crate::tasks::job;

/// The word that makes this program the one that dies.
pub const PROBE: &str = "probe";
/// Tasks, each of which dies, is restarted once, and dies again.
const TASKS: u64 = 200;

const STRATEGY: &str = "about = \"restarts once\"\nreplicas = 1\n[restart]\nlimit = 1\nbackoff = \"0ms\"\n";

/// Time on a clock that all programs of this machine share.
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Says when it began and when it ended, each with the number of its task, and dies.
pub fn probe(arguments: &[String]) -> ExitCode {
    let began = now();
    let [path, task] = arguments else { return ExitCode::FAILURE };
    let Ok(mut fifo) = OpenOptions::new().write(true).open(path) else { return ExitCode::FAILURE };
    let text = |word: &str, at: Duration| format!("{task} {:020} {word}\n", at.as_nanos());
    let _ = fifo.write_all(text("begins", began).as_bytes());
    let _ = fifo.write_all(text("dies", now()).as_bytes());
    let _ = kill_process(rustix::process::getpid(), Signal::KILL);
    ExitCode::FAILURE
}

pub fn measure() -> Table {
    let mut table = Table::new(
        &["killed → first instruction of the next", "p50", "p99", "times the floor, p50", "deaths"],
        "Two at a time. The floor is a loop that spawns the same program and waits for it. Promised: p50 at most 1.5 times the \
         floor, p99 at most 10 ms.",
    );
    let floor = bare();
    let line = |what: &str, sample: &Sample| {
        let (p50, p99) = (ms(sample.median()), ms(sample.quantile(0.99)));
        [what.to_owned(), p50, p99, times(sample.median(), floor.median()), sample.len().to_string()]
    };
    table.row(line("bare spawn-and-wait loop", &floor));
    for files in ["none", "overlay"] {
        table.row(line(&format!("a lane, files `{files}`"), &restarted(files)));
    }
    table
}

pub fn this_program() -> String {
    std::env::current_exe().expect("a running program has a path").display().to_string()
}

fn bare() -> Sample {
    let trial = Trial::new();
    let mut counter = Counter::new(&trial.beside("fifo"));
    let path = counter.path().to_owned();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let path = &path;
            scope.spawn(move || {
                for death in (half..TASKS * 2).step_by(2) {
                    let task = (death / 4 * 2 + half).to_string();
                    let status = Command::new(this_program()).arg(PROBE).arg(path).arg(task).status();
                    assert!(status.is_ok_and(|status| !status.success()), "the program dies");
                }
            });
        }
    });
    gaps(&mut counter)
}

fn restarted(files: &str) -> Sample {
    let trial = Trial::new();
    std::fs::write(trial.beside("once.toml"), STRATEGY).expect("a file can be written");
    // A FIFO outside the run directory is the same in all views.
    let mut counter = Counter::new(&trial.beside("fifo"));
    let fifo = counter.path().display().to_string();
    let text = job("once.toml", files, &[&this_program(), PROBE, &fifo, "{task}"], TASKS);
    std::fs::write(trial.beside("job.toml"), text).expect("a file can be written");
    let _ = trial.chameleon(["run"]).args([trial.beside("job.toml")]).within(Duration::from_secs(120)).run();
    gaps(&mut counter)
}

/// From the first death of each task to its second beginning.
fn gaps(counter: &mut Counter) -> Sample {
    let mut of_task: BTreeMap<u64, Vec<(u64, bool)>> = BTreeMap::new();
    for line in counter.lines().keys() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [task, at, word] = words[..]
            && let (Ok(task), Ok(at)) = (task.parse(), at.parse())
        {
            of_task.entry(task).or_default().push((at, word == "begins"));
        }
    }
    let gap = |mut moments: Vec<(u64, bool)>| {
        moments.sort_unstable();
        let died = moments.iter().find(|(_, begins)| !begins)?.0;
        let again = moments.iter().find(|(at, begins)| *begins && *at > died)?.0;
        Some(Duration::from_nanos(again - died))
    };
    of_task.into_values().filter_map(gap).collect()
}
