//! Every failure that is told as a story is in the table of failures, and the other way round.

use std::collections::BTreeSet;

use super::{Finding, Rule};
use crate::tree::Tree;

const PAGE: &str = "docs/failures.md";
const STORIES: &str = "scenarios";

pub const RULE: Rule = Rule {
    name: "failures",
    holds: "docs/failures.md names every scenario, and only files and scenarios that exist",
    check,
};

fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else {
        let remedy = "write the table: what dies | who notices | who recovers | file | scenario";
        return vec![Finding::at(PAGE, "is missing", remedy)];
    };
    let told: BTreeSet<&str> = page.lines().filter_map(scenarios).flatten().collect();
    let stories: BTreeSet<&str> = tree.stems(STORIES).filter(|stem| *stem != "README").collect();
    let untold = stories.difference(&told).map(|story| {
        Finding::at(PAGE, format!("does not name the scenario `{story}`"), "add a row for what dies in it")
    });
    let invented = told.difference(&stories).map(|story| {
        let what = format!("names the scenario `{story}`, which is not in {STORIES}/");
        Finding::at(PAGE, what, "write the story, or correct the name")
    });
    let rows = page.lines().enumerate().filter_map(|(number, line)| Some((number, cell(line, 1)?)));
    let moved = rows.flat_map(|(number, cell)| named(cell).map(move |file| (number, file)));
    let moved = moved.filter(|(_, file)| file.contains('/') && !tree.has(file));
    let moved = moved.map(|(number, file)| {
        Finding::at_line(PAGE, number, format!("{file} does not exist"), "name the file that decides now")
    });
    untold.chain(invented).chain(moved).collect()
}

/// The scenarios of a row: what stands in backquotes in its last column.
fn scenarios(line: &str) -> Option<impl Iterator<Item = &str>> {
    Some(named(cell(line, 0)?).map(|name| name.split('.').next().unwrap_or(name)))
}

/// The cell of a row that has so many to its right.
fn cell(line: &str, right: usize) -> Option<&str> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    row.rsplit('|').nth(right)
}

/// What stands in backquotes.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stories_and_table_name_each_other() {
        let page = "| what dies | file | scenario |\n|---|---|---|\n| the `voter` | a.rs | `voter_dies` |\n";
        let table = [
            (vec![(PAGE, page), ("scenarios/voter_dies.txt", ""), ("scenarios/voter_dies.trace", "")], 0),
            (vec![(PAGE, page)], 1),
            (vec![(PAGE, "| a host | `core/src/gone.rs` | — |\n")], 1),
            (vec![(PAGE, page), ("scenarios/voter_dies.txt", ""), ("scenarios/ftm_dies.txt", "")], 1),
            (vec![("scenarios/voter_dies.txt", "")], 1),
        ];
        for (files, findings) in table {
            assert_eq!(check(&Tree::of(&files)).len(), findings, "{files:?}");
        }
    }
}
