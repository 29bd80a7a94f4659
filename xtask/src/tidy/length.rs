//! Files and functions stay short enough to be read at once.

use super::source::{Line, Source, sources};
use super::{Finding, Rule};
use crate::tree::Tree;

/// Most lines of a file, without what only tests see.
const LONGEST_FILE: usize = 500;
/// Most lines of a function, from its head to its closing brace: what fits one screen. Most have under
/// 35; it is a `match` with an arm for every case there is that may fill it.
const LONGEST_FUNCTION: usize = 70;

pub const FILES: Rule =
    Rule { name: "file length", holds: "a file has at most 500 lines without its tests", check: long_files };

pub const FUNCTIONS: Rule =
    Rule { name: "function length", holds: "a function has at most 70 lines", check: long_functions };

fn long_files(tree: &Tree) -> Vec<Finding> {
    let lengths = sources(tree, "").map(|source| (source.path, source.shipped().count()));
    let long = lengths.filter(|(_, length)| *length > LONGEST_FILE);
    let remedy = "find the second idea in it and give that a file of its own, named after it";
    long.map(|(path, length)| Finding::at(path, format!("{length} lines"), remedy)).collect()
}

fn long_functions(tree: &Tree) -> Vec<Finding> {
    sources(tree, "").flat_map(|source| long_functions_of(&source)).collect()
}

fn long_functions_of(source: &Source) -> Vec<Finding> {
    let heads = source.shipped().filter(|(_, line)| is_head(line));
    let lengths = heads.filter_map(|(number, _)| Some((number, length(&source.lines[number..])?)));
    let long = lengths.filter(|(_, length)| *length > LONGEST_FUNCTION);
    let remedy = "name its steps and make them functions below it, in the order in which they are called";
    long.map(|(number, length)| Finding::at_line(source.path, number, format!("a function of {length} lines"), remedy))
        .collect()
}

/// Whether a function begins here.
fn is_head(line: &Line) -> bool {
    let mut code = line.code.trim_start();
    let modifiers =
        ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" ", "extern \" \" "];
    while let Some(rest) = modifiers.iter().find_map(|modifier| code.strip_prefix(modifier)) {
        code = rest;
    }
    code.starts_with("fn ")
}

/// The length of the function that begins with the first of these lines; `None` if it has no body.
fn length(lines: &[Line]) -> Option<usize> {
    let indent = lines[0].indent();
    let outermost = |line: &&Line| line.indent() == indent && !line.code.trim().is_empty();
    let last = lines.iter().enumerate().filter(|(_, line)| outermost(line)).find(|(_, line)| {
        let code = line.code.trim();
        code.starts_with('}') || code.ends_with([';', '}'])
    })?;
    last.1.code.trim_end().ends_with('}').then_some(last.0 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!(
            "impl A {{\n    pub(super) fn a(\n        b: u8,\n    ) -> u8 {{\n{}    }}\n}}\n",
            "        c();\n".repeat(lines - 4)
        )
    }

    #[test]
    fn a_function_may_fill_one_screen_and_no_more() {
        for (lines, findings) in [(70, 0), (71, 1)] {
            let text = function(lines);
            let tree = Tree::of(&[("node/src/a.rs", &text)]);
            assert_eq!(long_functions(&tree).len(), findings, "{lines} lines");
        }
    }

    #[test]
    fn a_declaration_does_not_borrow_the_body_of_the_next() {
        let text = format!("trait A {{\n    fn a(\n        b: u8,\n    ) -> u8;\n}}\n{}", function(68));
        assert_eq!(long_functions(&Tree::of(&[("node/src/a.rs", &text)])), []);
    }

    #[test]
    fn tests_do_not_count_as_lines_of_a_file() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // a\n".repeat(600));
        let table = [(format!("{}{tests}", "a();\n".repeat(500)), 0), (format!("{}{tests}", "a();\n".repeat(501)), 1)];
        for (text, findings) in table {
            assert_eq!(long_files(&Tree::of(&[("node/src/a.rs", &text)])).len(), findings);
        }
    }
}
