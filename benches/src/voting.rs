//! Voting on outputs of 1 GiB, beside BLAKE3 alone and beside the programs alone.

use std::process::{Command, Stdio};
use std::time::Duration;

use chameleon_system_tests::Trial;

use crate::figures::{Sample, Table, ms, times};

const LENGTH: usize = 1 << 30;
const RUNS: usize = 3;

pub fn measure() -> Table {
    let mut table = Table::new(
        &["1 GiB on standard output", "median of 3", "times BLAKE3 of 1 GiB"],
        "BLAKE3 digests memory with one thread; a vote of three lanes digests three times as much, on two cores, and \
         the lanes' programs write it through pipes first. Ours is kept on disk until the job is forgotten, not synced, as \
         are the files of the three programs.",
    );
    let memory = vec![0x5a_u8; 64 << 20];
    let digest = Sample::of(RUNS, || {
        let mut hasher = blake3::Hasher::new();
        for _ in 0..LENGTH / memory.len() {
            hasher.update(&memory);
        }
        assert_ne!(hasher.finalize().as_bytes(), &[0; 32]);
    });
    let mut line = |what: &str, sample: &Sample| {
        table.row([what.to_owned(), ms(sample.median()), times(sample.median(), digest.median())]);
    };
    line("BLAKE3 alone", &digest);
    let script = format!("head -c {LENGTH} /dev/zero");
    let plain = Sample::of(RUNS, || {
        let status = Command::new("sh").args(["-c", &format!("{script} | cat")]).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "the program");
    });
    line("the program alone, through a pipe", &plain);
    let trial = Trial::new();
    let files = Sample::of(RUNS, || {
        let script = format!("for lane in 1 2 3; do {script} | cat > $lane & done; wait; rm 1 2 3");
        let status = Command::new("sh").args(["-c", &script]).current_dir(trial.directory()).status();
        assert!(status.is_ok_and(|status| status.success()), "three programs");
    });
    line("three programs at once, through pipes into files", &files);
    for strategy in ["single", "tmr"] {
        let ours = Sample::of(RUNS, || {
            let run = trial.run(&format!("--strategy {strategy} --files none -- {script}"));
            let _ = run.stdout_to(Stdio::null()).within(Duration::from_secs(300)).run().exits(0);
        });
        line(&format!("`{strategy}`, decided and printed"), &ours);
    }
    table
}
