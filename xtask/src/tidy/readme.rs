//! What the README tells people to type exists.

use super::{Finding, Rule};
use crate::tree::Tree;

/// What a line of a shell is taken apart into: what is run, with which words of ours.
struct Call<'a> {
    line: usize,
    program: &'a str,
    words: Vec<&'a str>,
}

const PAGES: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

pub const RULE: Rule = Rule { name: "readme", holds: "commands, flags and files that the README names exist", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let pages = PAGES.iter().filter_map(|page| Some((*page, tree.text(page)?)));
    pages
        .flat_map(|(page, text)| {
            calls(text).into_iter().flat_map(|call| check_call(tree, page, &call)).collect::<Vec<_>>()
        })
        .collect()
}

fn check_call(tree: &Tree, page: &str, call: &Call) -> Vec<Finding> {
    let (place, command) = match call.program {
        "xtask" => ("xtask/src", call.words.first()),
        _ => ("cli/src/commands", call.words.first()),
    };
    let Some(command) = command.filter(|word| !word.starts_with('-')) else { return Vec::new() };
    let mut findings = Vec::new();
    if !knows_command(tree, place, command) {
        let what = format!("there is no command `{} {command}`", call.program);
        findings.push(Finding::at_line(page, call.line, what, "name a command that exists"));
    }
    for flag in call.words.iter().filter_map(|word| word.strip_prefix("--")) {
        let flag = flag.split('=').next().unwrap_or(flag);
        if !knows_flag(tree, place, flag) {
            let what = format!("`{} {command}` has no flag --{flag}", call.program);
            findings.push(Finding::at_line(page, call.line, what, "name a flag that exists"));
        }
    }
    let gone = call.words.iter().filter(|word| word.starts_with("examples/") && !tree.has(word));
    findings.extend(
        gone.map(|path| {
            Finding::at_line(page, call.line, format!("there is no file {path}"), "name a file that exists")
        }),
    );
    findings
}

/// `cli/` has a file for each command, `xtask/` a line in a table.
fn knows_command(tree: &Tree, place: &str, command: &str) -> bool {
    let table = tree.text(&format!("{place}/main.rs")).unwrap_or_default();
    tree.has(&format!("{place}/{command}.rs")) || table.contains(&format!("name: \"{command}\""))
}

/// A flag is a field of a struct in `cli/`, and a text in `xtask/`.
fn knows_flag(tree: &Tree, place: &str, flag: &str) -> bool {
    let field = format!(" {}:", flag.replace('-', "_"));
    let text = format!("\"--{flag}\"");
    let crate_of = place.split('/').next().unwrap_or(place);
    let mut files = tree.files(crate_of, ".rs");
    files.any(|(_, source)| source.contains(&field) || source.contains(&text))
}

/// The calls in blocks of a shell: of `cargo xtask`, of `chameleon`, and of it through `cargo run`.
fn calls(page: &str) -> Vec<Call<'_>> {
    let mut in_shell = false;
    let mut calls = Vec::new();
    for (line, text) in page.lines().enumerate() {
        if text.starts_with("```") {
            in_shell = matches!(text.trim_start_matches('`'), "sh" | "console" | "bash");
        } else if in_shell {
            let words: Vec<&str> = text.split('#').next().unwrap_or(text).split_whitespace().collect();
            calls.extend(call(&words).map(|(program, words)| Call { line, program, words }));
        }
    }
    calls
}

fn call<'a>(words: &[&'a str]) -> Option<(&'a str, Vec<&'a str>)> {
    let start = words.iter().position(|word| ["cargo", "chameleon"].contains(word))?;
    let (program, ours) = match &words[start..] {
        ["cargo", "xtask", rest @ ..] => ("xtask", rest),
        ["cargo", "run", rest @ ..] => {
            let dashes = rest.iter().position(|word| *word == "--")?;
            ("chameleon", &rest[dashes + 1..])
        }
        ["chameleon", rest @ ..] => ("chameleon", rest),
        _ => return None,
    };
    let end = ours.iter().position(|word| ["--", "|", ">", "&&", ";"].contains(word)).unwrap_or(ours.len());
    let file = ours[end..].iter().skip(1).filter(|word| word.starts_with("examples/"));
    Some((program, ours[..end].iter().chain(file).copied().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_readme_tells_to_type_is_looked_for() {
        let table = [
            ("chameleon run --strategy tmr -- sort --unknown a", 0),
            ("cargo run --release -q -- run --strategy tmr examples/a.toml", 0),
            ("cargo xtask check --prepare", 0),
            ("chameleon runn -- sort", 1),
            ("chameleon run --strateggy tmr -- sort", 1),
            ("cargo run -- run examples/b.toml", 1),
            ("cargo xtask chekc", 1),
            ("ls | chameleon run -- sort examples/b", 1),
        ];
        for (line, findings) in table {
            let page = format!("# A\n\n```sh\n{line}\n```\n");
            let tree = Tree::of(&[
                ("README.md", &page),
                ("cli/src/commands/run.rs", "pub struct Run {\n    pub strategy: String,\n}\n"),
                ("xtask/src/main.rs", "Command { name: \"check\" }"),
                ("xtask/src/check/mod.rs", "only(words, &[\"--prepare\"])"),
                ("examples/a.toml", ""),
            ]);
            assert_eq!(check(&tree).len(), findings, "{line}");
        }
    }
}
