//! All that is unsafe is in one place, and each piece of it says why it is sound.

use super::source::{Source, sources};
use super::{Finding, Rule};
use crate::tree::Tree;

/// Where system calls are made that no safe library offers; and where the bare calls are measured that
/// we compare ourselves with.
const UNSAFE_PLACES: [&str; 3] = ["node/src/os/", "node/examples/", "benches/"];
/// How far above its block a reason may begin.
const LINES_ABOVE: usize = 8;

pub const RULE: Rule =
    Rule { name: "unsafety", holds: "what ships is unsafe in node/src/os only, and says SAFETY at each block", check };

fn check(tree: &Tree) -> Vec<Finding> {
    sources(tree, "").flat_map(|source| check_file(&source)).collect()
}

fn check_file(source: &Source) -> Vec<Finding> {
    let at_home = UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place));
    let unsafes = source.lines.iter().enumerate().filter(|(_, line)| line.says("unsafe"));
    let findings = unsafes.filter_map(|(number, line)| {
        if !at_home {
            let remedy = "find the call in rustix or std; else give it a safe function in node/src/os";
            return Some(Finding::at_line(source.path, number, "unsafe code", remedy));
        }
        let above = &source.lines[number.saturating_sub(LINES_ABOVE)..=number];
        let explained = above.iter().any(|line| line.comment.contains("SAFETY"));
        let is_block = line.code.contains("unsafe {") || line.code.contains("unsafe impl");
        let remedy = "add a comment `// SAFETY: …` above it: what must hold, and why it does";
        (is_block && !explained).then(|| Finding::at_line(source.path, number, "no reason why it is sound", remedy))
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_judged_by_where_it_stands_and_what_it_says() {
        let (bare, explained) = ("    unsafe { a() }\n", "    // SAFETY: a is harmless.\n    unsafe { a() }\n");
        let table = [
            ("node/src/os/a.rs", explained, 0),
            ("node/src/os/a.rs", bare, 1),
            ("node/src/slot/a.rs", explained, 1),
            ("cli/tests/a.rs", explained, 1),
            ("core/src/lib.rs", "#![forbid(unsafe_code)]\n", 0),
        ];
        for (path, text, findings) in table {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), findings, "{path} {text}");
        }
    }
}
