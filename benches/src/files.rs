//! What it costs to hold what programs write: overlay, harvest and commit.

use std::fs;
use std::time::Duration;

use chameleon_system_tests::Trial;

use crate::figures::{Sample, Table, ms, percent, times};
use crate::tasks::{bare, job, run};

const RUNS: usize = 5;
const TASKS: u64 = 1_000;

const MANY: &str = "i=0; while [ $i -lt 1000 ]; do echo $i > f$i; i=$((i + 1)); done";
const LARGE: &str = "head -c 104857600 /dev/zero > large";
const CHANGE: &str = "printf x | dd of=old conv=notrunc status=none";

pub fn measure() -> Table {
    let mut table = Table::new(
        &["what is written", "plain", "`single`", "times", "`tmr`", "times"],
        "Ours, with the system standing, holds, digests, compares, and makes the result durable; the plain run does \
         not even sync. In the last row two tasks run at a time, and each starts a shell.",
    );
    for (what, script) in [
        ("nothing", "true"),
        ("1,000 files of one line", MANY),
        ("one file of 100 MiB", LARGE),
        ("one byte of a file of 100 MiB", CHANGE),
    ] {
        let plain = timed(None, script);
        let (single, tmr) = (timed(Some("single"), script), timed(Some("tmr"), script));
        let ratio = |ours: &Sample| times(ours.median(), plain.median());
        let cells = [ms(plain.median()), ms(single.median()), ratio(&single), ms(tmr.median()), ratio(&tmr)];
        table.row(std::iter::once(what.to_owned()).chain(cells));
    }
    tasks_that_write(&mut table);
    table
}

/// A script in a fresh run directory, plain or under a strategy in a standing system.
fn timed(strategy: Option<&str>, script: &str) -> Sample {
    let trial = Trial::new();
    let system = strategy.map(|_| trial.stand(1));
    let mut sample = Sample::default();
    for _ in 0..RUNS {
        fs::remove_dir_all(trial.directory()).expect("the run directory can be removed");
        fs::create_dir(trial.directory()).expect("a directory");
        trial.write("old", vec![0; 100 << 20]);
        let launch = match strategy {
            Some(strategy) => trial.run(&format!("--strategy {strategy} -- sh -c")),
            None => trial.program("sh").args(["-c"]),
        };
        sample.push(launch.args([script]).within(Duration::from_secs(120)).run().exits(0).took);
    }
    if let Some(system) = system {
        system.down();
    }
    sample
}

fn tasks_that_write(table: &mut Table) {
    let script = "echo {task} > f{task}";
    let trial = Trial::new();
    let directory = trial.directory();
    let plain = Sample::of(3, || bare(&["sh", "-c", &format!("cd {}; {script}", directory.display())], TASKS));
    let system = trial.stand(1);
    let mut rates = vec![("tasks that write a file each".to_owned(), plain.rate(TASKS))];
    for strategy in ["single", "tmr"] {
        let text = job(strategy, "overlay", &["sh", "-c", script], TASKS);
        rates.push((strategy.to_owned(), Sample::of(3, || run(&system, &text)).rate(TASKS)));
    }
    system.down();
    let rate = |at: usize| format!("{:.0}/s", rates[at].1);
    let ratio = |at: usize| percent(rates[at].1, rates[0].1);
    table.row([rates[0].0.clone(), rate(0), rate(1), ratio(1), rate(2), ratio(2)]);
}
