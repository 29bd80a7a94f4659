//! What was checked, and how it came out. A test that could not run here is skipped, never passed.

use std::fmt;

/// Counts of all steps together.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    /// What failed, each as a person would look for it.
    failed: Vec<String>,
    /// What could not run here, each with the reason.
    skipped: Vec<String>,
}

impl Tally {
    pub fn pass(&mut self, count: usize) {
        self.passed += count;
    }

    pub fn fail(&mut self, what: &str) {
        self.failed.push(what.to_owned());
    }

    pub fn skip(&mut self, what: &str) {
        self.skipped.push(what.to_owned());
    }

    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed.len()
    }
}

/// What failed and what was skipped, one a line, and the closing line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.skipped.iter().try_for_each(|what| writeln!(f, "skipped: {what}"))?;
        self.failed.iter().try_for_each(|what| writeln!(f, "failed: {what}"))?;
        writeln!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_counts_everything_and_names_what_did_not_pass() {
        let mut tally = Tally::default();
        tally.pass(3);
        tally.fail("cargo fmt");
        tally.skip("sums: no sqlite3");
        assert_eq!(tally.to_string(), "skipped: sums: no sqlite3\nfailed: cargo fmt\n3 passed, 1 failed, 1 skipped\n");
    }
}
