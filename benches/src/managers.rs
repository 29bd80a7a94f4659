//! From the loss of the FTM to the first command that is answered again.

use std::time::{Duration, Instant};

use chameleon_system_tests::skip::has;
use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Standing, Trial, eventually};
use rustix::process::Signal;

use crate::figures::{Sample, Table, ms, times};

const TRIALS: usize = 50;
/// A host that was killed is not used again: each trial has a system of its own.
const SYSTEMS: usize = 20;
const CANDIDATES: &[&str] = &["--ftms", "3"];
/// A reign or a process that lived shorter than this is followed by a pause, as if it would die at once again.
const STEADY: Duration = Duration::from_millis(1_200);
/// How long anything may take before the measurement is given up.
const WITHIN: Duration = Duration::from_secs(60);

pub fn measure() -> Table {
    let mut table = Table::new(
        &["what is killed", "p50", "p99", "longest", "times", "times the floor, p50"],
        "From just before the kill to the end of a command that begins right behind it and asks the FTM, so that it is \
         answered by the next one; the floor is that command while nothing is killed. The etcd has three members on this \
         machine, of which none is killed. Each trial begins when the FTM has lived for 1.2 s. Promised: p99 at most 1 s where a process is killed.",
    );
    let trial = Trial::new();
    let system = trial.stand(1);
    let floor = Sample::of(TRIALS, || drop(system.command(&["ps"]).run().exits(0)));
    let mut row = |what: &str, sample: &Sample| {
        let cells = [sample.median(), sample.quantile(0.99), sample.quantile(1.0)].map(ms);
        let ratio = times(sample.median(), floor.median());
        table.row(std::iter::once(what.to_owned()).chain(cells).chain([sample.len().to_string(), ratio]));
    };
    row("nothing", &floor);
    row("the FTM's process; one FTM, its store is a file", &processes(&system));
    system.down();
    if !has(&["etcd"]) {
        return table;
    }
    let trial = Trial::new();
    let system = trial.stand_with(CANDIDATES);
    row("the FTM's process; three candidates", &processes(&system));
    system.down();
    let hosts = (0..SYSTEMS).map(|_| host()).collect();
    row("every process of the FTM's host; three candidates", &hosts);
    table
}

fn processes(system: &Standing<'_>) -> Sample {
    let killed = |_| {
        let ftm = ftm(system);
        let process = eventually("the FTM runs", WITHIN, || ftm.process());
        std::thread::sleep(STEADY);
        let begun = Instant::now();
        process.signal(Signal::KILL).expect("it can be killed");
        answered(system, begun)
    };
    (0..TRIALS).map(killed).collect()
}

/// On a system of its own.
fn host() -> Duration {
    let trial = Trial::new();
    let system = trial.stand_with(CANDIDATES);
    let ftm = ftm(&system);
    std::thread::sleep(STEADY);
    let stopped = system.freeze(&ftm.host);
    let begun = Instant::now();
    stopped.iter().for_each(|process| drop(process.signal(Signal::KILL)));
    let took = answered(&system, begun);
    system.down();
    took
}

fn answered(system: &Standing<'_>, begun: Instant) -> Duration {
    let _ = system.command(&["ps"]).within(WITHIN).run().exits(0);
    begun.elapsed()
}

fn ftm(system: &Standing<'_>) -> Armor {
    let is_up = |armor: &Armor| armor.kind == "ftm" && armor.state == "running";
    eventually("an FTM is listed", WITHIN, || system.armors().into_iter().find(is_up))
}
