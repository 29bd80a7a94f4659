//! Who may know whom inside `core/`: a table, read from the bottom up. An ARMOR knows other ARMORs
//! and managers by name and message, never by their code.

use super::source::{Source, sources};
use super::{Finding, Rule};
use crate::tree::Tree;

/// Modules of `core/src`, and the modules that each may know. `Parts` says of a module whether its
/// own parts may know each other.
const MAY_KNOW: &[(&str, Parts, &[&str])] = &[
    ("names", Parts::OneWhole, &[]),
    ("word", Parts::OneWhole, &[]),
    ("refusal", Parts::OneWhole, &[]),
    ("token", Parts::OneWhole, &["names"]),
    ("principal", Parts::OneWhole, &["names", "word"]),
    ("book", Parts::OneWhole, &["names", "principal"]),
    ("document", Parts::OneWhole, &["refusal", "word"]),
    ("strategy", Parts::OneWhole, &["document", "job", "names", "refusal", "word"]),
    ("job", Parts::OneWhole, &["document", "names", "refusal", "strategy", "word"]),
    ("profile", Parts::OneWhole, &[]),
    ("policy", Parts::OneWhole, &["document", "job", "message", "names", "profile", "refusal", "word"]),
    ("world", Parts::OneWhole, &["book", "job", "names", "principal", "profile"]),
    ("restart", Parts::OneWhole, &["names", "strategy"]),
    ("lease", Parts::OneWhole, &["names"]),
    ("test_task", Parts::OneWhole, &["names"]),
    ("message", Parts::OneWhole, &["armor", "book", "job", "names", "principal", "profile", "world"]),
    ("vote", Parts::OneWhole, &["message", "names", "world"]),
    ("armor", Parts::OneWhole, &["message", "names", "shell", "world"]),
    ("shell", Parts::OneWhole, &["armor", "elements", "message", "names", "world"]),
    ("elements", Parts::Strangers, &["armor", "message", "names", "world"]),
    ("audit", Parts::OneWhole, &["message", "names"]),
    ("follower", Parts::OneWhole, &["armor", "job", "message", "names", "strategy", "world"]),
    ("reliability", Parts::OneWhole, &[]),
    ("report", Parts::OneWhole, &["job", "message", "names", "strategy", "world"]),
    ("armors", Parts::Strangers, DECIDERS_KNOW),
    ("managers", Parts::Strangers, DECIDERS_KNOW),
    ("daemon", Parts::OneWhole, DECIDERS_KNOW),
];

/// What everything that decides may know; no other decider is among it.
const DECIDERS_KNOW: &[&str] = &[
    "armor",
    "book",
    "elements",
    "job",
    "lease",
    "message",
    "names",
    "policy",
    "principal",
    "profile",
    "restart",
    "shell",
    "strategy",
    "test_task",
    "token",
    "vote",
    "word",
    "world",
];

/// Where all modules, and all kinds of ARMORs, are listed.
const TABLES: [&str; 2] = ["core/src/lib.rs", "core/src/armors/mod.rs"];

#[derive(Clone, Copy, PartialEq)]
enum Parts {
    OneWhole,
    /// Files directly in the module do not know each other.
    Strangers,
}

pub const RULE: Rule =
    Rule { name: "imports", holds: "a module of core/ knows only what its row of the table allows", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let files = sources(tree, "core/src/").filter(|source| !TABLES.contains(&source.path));
    files.flat_map(|source| check_file(&source)).collect()
}

fn check_file(source: &Source) -> Vec<Finding> {
    let own = module_of(source.path);
    let Some((name, parts, may_know)) = MAY_KNOW.iter().find(|(name, ..)| own.first() == Some(name)) else {
        let remedy = "give it a row in xtask/src/tidy/imports.rs: which modules may it know?";
        return vec![Finding::at(source.path, "the module is in no row of the table of imports", remedy)];
    };
    let forbidden = |known: &[&str]| match known {
        [module, ..] if module != name => !may_know.contains(module),
        [_, part, ..] if *parts == Parts::Strangers => own.get(1).is_some_and(|own| own != part) && is_module(part),
        // Several modules in one pair of braces: which ones, this rule cannot read.
        [] => true,
        _ => false,
    };
    let mut findings = Vec::new();
    for (number, line) in source.shipped() {
        for known in known_by(&line.code, &own).iter().filter(|known| forbidden(known)) {
            let whom = if known.is_empty() { "several modules at once".to_owned() } else { known.join("::") };
            let what = format!("{} knows {whom}", own.join("::"));
            let remedy = "speak to it by name and message, or move what both need below both; one module a `use`";
            findings.push(Finding::at_line(source.path, number, what, remedy));
        }
    }
    findings
}

/// A name in lower case is that of a module or a function, and functions are called by their module.
fn is_module(part: &str) -> bool {
    part.starts_with(|letter: char| letter.is_ascii_lowercase())
}

/// `core/src/armors/execution/slots.rs` is `armors::execution::slots`.
fn module_of(path: &str) -> Vec<&str> {
    let inside = path.trim_start_matches("core/src/").trim_end_matches(".rs");
    inside.trim_end_matches("/mod").split('/').collect()
}

/// What the paths in a line of code lead to, from the root of the crate.
fn known_by<'a>(code: &'a str, own: &[&'a str]) -> Vec<Vec<&'a str>> {
    let starts = code.match_indices("crate::").chain(code.match_indices("super::"));
    let fresh = |at: usize| !code[..at].ends_with(|letter: char| letter.is_alphanumeric() || "_:".contains(letter));
    starts.filter(|(at, _)| fresh(*at)).map(|(at, _)| resolve(&code[at..], own)).collect()
}

fn resolve<'a>(path: &'a str, own: &[&'a str]) -> Vec<&'a str> {
    let end = path.find(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter)).unwrap_or(path.len());
    let mut parts: Vec<&str> = path[..end].split("::").filter(|part| !part.is_empty()).collect();
    if parts.first() == Some(&"crate") {
        parts.remove(0);
        return parts;
    }
    let ups = parts.iter().take_while(|part| **part == "super").count();
    let above = &own[..own.len().saturating_sub(ups)];
    above.iter().copied().chain(parts.into_iter().skip(ups)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_may_know_is_decided_by_this_table() {
        let table = [
            ("core/src/names.rs", "use crate::message::Message;", 1),
            ("core/src/armor.rs", "use crate::message::Message;", 0),
            ("core/src/armors/voter.rs", "use crate::armors::fanout::Fanout;", 1),
            ("core/src/armors/voter.rs", "use super::fanout::Fanout;", 1),
            ("core/src/armors/voter.rs", "use crate::managers::surrogate::Surrogate;", 1),
            ("core/src/armors/voter.rs", "use crate::daemon::Daemon;", 1),
            ("core/src/armors/voter.rs", "use crate::vote::tally;", 0),
            ("core/src/armors/execution/mod.rs", "use crate::armors::execution::ledger::Ledger;", 0),
            ("core/src/armors/execution/slots.rs", "use super::ledger::Ledger;", 0),
            ("core/src/armors/execution/slots.rs", "use super::super::voter::Voter;", 1),
            ("core/src/managers/ftm/mod.rs", "use crate::managers::surrogate::Surrogate;", 1),
            ("core/src/managers/surrogate/orders.rs", "use super::LanePulse;", 0),
            ("core/src/elements/outbox.rs", "use crate::elements::inbox::Inbox;", 1),
            ("core/src/armors/mod.rs", "use crate::managers::ftm::Ftm;", 0),
            ("core/src/shell.rs", "use crate::{armor::Armor, managers::ftm::Ftm};", 1),
            ("core/src/novelty.rs", "", 1),
        ];
        for (path, text, findings) in table {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), findings, "{path}: {text}");
        }
    }
}
