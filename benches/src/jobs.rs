//! Jobs of one task a second: what a job costs beside its program.

use std::time::{Duration, Instant};

use chameleon_system_tests::Trial;

use crate::figures::{Table, percent};
use crate::tasks::bare;

const JOBS: u64 = 60;

pub fn measure() -> Table {
    let mut table = Table::new(
        &["jobs of one `/bin/true`, standing system", "jobs a second", "of the floor", "floor"],
        "Every job is on disk before it is accepted, and its end before it is told. The floor starts and waits for \
         the command `chameleon --version` as often, since every job is handed in by a command of its own.",
    );
    let trial = Trial::new();
    let command = chameleon_system_tests::binary::chameleon().display().to_string();
    let begin = Instant::now();
    bare(&[&command, "--version"], JOBS);
    let floor = rate(begin.elapsed());
    let system = trial.stand(1);
    for strategy in ["single", "tmr"] {
        for side_by_side in [1, 4] {
            let begin = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..side_by_side {
                    scope.spawn(|| {
                        for _ in 0..JOBS / side_by_side {
                            let words = format!("--strategy {strategy} --files none -- /bin/true");
                            let _ = trial.run(&words).within(Duration::from_secs(60)).run().exits(0);
                        }
                    });
                }
            });
            let ours = rate(begin.elapsed());
            let what = format!("`{strategy}`, {side_by_side} at a time");
            table.row([what, format!("{ours:.1}/s"), percent(ours, floor), format!("{floor:.0}/s")]);
        }
    }
    system.down();
    table
}

fn rate(took: Duration) -> f64 {
    JOBS as f64 / took.as_secs_f64()
}
