//! The deliberate faults of `mutants/` keep up with the source: one whose place is gone would stop them all.

use std::collections::BTreeSet;

use super::{Finding, Rule};
use crate::mutants::table;
use crate::tree::Tree;

pub const RULE: Rule =
    Rule { name: "mutants", holds: "every deliberate fault has a name of its own and its place in the source", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let mutants = match table::read(tree) {
        Ok(mutants) => mutants,
        Err(why) => return vec![Finding::at(table::TABLES, why, "write the table as the others are")],
    };
    let (mut names, mut findings) = (BTreeSet::new(), Vec::new());
    for mutant in &mutants {
        if let Err(why) = mutant.place(tree) {
            let what = format!("{} has no place in {}: {why}", mutant.name, mutant.file);
            findings.push(Finding::at(&mutant.table, what, "write what stands there now"));
        }
        if !names.insert(&mutant.name) {
            let what = format!("{} is the name of two", mutant.name);
            findings.push(Finding::at(&mutant.table, what, "give each a name of its own"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_without_a_place_and_a_name_given_twice_are_found() {
        let mutant = |name: &str, find: &str| {
            format!("[[mutant]]\nname = '{name}'\nfault = 'f'\nfile = 'core/src/a.rs'\nfind = '{find}'\nreplace = ''\n")
        };
        let table = [
            (mutant("one", "a();"), 0),
            (mutant("one", "b();"), 1),
            (mutant("one", "a();") + &mutant("one", "fn"), 1),
            ("name = 'no table'".to_owned(), 1),
        ];
        for (text, findings) in table {
            let tree = Tree::of(&[("mutants/a.toml", &text), ("core/src/a.rs", "fn x() { a(); }")]);
            assert_eq!(check(&tree).len(), findings, "{text}");
        }
    }
}
