//! `docs/protocol.md`: the messages of `core/src/message` as a table, made from their doc comments.
//!
//! A message says `SENDER → RECIPIENT: what. Answered by …` where it is declared, so that the page
//! cannot say anything else.

use crate::failure::{Failure, only};
use crate::tree::{Tree, root};

/// Where the page lies.
pub const PAGE: &str = "docs/protocol.md";
const MESSAGES: &str = "core/src/message/";

const HEAD: &str = "# The protocol

Who says what to whom, and what answers it. `cargo xtask protocol --write` makes this page from the doc comments in
[core/src/message](../core/src/message), where each message has its fields; `cargo xtask tidy` checks that it did.

Every message may come twice, late, or not at all: a link that is not up forgets what is said into it, and when it
comes up each side says again all that the other must know ([why](decisions/0001-links-forget.md)). The dash in the
last column means that nothing needs to come back. In front of all messages a link has one `Hello`, with the name,
the incarnation and the version of the sender; a `Welcome` with the incarnation of the recipient answers it.
";

/// A message whose doc comment does not say who sends it.
#[derive(Debug)]
pub struct Unsaid {
    pub place: String,
    pub name: String,
}

/// Something that is declared, with its doc comment in one line.
struct Declared {
    line: usize,
    name: String,
    doc: String,
}

/// `cargo xtask protocol`: shows the page, or with `--write` puts it in its place.
///
/// # Errors
/// The source cannot be read, or the page not be written.
pub fn run(words: &[String]) -> Result<(), Failure> {
    only(words, &["--write"], "--write or nothing")?;
    let (page, _) = page(&Tree::read()?);
    if words.is_empty() {
        print!("{page}");
        return Ok(());
    }
    let path = root().join(PAGE);
    std::fs::write(&path, page).map_err(|why| Failure::Unwritable { path, why })
}

/// The page, and the messages that say too little to stand in it.
#[must_use]
pub fn page(tree: &Tree) -> (String, Vec<Unsaid>) {
    let (mut page, mut unsaid) = (HEAD.to_owned(), Vec::new());
    for (path, text) in tree.files(MESSAGES, ".rs") {
        let lines: Vec<&str> = text.lines().collect();
        for kind in types(&lines) {
            let is_recipients = kind.name.ends_with("Message") && kind.name != "Message";
            let variants = if is_recipients { variants(&lines, &kind) } else { Vec::new() };
            if !variants.is_empty() {
                section(&mut page, path, &kind.doc, &variants, &mut unsaid);
            } else if kind.doc.contains(" → ") {
                section(&mut page, path, "To an ARMOR of any kind.", &[kind], &mut unsaid);
            }
        }
    }
    (page, unsaid)
}

fn section(page: &mut String, path: &str, doc: &str, messages: &[Declared], unsaid: &mut Vec<Unsaid>) {
    let title = doc.split(['.', ':']).next().unwrap_or(doc);
    let head = "| message | from | to | what it says | answered by |\n|---|---|---|---|---|";
    page.push_str(&format!("\n## {title}\n\n[{path}](../{path})\n\n{head}\n"));
    for message in messages {
        match row(message) {
            Some(row) => page.push_str(&(row + "\n")),
            None => unsaid.push(Unsaid { place: format!("{path}:{}", message.line + 1), name: message.name.clone() }),
        }
    }
}

fn row(message: &Declared) -> Option<String> {
    let doc = message.doc.replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    let (from, rest) = doc.split_once(" → ")?;
    let (to, body) = rest.split_at(rest.find([':', ',', '.'])?);
    let body = body[1..].trim_start();
    let sentence = |text: &str| text.split(". ").next().unwrap_or(text).trim().trim_end_matches('.').to_owned();
    let (before, answer) = body.split_once("Answered by ").unwrap_or((body, "–"));
    let (says, answer) = (sentence(before), sentence(answer));
    let name = message.name.rsplit("::").next().unwrap_or(&message.name);
    Some(format!("| `{name}` | {from} | {to} | {says} | {answer} |"))
}

/// The types that are declared in a file.
fn types(lines: &[&str]) -> Vec<Declared> {
    let is_type = |line: &str| {
        let rest = line.strip_prefix("pub enum ").or(line.strip_prefix("pub struct "))?;
        Some(rest.split([' ', '<', '(', ';']).next().unwrap_or(rest).to_owned())
    };
    documented(lines, 0, "", &is_type)
}

/// The variants of an enum.
fn variants(lines: &[&str], kind: &Declared) -> Vec<Declared> {
    let first = kind.line + 1;
    let last = lines[first..].iter().position(|line| *line == "}").map_or(lines.len(), |length| first + length);
    let is_variant = |line: &str| {
        let rest =
            line.strip_prefix("    ").filter(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase()))?;
        Some(format!("{}::{}", kind.name, rest.split(['(', ' ', ',', '{']).next().unwrap_or(rest)))
    };
    documented(&lines[first..last], first, "    ", &is_variant)
}

/// What `name_of` finds among the lines, each with the doc comment that stands above it.
fn documented(lines: &[&str], offset: usize, indent: &str, name_of: &dyn Fn(&str) -> Option<String>) -> Vec<Declared> {
    let comment = format!("{indent}///");
    let (mut found, mut doc) = (Vec::new(), Vec::new());
    for (number, line) in lines.iter().enumerate() {
        if let Some(text) = line.strip_prefix(&comment) {
            doc.push(text.trim());
        } else if let Some(name) = name_of(line) {
            found.push(Declared { line: offset + number, name, doc: doc.join(" ") });
            doc.clear();
        } else if !line.trim_start().starts_with("#[") {
            doc.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "core/src/message/voter.rs";
    const TEXT: &str = "\
/// To a Voter.
#[derive(Debug)]
pub enum VoterMessage {
    /// SM → Voter: how this stage
    /// is decided. Repeated. Answered by `SurrogateMessage::Verdicts` or `Disputes`.
    #[n(0)]
    Convene {
        #[n(0)]
        stage: StageId,
    },
    /// SM → Voter: enough. No answer.
    Stop,
    Silent(u8),
}

/// Daemon → any ARMOR of its host: how do you fare? Answered by [`DaemonMessage::Pong`], after all before it.
pub struct Pulse {
    /// SM → Voter: no message, a field.
    beat: u64,
}
";

    #[test]
    fn each_message_is_a_row_made_of_its_doc_comment() {
        let (page, _) = page(&Tree::of(&[(FILE, TEXT)]));
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(
            rows,
            [
                "| `Convene` | SM | Voter | how this stage is decided | `SurrogateMessage::Verdicts` or `Disputes` |",
                "| `Stop` | SM | Voter | enough | – |",
                "| `Pulse` | Daemon | any ARMOR of its host | how do you fare? | `DaemonMessage::Pong`, after all before it |",
            ]
        );
        assert!(page.contains("## To a Voter\n"), "{page}");
    }

    #[test]
    fn a_message_that_says_nothing_is_named_with_its_line() {
        let (_, unsaid) = page(&Tree::of(&[(FILE, TEXT)]));
        let found: Vec<(&str, &str)> = unsaid.iter().map(|one| (one.name.as_str(), one.place.as_str())).collect();
        assert_eq!(found, [("VoterMessage::Silent", "core/src/message/voter.rs:13")]);
    }
}
