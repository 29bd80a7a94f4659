//! What stands is done: no stub, no note of later work, no test that is switched off.

use super::source::{Source, says, sources};
use super::{Finding, Rule};
use crate::tree::Tree;

const IN_CODE: [&str; 3] = ["todo!", "unimplemented!", "#[ignore"];
const IN_COMMENTS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

pub const RULE: Rule =
    Rule { name: "stubs", holds: "no todo!, unimplemented!, #[ignore], TODO or FIXME, in tests neither", check };

fn check(tree: &Tree) -> Vec<Finding> {
    let rust = sources(tree, "").flat_map(|source| check_file(&source));
    let others = [".toml", ".sh", ".md"].into_iter().flat_map(|ends| tree.files("", ends));
    let others = others.flat_map(|(path, text)| check_text(path, text));
    rust.chain(others).collect()
}

fn check_file(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.lines.iter().enumerate() {
        let code = IN_CODE.iter().filter(|word| line.code.contains(**word));
        let comment = IN_COMMENTS.iter().filter(|word| says(&line.comment, word));
        findings.extend(code.chain(comment).map(|word| finding(source.path, number, word)));
    }
    findings
}

/// Between backquotes a word is spoken of and not used.
fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let used = |line: &str, word: &&&str| line.split('`').step_by(2).any(|part| says(part, word));
    let lines = text.lines().enumerate();
    let words = lines.flat_map(|(number, line)| {
        IN_COMMENTS.iter().filter(move |word| used(line, word)).map(move |word| (number, word))
    });
    words.map(|(number, word)| finding(path, number, word)).collect()
}

fn finding(path: &str, number: usize, word: &str) -> Finding {
    let remedy = "do it now, or leave it out; a test that cannot run here prints `skipped: WHY` and returns";
    Finding::at_line(path, number, format!("{} is unfinished work", word.trim_start_matches("#[")), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found_in_code_comments_and_other_texts() {
        let table = [
            ("a.rs", "fn a() { todo!() }", 1),
            ("a.rs", "// TODO: later", 1),
            ("a.rs", "let a = \"TODO\";", 0),
            ("a.rs", "#[cfg(test)]\nmod tests {\n    #[ignore = \"slow\"]\n}", 1),
            ("a.toml", "# FIXME", 1),
            ("a.md", "We allow no `TODO`.", 0),
            ("a.md", "TODO: write this", 1),
        ];
        for (path, text, findings) in table {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), findings, "{text}");
        }
    }
}
