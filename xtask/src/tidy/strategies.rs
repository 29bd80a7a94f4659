//! Every strategy of the library is explained.

use super::{Finding, Rule};
use crate::tree::Tree;

const PAGE: &str = "docs/strategies.md";

pub const RULE: Rule =
    Rule { name: "strategies", holds: "docs/strategies.md explains every strategy of the library", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let page = tree.text(PAGE).unwrap_or_default();
    let explained = |name: &str| {
        let (row, heading) = (format!("| `{name}` |"), format!("`{name}`"));
        page.lines().any(|line| line.starts_with(&row) || (line.starts_with('#') && line.contains(&heading)))
    };
    let remedy = "give it a row in the first table: lanes and quorum | masks | does not notice";
    let missing = tree.stems("strategies").filter(|name| !explained(name));
    missing.map(|name| Finding::at(PAGE, format!("does not explain `{name}`"), remedy)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_without_an_explanation_is_found() {
        let page = "| `tmr` | 2 of 3 |\n\n## `dual`\n\nThere is also `nmr`.\n";
        let library = ["strategies/tmr.toml", "strategies/dual.toml", "strategies/nmr.toml"].map(|path| (path, ""));
        let files: Vec<(&str, &str)> = library.into_iter().chain([(PAGE, page)]).collect();
        let findings = check(&Tree::of(&files));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("`nmr`"));
    }
}
