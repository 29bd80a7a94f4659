//! What was decided, and why, is written down in records of one form, numbered without gaps.

use super::{Finding, Rule};
use crate::tree::Tree;

const PLACE: &str = "docs/decisions";
const HEADINGS: [&str; 3] = ["## Context", "## Decision", "## Consequences"];

pub const RULE: Rule =
    Rule { name: "decisions", holds: "docs/decisions/NNNN-name.md: context, decision, consequences; no gaps", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (expected, name) in (1..).zip(tree.stems(PLACE).filter(|stem| *stem != "README")) {
        let path = format!("{PLACE}/{name}.md");
        if !name.starts_with(&format!("{expected:04}-")) {
            findings.push(Finding::at(
                &path,
                format!("stands where number {expected:04} must"),
                "number records without gaps",
            ));
        }
        let text = tree.text(&path).unwrap_or_default();
        let missing = HEADINGS.iter().filter(|heading| !text.lines().any(|line| line == **heading));
        findings
            .extend(missing.map(|heading| Finding::at(&path, format!("has no \"{heading}\""), "add it, and fill it")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_number_and_its_three_parts() {
        let whole = "# A\n\n## Context\n\n## Decision\n\n## Consequences\n";
        let table = [
            (vec![("docs/decisions/0001-a.md", whole), ("docs/decisions/0002-b.md", whole)], 0),
            (vec![("docs/decisions/0001-a.md", whole), ("docs/decisions/0003-b.md", whole)], 1),
            (vec![("docs/decisions/0001-a.md", "# A\n\n## Context\n")], 2),
        ];
        for (files, findings) in table {
            assert_eq!(check(&Tree::of(&files)).len(), findings, "{files:?}");
        }
    }
}
