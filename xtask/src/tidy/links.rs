//! Links in our pages lead somewhere.

use super::{Finding, Rule};
use crate::tree::Tree;

pub const RULE: Rule =
    Rule { name: "links", holds: "links between pages lead to files and headings that exist", check };

fn check(tree: &Tree) -> Vec<Finding> {
    tree.files("", ".md").flat_map(|(path, text)| check_page(tree, path, text)).collect()
}

fn check_page(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let broken = prose(text).flat_map(|(number, line)| targets(line).map(move |target| (number, target)));
    let broken = broken.filter(|(_, target)| !leads_somewhere(tree, path, target));
    let remedy = "correct the path from this file's directory, or the heading behind #";
    broken.map(|(number, target)| Finding::at_line(path, number, format!("{target} leads nowhere"), remedy)).collect()
}

/// The lines outside of fenced blocks.
pub fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// What stands behind `](`, up to its `)`, outside of backquotes.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let outside = |at: usize| line[..at].matches('`').count().is_multiple_of(2);
    let starts = line.match_indices("](").filter(move |(at, _)| outside(*at));
    starts.filter_map(|(at, _)| line[at + 2..].split(')').next())
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() { from.to_owned() } else { resolve(from, file) };
    let Some(heading) = heading else { return tree.has(&path) };
    tree.text(&path).is_some_and(|text| prose(text).any(|(_, line)| line.starts_with('#') && anchor(line) == heading))
}

/// `../core/a.rs` from `docs/b.md` is `core/a.rs`.
fn resolve(from: &str, file: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a heading is called in a link: lower case, blanks as `-`, other signs left out.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_by_this_table() {
        let table = [
            ("[a](b.md)", 0),
            ("[a](../core/a.rs)", 0),
            ("[a](../core)", 0),
            ("[a](b.md#small-values)", 0),
            ("[a](#here)", 0),
            ("[a](https://example.org/)", 0),
            ("`[a](nowhere.md)`", 0),
            ("```\n[a](nowhere.md)\n```", 0),
            ("[a](c.md)", 1),
            ("[a](b.md#large-values)", 1),
            ("[a](core/a.rs) and [b](b.md)", 1),
        ];
        for (text, findings) in table {
            let page = format!("# Here\n{text}\n");
            let tree = Tree::of(&[("docs/a.md", &page), ("docs/b.md", "## Small values\n"), ("core/a.rs", "")]);
            assert_eq!(check(&tree).len(), findings, "{text}");
        }
    }
}
