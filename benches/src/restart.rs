//! From the death of a program to the first instruction of the next: ours, and a bare loop.
//!
//! The program is this one: it says the time on a FIFO when it begins and again just before it kills
//! itself, so that both are measured from inside.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use chameleon_system_tests::Trial;
use chameleon_system_tests::chaos::Counter;
use rustix::process::{Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::figures::{Sample, Table, ms, times};

/// The word that makes this program the one that dies.
pub const PROBE: &str = "probe";
const DEATHS: usize = 200;

/// Never restarted less than often enough, and at once.
const STRATEGY: &str = "about = \"restarts at once\"\nreplicas = 1\n[restart]\nlimit = 220\nbackoff = \"0ms\"\n";

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Says when it began and when it ended, and dies.
pub fn probe(arguments: &[String]) -> ExitCode {
    let began = now();
    let Some(path) = arguments.first() else { return ExitCode::FAILURE };
    let Ok(mut fifo) = OpenOptions::new().write(true).open(path) else { return ExitCode::FAILURE };
    let text = |word: &str, at: Duration| format!("{:020} {word}\n", at.as_nanos());
    let _ = fifo.write_all(text("begins", began).as_bytes());
    let _ = fifo.write_all(text("dies", now()).as_bytes());
    let _ = kill_process(rustix::process::getpid(), Signal::KILL);
    ExitCode::FAILURE
}

pub fn measure() -> Table {
    let mut table = Table::new(
        &["killed → first instruction of the next", "p50", "p99", "times the floor, p50", "deaths"],
        "The floor is a loop that spawns the same program and waits for it. Promised: p50 at most 1.5 times the \
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

fn this_program() -> String {
    std::env::current_exe().expect("a running program has a path").display().to_string()
}

fn bare() -> Sample {
    let trial = Trial::new();
    let mut counter = Counter::new(&trial.beside("fifo"));
    for _ in 0..DEATHS {
        let status = Command::new(this_program()).arg(PROBE).arg(counter.path()).status();
        assert!(status.is_ok_and(|status| !status.success()), "the program dies");
    }
    gaps(&mut counter)
}

fn restarted(files: &str) -> Sample {
    let trial = Trial::new();
    trial.write("often.toml", STRATEGY);
    // A FIFO outside the run directory is the same in all views.
    let mut counter = Counter::new(&trial.beside("fifo"));
    let run = trial.run("--strategy often.toml --files").args([files, "--", &this_program(), PROBE]);
    let _ = run.args([counter.path() as &Path]).within(Duration::from_secs(120)).run();
    gaps(&mut counter)
}

/// From each death to the beginning after it.
fn gaps(counter: &mut Counter) -> Sample {
    let lines: Vec<(u64, bool)> = counter
        .lines()
        .keys()
        .filter_map(|line| line.split_once(' ').and_then(|(at, word)| Some((at.parse().ok()?, word == "begins"))))
        .collect();
    let pairs = lines.windows(2).filter(|pair| !pair[0].1 && pair[1].1);
    pairs.map(|pair| Duration::from_nanos(pair[1].0.saturating_sub(pair[0].0))).collect()
}
