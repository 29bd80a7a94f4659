//! `chameleon run -- true`, with nothing running and with a standing system.

use std::process::Command;

use chameleon_system_tests::Trial;

use crate::figures::{Sample, Table, ms, times};

const RUNS: usize = 30;

pub fn measure() -> Table {
    let mut table = Table::new(
        &["command", "p50", "p99", "times the floor"],
        "The floor is `sh -c true`. Promised: at most 60 ms with nothing running, at most 12 ms with a standing system.",
    );
    let floor = Sample::of(RUNS, || {
        let status = Command::new("sh").args(["-c", "true"]).status();
        assert!(status.is_ok_and(|status| status.success()), "sh");
    });
    let mut line = |what: &str, sample: &Sample| {
        let cells = [ms(sample.median()), ms(sample.quantile(0.99)), times(sample.median(), floor.median())];
        table.row(std::iter::once(what.to_owned()).chain(cells));
    };
    line("`sh -c true`", &floor);
    let trial = Trial::new();
    let version = Sample::of(RUNS, || drop(trial.chameleon(["--version"]).run().exits(0)));
    line("`chameleon --version`: only to start and to exit", &version);
    for strategy in ["single", "tmr"] {
        let cold = Sample::of(RUNS, || drop(trial.run(&format!("--strategy {strategy} -- true")).run().exits(0)));
        line(&format!("`run --strategy {strategy} -- true`, nothing running"), &cold);
    }
    let system = trial.stand(1);
    for strategy in ["single", "tmr"] {
        let warm = Sample::of(RUNS, || drop(trial.run(&format!("--strategy {strategy} -- true")).run().exits(0)));
        line(&format!("`run --strategy {strategy} -- true`, standing system"), &warm);
    }
    system.down();
    table
}
