//! Ten thousand times `/bin/true` in one job, beside a bare loop that keeps two running.

use std::process::{Command, Stdio};
use std::time::Duration;

use chameleon_system_tests::{Standing, Trial};
use rustix::process::WaitOptions;

use crate::figures::{Sample, Table, percent};

const RUNS: usize = 3;

/// How many tasks: `CHAMELEON_TASKS`, else ten thousand.
fn tasks() -> u64 {
    std::env::var("CHAMELEON_TASKS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

/// A way to run the tasks, and how many executions it makes of each.
struct Way {
    what: String,
    lanes: f64,
    job: String,
    took: Sample,
    /// Of the floor that was taken just before.
    parts: Vec<f64>,
}

pub fn measure() -> Table {
    let tasks = tasks();
    let mut table = Table::new(
        &["tasks a second", "median of 3", "of its floor", "floor"],
        "The floor of `single` is a bare `posix_spawn` loop that keeps two running, that of `tmr` a third of it. All are taken \
         in turn, three times; the part is the median of the three turns. Promised: at least 85 % and 80 %.",
    );
    let (mut floor, mut xargs, mut parts_of_xargs) = (Sample::default(), Sample::default(), Vec::new());
    let mut ways = ways(tasks);
    let trial = Trial::new();
    let system = trial.stand(1);
    for _ in 0..RUNS {
        let bare = Sample::of(1, || bare(&["/bin/true"], tasks)).median();
        floor.push(bare);
        let part = |took: Duration, lanes: f64| bare.as_secs_f64() * lanes / took.as_secs_f64();
        let took = Sample::of(1, || by_xargs(tasks)).median();
        xargs.push(took);
        parts_of_xargs.push(part(took, 1.0));
        for way in &mut ways {
            let took = Sample::of(1, || run(&system, &way.job)).median();
            way.took.push(took);
            way.parts.push(part(took, way.lanes));
        }
    }
    system.down();
    let per_second = |rate: f64| format!("{rate:.0}/s");
    let floor = floor.rate(tasks);
    table.row(["`posix_spawn` loop, 2 at a time".to_owned(), per_second(floor), "100 %".into(), String::new()]);
    let of_floor = percent(middle(&parts_of_xargs), 1.0);
    table.row(["`xargs -P2 -n1`".to_owned(), per_second(xargs.rate(tasks)), of_floor, per_second(floor)]);
    for Way { what, lanes, took, parts, .. } in ways {
        table.row([what, per_second(took.rate(tasks)), percent(middle(&parts), 1.0), per_second(floor / lanes)]);
    }
    table
}

fn ways(tasks: u64) -> Vec<Way> {
    let strategies = [("single", 1.0), ("tmr", 3.0)];
    let way = |(strategy, lanes): (&str, f64), files: &str| Way {
        what: format!("`{strategy}`, files `{files}`"),
        lanes,
        job: job(strategy, files, &["/bin/true", "{task}"], tasks),
        took: Sample::default(),
        parts: Vec::new(),
    };
    strategies.into_iter().flat_map(|strategy| ["none", "overlay"].map(|files| way(strategy, files))).collect()
}

fn middle(parts: &[f64]) -> f64 {
    let mut sorted = parts.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A job file of one stage.
pub fn job(strategy: &str, files: &str, command: &[&str], tasks: u64) -> String {
    format!(
        "[job]\nname = \"bench\"\nstrategy = \"{strategy}\"\n[[stage]]\nname = \"s\"\ncommand = {command:?}\n\
         tasks = \"0..{tasks}\"\nfiles = \"{files}\"\n"
    )
}

/// Runs a job to its end in the standing system.
pub fn run(system: &Standing<'_>, job: &str) {
    let file = system.job_file(job);
    let _ = system.command(&["run"]).args([file]).within(Duration::from_secs(600)).run().exits(0);
}

/// The bare loop: two run at any time, `{task}` stands for the number.
pub fn bare(command: &[&str], tasks: u64) {
    let start = |task: u64| {
        let words: Vec<String> = command.iter().map(|word| word.replace("{task}", &task.to_string())).collect();
        let started = Command::new(&words[0]).args(&words[1..]).stdout(Stdio::null()).spawn();
        // Waited for below, whichever ends first.
        std::mem::forget(started.expect("the program starts"));
    };
    let mut started = 0;
    for ended in 0..tasks {
        while started < tasks && started < ended + 2 {
            start(started);
            started += 1;
        }
        rustix::process::wait(WaitOptions::empty()).expect("a child to wait for");
    }
}

fn by_xargs(tasks: u64) {
    let script = format!("seq {tasks} | xargs -P2 -n1 /bin/true");
    let status = Command::new("sh").args(["-c", &script]).status();
    assert!(status.is_ok_and(|status| status.success()), "xargs");
}
