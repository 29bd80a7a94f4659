//! A text that is not accepted, and why: every problem at once, each with its place in the text,
//! what was found, what was expected, and the nearest right word.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One thing that is wrong or odd about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the text, from and to (exclusive), on character boundaries.
    pub span: Range<usize>,
    /// What it is and what was expected: a lowercase fragment.
    pub sentence: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

/// A text with what was found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Findings {
    /// The file's name, as the person wrote it.
    file: String,
    text: String,
    /// In the order of the text.
    problems: Vec<Problem>,
}

/// A text that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    findings: Findings,
    /// Refused texts that this one names, such as a job's strategy file.
    within: Vec<Refusal>,
}

/// What is odd about a text that was accepted nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remarks {
    findings: Findings,
}

/// A binary file taken for a text has thousands of problems; nobody reads more than these.
const SHOWN_AT_MOST: usize = 100;

impl Refusal {
    /// At least one problem or one refused text within is expected.
    #[must_use]
    pub fn new(file: &str, text: &str, problems: Vec<Problem>, within: Vec<Refusal>) -> Self {
        Refusal { findings: Findings::new(file, text, problems), within }
    }

    /// The problems in the order of the text; not those of texts within.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.findings.problems
    }

    /// Refused texts that this one names.
    #[must_use]
    pub fn within(&self) -> &[Refusal] {
        &self.within
    }

    /// The line of a problem, from 1.
    #[must_use]
    pub fn line(&self, problem: &Problem) -> usize {
        self.findings.place(problem).0
    }

    /// The column of a problem in characters, from 1.
    #[must_use]
    pub fn column(&self, problem: &Problem) -> usize {
        self.findings.place(problem).1
    }

    /// The first problem in a line, such as `policy.toml:3:9: …`.
    #[must_use]
    pub fn first(&self) -> String {
        let Some(problem) = self.problems().first() else { return String::new() };
        let (line, column) = self.findings.place(problem);
        format!("{}:{line}:{column}: {}", self.findings.file, problem.sentence)
    }

    /// All problems with their excerpts, as a terminal (`color`) or a file shows them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let own = self.findings.render(&Level::ERROR, color);
        let texts = std::iter::once(own).chain(self.within.iter().map(|refusal| refusal.render(color)));
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
    }
}

impl Remarks {
    #[must_use]
    pub fn new(file: &str, text: &str, problems: Vec<Problem>) -> Self {
        Remarks { findings: Findings::new(file, text, problems) }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.problems.is_empty()
    }

    /// The remarks in the order of the text.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.findings.problems
    }

    /// All remarks with their excerpts; empty if there is none.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        self.findings.render(&Level::WARNING, color)
    }
}

impl Findings {
    fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        for problem in &mut problems {
            let end = text.ceil_char_boundary(problem.span.end);
            problem.span = text.floor_char_boundary(problem.span.start.min(end))..end;
        }
        problems.sort_by_key(|problem| problem.span.start);
        problems.dedup();
        Findings { file: file.escape_debug().to_string(), text: text.to_owned(), problems }
    }

    /// Where the line of a byte begins.
    fn line_start(&self, byte: usize) -> usize {
        self.text[..byte].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The line that begins there, without its end.
    fn line_from(&self, start: usize) -> &str {
        self.text[start..].split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    /// Line and column in characters, both from 1. Whatever ends a line has the column behind the last that is seen.
    fn place(&self, problem: &Problem) -> (usize, usize) {
        let start = self.line_start(problem.span.start);
        let line = self.text[..start].matches('\n').count() + 1;
        let seen = (problem.span.start - start).min(self.line_from(start).len());
        (line, self.text[start..start + seen].chars().count() + 1)
    }

    fn render(&self, level: &Level<'static>, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
        let shown = self.problems.iter().take(SHOWN_AT_MOST);
        let mut texts: Vec<String> = shown.map(|problem| renderer.render(&[self.group(level, problem)])).collect();
        if self.problems.len() > SHOWN_AT_MOST {
            texts.push(format!("and {} more in {}", self.problems.len() - SHOWN_AT_MOST, self.file));
        }
        texts.join("\n\n")
    }

    /// One problem with the line it begins on: a longer excerpt would bury the place.
    fn group<'a>(&'a self, level: &Level<'static>, problem: &'a Problem) -> Group<'a> {
        let (line, column) = self.place(problem);
        let title = level.clone().primary_title(problem.sentence.as_str());
        let start = self.line_start(problem.span.start);
        let excerpt = self.line_from(start);
        let at = |byte: usize| byte.saturating_sub(start).min(excerpt.len());
        let group = if excerpt.is_empty() {
            title.element(Origin::path(self.file.as_str()).line(line).char_column(column))
        } else {
            let mark = AnnotationKind::Primary.span(at(problem.span.start)..at(problem.span.end));
            title.element(Snippet::source(excerpt).path(self.file.as_str()).line_start(line).annotation(mark))
        };
        group.elements(problem.hint.as_deref().map(|hint| Level::HELP.message(hint)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(span: Range<usize>) -> Problem {
        Problem { span, sentence: "unknown key `b`".to_owned(), hint: Some("did you mean `a`?".to_owned()) }
    }

    #[test]
    fn a_problem_shows_file_line_column_excerpt_and_hint() {
        let refusal = Refusal::new("job.toml", "x = 1\nä = 2; b = 3\n", vec![problem(14..15)], vec![]);
        let found = &refusal.problems()[0];
        assert_eq!((refusal.line(found), refusal.column(found)), (2, 8));
        insta::assert_snapshot!(refusal, @r"
        error: unknown key `b`
         --> job.toml:2:8
          |
        2 | ä = 2; b = 3
          |        ^
          |
          = help: did you mean `a`?
        ");
    }

    #[test]
    fn a_problem_at_the_end_or_outside_of_the_text_is_shown_all_the_same() {
        for text in ["", "\n", "x", "x\r\n", "\u{fffd}\0\u{1b}[31m", "ä\n"] {
            let beyond = [0..0, text.len()..text.len(), text.len()..text.len() + 9, 99..99];
            for span in beyond.into_iter().chain((0..text.len()).map(|at| at..at + 1)) {
                let refusal = Refusal::new("f", text, vec![problem(span)], vec![]);
                let shown = refusal.to_string();
                let (line, column) = (refusal.line(&refusal.problems()[0]), refusal.column(&refusal.problems()[0]));
                assert!(shown.contains(&format!("f:{line}:{column}")), "{shown}");
                assert!(!shown.contains('\u{1b}'), "{shown:?}");
            }
        }
    }

    #[test]
    fn a_flood_of_problems_is_cut_and_counted() {
        let text = "x\n".repeat(150);
        let problems = (0..150).map(|line| problem(2 * line..2 * line + 1)).collect();
        let shown = Refusal::new("f", &text, problems, vec![]).to_string();
        assert_eq!(shown.matches("error:").count(), 100);
        assert!(shown.ends_with("and 50 more in f"), "{shown}");
    }
}
