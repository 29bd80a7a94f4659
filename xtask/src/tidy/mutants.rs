//! Every mutant has its place: what it looks for is in the source, exactly once.

use std::collections::BTreeSet;

use super::{Finding, Rule};
use crate::mutants::table::{self, Mutant};
use crate::tree::Tree;

pub const RULE: Rule = Rule { name: "mutants", holds: "what a mutant changes is in the source, exactly once", check };

const REMEDY: &str =
    "write into `find` what stands there now, or take the mutant out if nothing like it stands there any more";

fn check(tree: &Tree) -> Vec<Finding> {
    let mutants = match table::read(tree) {
        Ok(mutants) => mutants,
        Err(why) => return vec![Finding::at(table::TABLES, why, "a mutant has name, fault, file, find and replace")],
    };
    let mut names = BTreeSet::new();
    mutants.iter().filter_map(|mutant| misplaced(tree, mutant, names.insert(mutant.name.clone()))).collect()
}

fn misplaced(tree: &Tree, mutant: &Mutant, is_new: bool) -> Option<Finding> {
    let Mutant { name, table, file, .. } = mutant;
    if !is_new {
        return Some(Finding::at(table, format!("there is another mutant {name}"), "give it a name of its own"));
    }
    let Some(text) = tree.text(file) else {
        return Some(Finding::at(table, format!("{name}: there is no {file}"), REMEDY));
    };
    mutant.place(text).err().map(|why| Finding::at(table, format!("{name}: in {file}, {why}"), REMEDY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_without_a_place_is_found() {
        let entry = |name: &str, find: &str| {
            format!("[[mutant]]\nname = '{name}'\nfault = 'f'\nfile = 'core/src/a.rs'\nfind = '{find}'\nreplace = ''\n")
        };
        let table = [
            (entry("one", "b();"), 0),
            (entry("one", "c();"), 1),
            (entry("one", "b();") + &entry("one", "b();"), 1),
            ("[[mutant]]\nname = 'one'\n".to_owned(), 1),
        ];
        for (text, findings) in table {
            let tree = Tree::of(&[("core/src/a.rs", "fn a() { b(); }"), ("mutants/a.toml", &text)]);
            assert_eq!(check(&tree).len(), findings, "{text}");
        }
    }
}
