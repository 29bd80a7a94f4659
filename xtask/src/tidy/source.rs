//! A Rust file as rules see it: what of each line is code, what is comment, and what is for tests
//! only. Texts in quotes are blanked out, so that a rule that names a forbidden word is not its own
//! first offender.
//!
//! This is no parser. It knows strings, comments and characters, and for the rest it relies on the
//! files being formatted, which is checked too.

use crate::tree::Tree;

/// A Rust file.
#[derive(Debug)]
pub struct Source<'t> {
    pub path: &'t str,
    pub lines: Vec<Line>,
}

/// A line of it.
#[derive(Debug, Default, Clone)]
pub struct Line {
    /// With comments and what stands in quotes as blanks.
    pub code: String,
    /// Without its slashes.
    pub comment: String,
    /// It belongs to an item that only tests see.
    pub is_test: bool,
}

impl Line {
    /// Number of blanks before the code.
    pub fn indent(&self) -> usize {
        self.code.len() - self.code.trim_start().len()
    }

    /// Whether this word is there, not as a part of a longer one. It may end in `!` or hold `::`.
    pub fn says(&self, word: &str) -> bool {
        says(&self.code, word)
    }
}

/// Whether `word` is in `text`, not as a part of a longer word.
pub fn says(text: &str, word: &str) -> bool {
    let part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).any(|(at, _)| {
        let goes_on = part(word.chars().next_back()) && part(text[at + word.len()..].chars().next());
        !part(text[..at].chars().next_back()) && !goes_on
    })
}

/// The Rust files whose path begins so.
pub fn sources<'t>(tree: &'t Tree, begins: &'t str) -> impl Iterator<Item = Source<'t>> {
    tree.files(begins, ".rs").map(|(path, text)| Source::new(path, text))
}

impl<'t> Source<'t> {
    pub fn new(path: &'t str, text: &str) -> Self {
        let mut lines = Splitter::default().split(text);
        let only_tests = path.split('/').any(|part| part == "tests" || part == "tests.rs");
        if only_tests {
            lines.iter_mut().for_each(|line| line.is_test = true);
        } else {
            mark_tests(&mut lines);
        }
        Source { path, lines }
    }

    /// The lines that are not for tests only, with their number from 0.
    pub fn shipped(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| !line.is_test)
    }
}

/// Marks each item behind `#[cfg(test)]`.
fn mark_tests(lines: &mut [Line]) {
    let mut at = 0;
    while at < lines.len() {
        if lines[at].code.trim() == "#[cfg(test)]" {
            let indent = lines[at].indent();
            let ends = |line: &Line| line.indent() == indent && line.code.trim_end().ends_with(['}', ';']);
            let length = lines[at..].iter().position(ends).map_or(lines.len() - at, |last| last + 1);
            lines[at..at + length].iter_mut().for_each(|line| line.is_test = true);
            at += length;
        } else {
            at += 1;
        }
    }
}

/// Splits a text into code and comments, letter by letter.
#[derive(Default)]
struct Splitter {
    inside: Inside,
    lines: Vec<Line>,
    line: Line,
}

/// What the next letter belongs to.
#[derive(Default, Clone, Copy, PartialEq)]
enum Inside {
    #[default]
    Code,
    LineComment,
    /// How deep they are nested.
    BlockComment(u32),
    Quotes,
    /// How many `#` end it.
    RawQuotes(usize),
}

impl Splitter {
    fn split(mut self, text: &str) -> Vec<Line> {
        let letters: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < letters.len() {
            if letters[at] == '\n' {
                self.end_line();
                at += 1;
            } else {
                at += self.take(&letters[at..]);
            }
        }
        if !self.line.code.is_empty() || !self.line.comment.is_empty() {
            self.end_line();
        }
        self.lines
    }

    fn end_line(&mut self) {
        if self.inside == Inside::LineComment {
            self.inside = Inside::Code;
        }
        self.lines.push(std::mem::take(&mut self.line));
    }

    /// Takes what stands next; returns how many letters that were.
    fn take(&mut self, rest: &[char]) -> usize {
        let (letter, next) = (rest[0], rest.get(1).copied());
        match self.inside {
            Inside::Code => self.take_code(rest),
            Inside::LineComment => {
                self.line.comment.push(letter);
                1
            }
            Inside::BlockComment(depth) => match (letter, next) {
                ('*', Some('/')) if depth == 1 => self.enter(Inside::Code, 2),
                ('*', Some('/')) => self.enter(Inside::BlockComment(depth - 1), 2),
                ('/', Some('*')) => self.enter(Inside::BlockComment(depth + 1), 2),
                _ => {
                    self.line.comment.push(letter);
                    1
                }
            },
            Inside::Quotes => match letter {
                '\\' if next.is_some_and(|next| next != '\n') => self.blank(2),
                '"' => self.quote(Inside::Code, 0),
                _ => self.blank(1),
            },
            Inside::RawQuotes(hashes) => {
                let ends = letter == '"' && rest[1..].iter().take_while(|&&letter| letter == '#').count() >= hashes;
                if ends { self.quote(Inside::Code, hashes) } else { self.blank(1) }
            }
        }
    }

    fn take_code(&mut self, rest: &[char]) -> usize {
        match rest {
            ['/', '/', ..] => {
                let slashes = rest.iter().take_while(|&&letter| letter == '/' || letter == '!').count();
                self.enter(Inside::LineComment, slashes)
            }
            ['/', '*', ..] => self.enter(Inside::BlockComment(1), 2),
            ['"', ..] => self.quote(Inside::Quotes, 0),
            ['r', '#' | '"', ..] => {
                let hashes = rest[1..].iter().take_while(|&&letter| letter == '#').count();
                let is_raw = rest.get(1 + hashes) == Some(&'"') && !self.line.code.ends_with(char::is_alphanumeric);
                let is_raw = is_raw || (rest.get(1 + hashes) == Some(&'"') && self.line.code.ends_with(['b', 'c']));
                if !is_raw {
                    return self.code('r');
                }
                self.blank(1 + hashes);
                self.quote(Inside::RawQuotes(hashes), 0) + 1 + hashes
            }
            ['\'', '\\', _, more @ ..] => {
                let length = 3 + more.iter().take_while(|&&letter| letter != '\'').count() + 1;
                self.blank(length)
            }
            ['\'', _, '\'', ..] => self.blank(3),
            _ => self.code(rest[0]),
        }
    }

    fn enter(&mut self, inside: Inside, letters: usize) -> usize {
        self.inside = inside;
        letters
    }

    fn code(&mut self, letter: char) -> usize {
        self.line.code.push(letter);
        1
    }

    /// Takes the quote that begins or ends a text, with the `#` behind it.
    fn quote(&mut self, inside: Inside, hashes: usize) -> usize {
        self.inside = inside;
        self.line.code.push('"');
        1 + self.blank(hashes)
    }

    fn blank(&mut self, letters: usize) -> usize {
        self.line.code.extend(std::iter::repeat_n(' ', letters));
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_are_told_apart() {
        let table = [
            ("let a = 1; // why", "let a = 1; ", " why"),
            ("/// what it is", "", " what it is"),
            ("let a = \"// b\"; c", "let a = \"    \"; c", ""),
            ("let a = r#\"b \" // c\"#; d", "let a =   \"        \" ; d", ""),
            ("let a = '\"'; // b", "let a =    ; ", " b"),
            ("let a = '\\''; b", "let a =     ; b", ""),
            ("fn a<'b>(c: &'b str) {} // d", "fn a<'b>(c: &'b str) {} ", " d"),
            ("a /* b /* c */ d */ e", "a  e", " b  c  d "),
            ("let a = \"b \\\" c\"; d", "let a = \"      \"; d", ""),
        ];
        for (text, code, comment) in table {
            let lines = Splitter::default().split(text);
            assert_eq!((lines[0].code.as_str(), lines[0].comment.as_str()), (code, comment), "{text}");
        }
    }

    #[test]
    fn a_text_over_several_lines_is_blank_on_all_of_them() {
        let source = Source::new("core/src/a.rs", "let a = \"todo!()\nunsafe {\n\";\nb();\n");
        let code: Vec<&str> = source.lines.iter().map(|line| line.code.trim()).collect();
        assert_eq!(code, ["let a = \"", "", "\";", "b();"]);
    }

    #[test]
    fn only_the_items_of_tests_are_marked() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\n\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}\n";
        let shipped = |path| Source::new(path, text).shipped().map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!(shipped("core/src/a.rs"), [0, 1, 7, 8, 11]);
        assert!(shipped("core/tests/a.rs").is_empty());
    }

    #[test]
    fn a_word_is_no_part_of_a_longer_one() {
        assert!(says("unsafe { a }", "unsafe"));
        assert!(!says("forbid(unsafe_code)", "unsafe"));
        assert!(says("use std::fs::File", "std::fs"));
        assert!(!says("use std::fsx", "std::fs"));
        assert!(says("todo!()", "todo!"));
    }
}
