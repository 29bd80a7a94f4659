//! Who may depend on whom among the crates, and that all of them are held to the same lints.

use super::{Finding, Rule};
use crate::tree::Tree;

/// Each crate with the crates of ours that it may depend on, tests included.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("sim", &["core"]),
    ("models", &["core", "sim"]),
    ("etcd", &[]),
    ("node", &["core", "etcd"]),
    ("cli", &["core", "node"]),
    ("system-tests", &["core", "node"]),
    ("benches", &["core", "node", "system-tests"]),
    ("xtask", &["core", "models", "sim"]),
];

/// All that decisions need from others, none of it with a clock, a file or a thread: reading and writing
/// values, sentences about bad ones, digests, signatures; and what tests them.
const CORE_NEEDS: [&str; 9] =
    ["annotate-snippets", "blake3", "ed25519-dalek", "minicbor", "strsim", "thiserror", "toml", "proptest", "insta"];

pub const RULE: Rule = Rule {
    name: "crates",
    holds: "core ← sim and core ← node ← cli; sim and node never meet; core stays light",
    check,
};

fn check(tree: &Tree) -> Vec<Finding> {
    MAY_DEPEND.iter().flat_map(|(name, allowed)| check_crate(tree, name, allowed)).collect()
}

fn check_crate(tree: &Tree, name: &str, allowed: &[&str]) -> Vec<Finding> {
    let path = format!("{name}/Cargo.toml");
    let Some(text) = tree.text(&path) else {
        return vec![Finding::at(&path, "there is no such crate", "take its row out of xtask/src/tidy/crates.rs")];
    };
    let mut findings = Vec::new();
    for (number, dependency) in dependencies(text) {
        let ours = if dependency == "chameleon" { Some("cli") } else { dependency.strip_prefix("chameleon-") };
        if ours.is_some_and(|ours| ours != name && !allowed.contains(&ours)) {
            let remedy = "what both need belongs to core/; what only one needs, to that one";
            findings.push(Finding::at_line(&path, number, format!("{name} depends on {dependency}"), remedy));
        } else if name == "core" && ours.is_none() && !CORE_NEEDS.contains(&dependency) {
            let remedy = "keep it out: heavy parts are crates of their own that nothing in core/ knows";
            findings.push(Finding::at_line(&path, number, format!("core depends on {dependency}"), remedy));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        findings.push(Finding::at(&path, "not held to the lints of the workspace", "add [lints] workspace = true"));
    }
    findings
}

/// The names under every heading that speaks of dependencies, with their lines.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    manifest.lines().enumerate().filter_map(move |(number, line)| {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
            return None;
        }
        let name = line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty() && !name.starts_with('#'));
        name.filter(|_| inside).map(|name| (number, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, dependency: &str) -> usize {
        let text = format!("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n{dependency}\n");
        let (_, allowed) = MAY_DEPEND.iter().find(|(known, _)| *known == name).unwrap();
        check_crate(&Tree::of(&[(&format!("{name}/Cargo.toml"), &text)]), name, allowed).len()
    }

    #[test]
    fn dependencies_are_judged_by_this_table() {
        let table = [
            ("sim", "chameleon-core.workspace = true", 0),
            ("sim", "chameleon-node.workspace = true", 1),
            ("node", "chameleon = { path = \"../cli\" }", 1),
            ("node", "chameleon-sim.workspace = true", 1),
            ("core", "tokio.workspace = true", 1),
            ("core", "minicbor.workspace = true", 0),
            ("node", "tokio.workspace = true", 0),
        ];
        for (name, dependency, findings) in table {
            assert_eq!(found(name, dependency), findings, "{name}: {dependency}");
        }
    }

    #[test]
    fn a_crate_that_escapes_the_lints_is_found() {
        let tree = Tree::of(&[("sim/Cargo.toml", "[package]\nname = \"a\"\n")]);
        assert_eq!(check_crate(&tree, "sim", &["core"]).len(), 1);
    }
}
