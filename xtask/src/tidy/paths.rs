//! The source speaks of itself alone: no path of the machine on which somebody wrote it.

use super::{Finding, Rule};
use crate::tree::Tree;

/// How the directories of people and build machines begin.
const HOMES: [&str; 5] = ["/home/", "/root/", "/Users/", "/work/", "/build/"];
/// Names that stand for anybody's.
const ANYBODY: [&str; 4] = ["me", "user", "you", "NAME"];
/// The list above must name what it forbids.
const THIS_FILE: &str = "xtask/src/tidy/paths.rs";

pub const RULE: Rule =
    Rule { name: "paths", holds: "no file names a directory of the machine it was written on", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.files("", "").filter(|(path, _)| *path != THIS_FILE);
    files.flat_map(|(path, text)| check_text(path, text)).collect()
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(home) = HOMES.iter().find(|home| names(line, home)) {
            let remedy = "use a relative path, a temporary directory, or /home/user where it must be absolute";
            findings.push(Finding::at_line(path, number, format!("names a directory below {home}"), remedy));
        }
    }
    findings
}

/// Whether a path below `home` is in the line, and not that of anybody.
fn names(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let begins = !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || "._-*/}~".contains(letter));
        let rest = &line[at + home.len()..];
        let name = rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
        begins && !name.is_empty() && !ANYBODY.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_somebodys_home_is_found() {
        let table = [
            ("see /home/alice/src", 1),
            ("directory = \"/home/user/data\"", 0),
            ("copy it to ~/work/a", 0),
            ("jobs/work/a", 0),
            ("/root/.cargo", 0),
            ("cd /root/a", 1),
        ];
        for (text, findings) in table {
            assert_eq!(check(&Tree::of(&[("a.md", text)])).len(), findings, "{text}");
        }
    }
}
