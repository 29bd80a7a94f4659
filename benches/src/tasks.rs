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

pub fn measure() -> Table {
    let tasks = tasks();
    let mut table = Table::new(
        &["tasks a second", "median of 3", "of its floor", "floor"],
        "The floor of `single` is a bare `posix_spawn` loop that keeps two running, that of `tmr` a third of it. \
         Promised: at least 85 % and 80 %.",
    );
    let floor = Sample::of(RUNS, || bare(&["/bin/true"], tasks)).rate(tasks);
    table.row(["`posix_spawn` loop, 2 at a time".to_owned(), format!("{floor:.0}/s"), "100 %".into(), String::new()]);
    let xargs = Sample::of(RUNS, || by_xargs(tasks)).rate(tasks);
    table.row(["`xargs -P2 -n1`".to_owned(), format!("{xargs:.0}/s"), percent(xargs, floor), format!("{floor:.0}/s")]);
    let trial = Trial::new();
    let system = trial.stand(1);
    for (strategy, lanes) in [("single", 1.0), ("tmr", 3.0)] {
        for files in ["none", "overlay"] {
            let job = job(strategy, files, &["/bin/true", "{task}"], tasks);
            let ours = Sample::of(RUNS, || run(&system, &job)).rate(tasks);
            let floor = floor / lanes;
            let what = format!("`{strategy}`, files `{files}`");
            table.row([what, format!("{ours:.0}/s"), percent(ours, floor), format!("{floor:.0}/s")]);
        }
    }
    system.down();
    table
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
