//! The rules of the house that no compiler knows: one rule a file, one line in the table.
//!
//! A rule looks at the source as a value and says what is not as it must be, where, and what to do
//! about it.

mod clippy_reasons;
mod crates;
mod decisions;
mod failures;
mod imports;
mod length;
mod links;
mod mutants;
mod names;
mod paths;
mod protocol;
mod purity;
mod readme;
mod source;
mod strategies;
mod stubs;
mod unsafety;

use std::fmt;

use crate::failure::{Failure, only};
use crate::tree::Tree;

/// A rule.
pub struct Rule {
    pub name: &'static str,
    /// What must hold.
    pub holds: &'static str,
    pub check: fn(&Tree) -> Vec<Finding>,
}

/// Every rule there is.
pub const RULES: &[Rule] = &[
    length::FILES,
    length::FUNCTIONS,
    names::RULE,
    purity::RULE,
    clippy_reasons::RULE,
    imports::RULE,
    crates::RULE,
    unsafety::RULE,
    stubs::RULE,
    paths::RULE,
    protocol::RULE,
    failures::RULE,
    strategies::RULE,
    decisions::RULE,
    links::RULE,
    mutants::RULE,
    readme::RULE,
];

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A path, with the line where there is one: `core/src/names.rs:12`.
    pub place: String,
    pub what: String,
    pub remedy: String,
}

impl Finding {
    pub fn at(path: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { place: path.to_owned(), what: what.into(), remedy: remedy.into() }
    }

    /// `line` counts from 0, as iterators do.
    pub fn at_line(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { place: format!("{path}:{}", line + 1), what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    remedy: {}", self.place, self.what, self.remedy)
    }
}

/// `cargo xtask tidy`.
///
/// # Errors
/// The source cannot be read, or a rule is broken.
pub fn run(words: &[String]) -> Result<(), Failure> {
    only(words, &[], "nothing behind tidy")?;
    let broken = report(&Tree::read()?);
    match broken.len() {
        0 => Ok(()),
        count => Err(Failure::NotAsItMustBe(format!("{count} of {} rules are broken", RULES.len()))),
    }
}

/// Prints what every rule finds; the names of the rules that are broken.
#[must_use]
pub fn report(tree: &Tree) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for rule in RULES {
        let findings = (rule.check)(tree);
        if !findings.is_empty() {
            println!("tidy {}: {}", rule.name, rule.holds);
            broken.push(rule.name);
        }
        findings.iter().for_each(|finding| println!("  {finding}"));
    }
    broken
}
