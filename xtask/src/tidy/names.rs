//! A file is named after what it is about, and not after being useful.

use super::{Finding, Rule};
use crate::tree::Tree;

const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "types", "misc", "stuff"];

pub const RULE: Rule =
    Rule { name: "names", holds: "no file or directory is called utils, common, helpers, types or misc", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let empty = |path: &&str| path.split('/').any(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part)));
    let remedy = "call it by the one thing that all of its parts are about, or divide it until each part has one";
    let paths = tree.files("", "").map(|(path, _)| path);
    paths.filter(empty).map(|path| Finding::at(path, "the name says nothing", remedy)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found_wherever_they_stand() {
        let tree = Tree::of(&[("node/src/utils.rs", ""), ("cli/tests/common/mod.rs", ""), ("core/src/names.rs", "")]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["cli/tests/common/mod.rs", "node/src/utils.rs"]);
    }
}
