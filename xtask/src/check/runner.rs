//! Runs tests, and reads from what the runner prints how many there were.
//!
//! cargo-nextest where it is installed, else `cargo test`: both know `passed` and `failed` only. A
//! test that cannot run on this machine prints `skipped: WHY` and returns; here it counts as skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::tally::Tally;
use super::{cargo, listen};
use crate::failure::Failure;

/// What a test prints that cannot run here.
const SKIPPED: &str = "skipped: ";

/// All tests but those in documentation.
///
/// # Errors
/// cargo cannot be started.
pub fn tests(tally: &mut Tally) -> Result<(), Failure> {
    if has_nextest() {
        run(tally, "cargo nextest", cargo(&NEXTEST))
    } else {
        let targets = ["--lib", "--bins", "--tests", "--", "--show-output"];
        let words = [&["test", "--workspace", "--locked", "--no-fail-fast"], &targets[..]].concat();
        run(tally, "cargo test", cargo(&words))
    }
}

/// The tests of this filter once more, with this in their environment.
///
/// # Errors
/// cargo cannot be started.
pub fn again(tally: &mut Tally, filter: &str, (variable, value): (&str, &str)) -> Result<(), Failure> {
    if !has_nextest() {
        tally.skip(&format!("tests with {variable}={value}: cargo-nextest is not installed"));
        return Ok(());
    }
    let mut command = cargo(&[&NEXTEST[..], &["-E", filter]].concat());
    command.env(variable, value);
    run(tally, &format!("cargo nextest with {variable}={value}"), command)
}

const NEXTEST: [&str; 9] = [
    "nextest",
    "run",
    "--workspace",
    "--locked",
    "--no-fail-fast",
    "--success-output",
    "immediate",
    "--color",
    "never",
];

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The examples in doc comments.
///
/// # Errors
/// cargo cannot be started.
pub fn doc_tests(tally: &mut Tally) -> Result<(), Failure> {
    run(tally, "cargo test --doc", cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--doc"]))
}

fn run(tally: &mut Tally, name: &str, mut command: Command) -> Result<(), Failure> {
    // A check only looks: what differs from a recorded text is a failure and no new record.
    command.env("INSTA_UPDATE", "no").env("RUST_BACKTRACE", "1");
    let mut heard = Heard::default();
    let status = listen(command, |line| {
        if heard.line(line) {
            println!("{line}");
        }
    })?;
    heard.conclude(tally, name, status.success());
    Ok(())
}

/// What a runner has printed so far.
#[derive(Debug, Default)]
struct Heard {
    passed: usize,
    failed: usize,
    failures: BTreeSet<String>,
    /// Each with its reason, by test.
    skipped: BTreeMap<String, String>,
    /// The test whose output this is.
    test: String,
    /// It passed: what it printed interests nobody.
    quiet: bool,
}

impl Heard {
    /// Takes in one line; `false` if it need not be shown.
    fn line(&mut self, line: &str) -> bool {
        let text = line.trim();
        if let Some(why) = text.strip_prefix(SKIPPED) {
            self.skipped.insert(self.test.clone(), why.to_owned());
            return true;
        }
        if let Some((status, test)) = nextest_status(text) {
            self.test = test.to_owned();
            self.quiet = status == "PASS";
            if status.ends_with("PASS") || status.starts_with("FLAKY") {
                // One of the tries that .config/nextest.toml grants it passed: shown as flaky, and no failure.
                self.failures.remove(test);
            } else if !["SLOW", "LEAK", "TERMINATING"].contains(&status) {
                self.failures.insert(test.to_owned());
            }
            return true;
        }
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.split(" stdout ").next()) {
            self.test = test.to_owned();
        } else if line.starts_with("test ") && line.ends_with(" ... FAILED") {
            self.failures.insert(line[5..line.len() - 11].to_owned());
        }
        match text {
            "successes:" => self.quiet = true,
            "failures:" => self.quiet = false,
            _ => self.count(line),
        }
        !self.quiet
    }

    /// Reads a line that sums up. nextest indents what a test prints, its libtest's own sum included.
    fn count(&mut self, line: &str) {
        let before = |word: &str| {
            let (left, _) = line.split_once(word)?;
            left.trim_end().rsplit([' ', ',', ';']).next()?.parse::<usize>().ok()
        };
        if line.starts_with("test result:") {
            self.passed += before(" passed").unwrap_or(0);
            self.failed += before(" failed").unwrap_or(0);
            self.quiet = false;
        } else if line.trim_start().starts_with("Summary [") {
            let (run, passed) = (before(" test").unwrap_or(0), before(" passed").unwrap_or(0));
            self.passed = passed;
            self.failed = run.saturating_sub(passed);
            self.quiet = false;
        }
    }

    fn conclude(self, tally: &mut Tally, name: &str, success: bool) {
        tally.pass(self.passed.saturating_sub(self.skipped.len()));
        self.skipped.iter().for_each(|(test, why)| tally.skip(&format!("{test}: {why}")));
        self.failures.iter().for_each(|test| tally.fail(test));
        let unnamed = self.failed.saturating_sub(self.failures.len());
        (0..unnamed).for_each(|_| tally.fail(&format!("{name}: a test (see above)")));
        if !success && self.failed == 0 && self.failures.is_empty() {
            tally.fail(name);
        }
    }
}

/// `PASS [   0.003s] (1/9) crate::binary name` is its word and its test.
fn nextest_status(text: &str) -> Option<(&str, &str)> {
    let (status, rest) = text.split_once(" [")?;
    let (time, test) = rest.split_once("s] ")?;
    let is_status = status.chars().all(|letter| letter.is_ascii_uppercase() || " -/0123456789".contains(letter));
    let is_time = time.trim().trim_start_matches('>').parse::<f64>().is_ok();
    let test =
        test.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(") ")).map_or(test, |(_, test)| test);
    (is_status && is_time).then(|| (status, test.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing(printed: &str, success: bool) -> (String, Vec<String>) {
        let (mut heard, mut tally) = (Heard::default(), Tally::default());
        let shown = printed.lines().filter(|line| heard.line(line)).map(str::to_owned).collect();
        heard.conclude(&mut tally, "the runner", success);
        (tally.to_string(), shown)
    }

    #[test]
    fn what_nextest_prints_is_counted() {
        let printed = "    Starting 3 tests across 4 binaries
        PASS [   0.008s] (1/3) chameleon-core vote::tests::a
  stdout ───

    running 1 test
    test vote::tests::a ... ok

    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 40 filtered out; finished in 0.00s

        PASS [   0.018s] (2/3) chameleon::slot b
  stderr ───
    skipped: no user namespaces here
        SLOW [> 60.000s] (───) chameleon::slot c
     SIGKILL [  61.000s] (3/3) chameleon::slot c
  stderr ───
    panicked
────────────
     Summary [  61.019s] 3 tests run: 2 passed, 1 failed, 50 skipped
     SIGKILL [  61.000s] (3/3) chameleon::slot c
";
        let (closing, shown) = closing(printed, false);
        let expected = "skipped: chameleon::slot b: no user namespaces here\nfailed: chameleon::slot c\n1 passed, 1 failed, 1 skipped\n";
        assert_eq!(closing, expected);
        assert!(shown.iter().any(|line| line.contains("panicked")), "{shown:?}");
        assert!(!shown.iter().any(|line| line.contains("running 1 test")), "{shown:?}");
    }

    #[test]
    fn a_test_that_passes_on_a_later_try_is_no_failure() {
        let printed = "  TRY 1 FAIL [   0.3s] (───────) chameleon-system-tests::standing a
  TRY 2 PASS [   0.2s] (1/1) chameleon-system-tests::standing a
     Summary [   0.5s] 1 test run: 1 passed (1 flaky), 0 skipped
   FLAKY 2/3 [   0.2s] (1/1) chameleon-system-tests::standing a
";
        assert_eq!(closing(printed, true).0, "1 passed, 0 failed, 0 skipped\n");
    }

    #[test]
    fn what_cargo_test_prints_is_counted() {
        let printed = "running 3 tests
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- b stdout ----
skipped: no sqlite3 here
chatter

failures:

---- c stdout ----
panicked

failures:
    c

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let (closing, shown) = closing(printed, false);
        assert_eq!(closing, "skipped: b: no sqlite3 here\nfailed: c\n5 passed, 1 failed, 1 skipped\n");
        assert!(!shown.iter().any(|line| line.contains("chatter")), "{shown:?}");
    }

    #[test]
    fn a_runner_that_could_not_even_build_is_a_failure() {
        assert_eq!(
            closing("error: could not compile\n", false).0,
            "failed: the runner\n0 passed, 1 failed, 0 skipped\n"
        );
        assert_eq!(closing("", true).0, "0 passed, 0 failed, 0 skipped\n");
    }
}
