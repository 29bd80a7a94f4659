//! `core/clippy.toml` bans what is impure where the compiler sees it, each with its reason.

use super::{Finding, Rule};
use crate::tree::Tree;

const FILE: &str = "core/clippy.toml";
/// What must be among the banned.
const MUST_BE_BANNED: [&str; 6] = [
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::thread::spawn",
    "std::fs::read",
];

pub const RULE: Rule = Rule {
    name: "clippy.toml",
    holds: "core/clippy.toml bans clocks, threads, files and hash order with reasons",
    check,
};

fn check(tree: &Tree) -> Vec<Finding> {
    let text = tree.text(FILE).unwrap_or_default();
    let missing = MUST_BE_BANNED.iter().filter(|path| !text.contains(&format!("path = \"{path}\"")));
    let missing = missing.map(|path| Finding::at(FILE, format!("{path} is not banned"), "ban it, and say why"));
    let entries = text.lines().enumerate().filter(|(_, line)| line.contains("path = "));
    let unreasoned = entries.filter(|(_, line)| !line.contains("reason = ")).map(|(number, _)| {
        Finding::at_line(FILE, number, "banned without a reason", "add reason = \"…\": what to do instead, and why")
    });
    missing.chain(unreasoned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ban_must_be_there_and_say_why() {
        let entry = |path: &&str| format!("  {{ path = \"{path}\", reason = \"because\" }},\n");
        let all: String = MUST_BE_BANNED.iter().map(entry).collect();
        assert_eq!(check(&Tree::of(&[(FILE, &all)])), []);
        let unreasoned = format!("{all}  {{ path = \"std::fs::write\" }},\n");
        assert_eq!(check(&Tree::of(&[(FILE, &unreasoned)])).len(), 1);
        assert_eq!(check(&Tree::default()).len(), MUST_BE_BANNED.len());
    }
}
