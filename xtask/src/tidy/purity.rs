//! Decisions are pure: what decides, and what invents a world for the decisions, touches no real one.

use super::source::{Source, sources};
use super::{Finding, Rule};
use crate::tree::Tree;

/// What a pure crate never says, and what it says instead.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "ask for it: an Effect that node/ carries out, a FileEvent that answers"),
    ("std::net", "ask for it: Effect::Send, answered by a message"),
    ("std::process", "ask for it: Effect::Process or Effect::Slot"),
    ("std::thread", "one event at a time: return a Step"),
    ("std::time", "time comes in as Moment and goes out as Effect::SetTimer"),
    ("use std::env", "what the surroundings say is handed in by whoever calls"),
    ("std::env::args", "what the surroundings say is handed in by whoever calls"),
    ("std::env::var", "what the surroundings say is handed in by whoever calls"),
    ("std::env::var_os", "what the surroundings say is handed in by whoever calls"),
    ("std::env::current_dir", "what the surroundings say is handed in by whoever calls"),
    ("std::io", "bytes stay outside: pass a digest, a region or a value"),
    ("HashMap", "BTreeMap: the order of a HashMap differs from run to run, and so would decisions"),
    ("HashSet", "BTreeSet: the order of a HashSet differs from run to run, and so would decisions"),
    ("RandomState", "randomness comes in as a number"),
    ("tokio", "core/ runs in the simulator too: asynchrony belongs to node/"),
    ("rustix", "system calls belong to node/"),
    ("libc", "system calls belong to node/"),
    ("println!", "what people read is a value (a Story, a sentence) that cli/ prints"),
    ("eprintln!", "what people read is a value (a Story, a sentence) that cli/ prints"),
];

/// Where decisions are made, and where they are tried in an invented world.
const PURE: [&str; 2] = ["core/src/", "sim/src/"];

pub const RULE: Rule =
    Rule { name: "purity", holds: "core/ and sim/ know no clock, file, process, thread or hash order", check };

fn check(tree: &Tree) -> Vec<Finding> {
    PURE.iter().flat_map(|begins| sources(tree, begins)).flat_map(|source| check_file(&source)).collect()
}

fn check_file(source: &Source) -> Vec<Finding> {
    let said = source
        .shipped()
        .flat_map(|(number, line)| IMPURE.iter().filter(|(word, _)| line.says(word)).map(move |rule| (number, rule)));
    said.map(|(number, (word, remedy))| Finding::at_line(source.path, number, format!("says {word}"), *remedy))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ships_in_pure_crates_is_held_to_it() {
        let impure = "use std::collections::HashMap;\n";
        let table = [
            ("core/src/a.rs", impure, 1),
            ("sim/src/a.rs", "let now = std::time::Instant::now();\n", 1),
            ("node/src/a.rs", impure, 0),
            ("core/tests/a.rs", impure, 0),
            ("core/src/a.rs", "// a HashMap would do\nlet a = \"std::fs\";\n", 0),
        ];
        for (path, text, findings) in table {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), findings, "{path} {text}");
        }
    }
}
