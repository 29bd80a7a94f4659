//! The list of deliberate faults: `mutants/*.toml`, text beside the code and never in it.
//!
//! A mutant names a file, a function in it if need be, what is to be found there and what stands there instead.
//! White space does not count when it is looked for. Brackets `⟦…⟧` mark the part that is replaced, if
//! that is not all; what is around them only says which of several places is meant.

use std::ops::Range;

use crate::tree::Tree;

/// Where the tables lie.
pub const TABLES: &str = "mutants/";

/// One deliberate fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    pub name: String,
    /// What is wrong with the system that has it, in a few words.
    pub fault: String,
    /// The table that lists it, and the file that it changes.
    pub table: String,
    pub file: String,
    /// The head of the function that is meant.
    inside: Option<String>,
    find: String,
    pub replace: String,
    /// Why nobody could tell the system that has it from ours, if so.
    pub equivalent: Option<String>,
}

/// Reads all tables, in order of their names.
///
/// # Errors
/// What is wrong with the first one that cannot be read, with its path.
pub fn read(tree: &Tree) -> Result<Vec<Mutant>, String> {
    let tables = tree.files(TABLES, ".toml").map(|(path, text)| read_one(path, text));
    Ok(tables.collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect())
}

fn read_one(path: &str, text: &str) -> Result<Vec<Mutant>, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
    let entries = table.get("mutant").and_then(toml::Value::as_array).ok_or(format!("{path}: expected [[mutant]]"))?;
    let word = |entry: &toml::Value, key: &str| entry.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let needed = |entry: &toml::Value, key: &str| word(entry, key).ok_or(format!("{path}: expected {key} in {entry}"));
    let mutant = |entry: &toml::Value| {
        Ok(Mutant {
            name: needed(entry, "name")?,
            fault: needed(entry, "fault")?,
            table: path.to_owned(),
            file: needed(entry, "file")?,
            inside: word(entry, "inside"),
            find: needed(entry, "find")?,
            replace: needed(entry, "replace")?,
            equivalent: word(entry, "equivalent"),
        })
    };
    entries.iter().map(mutant).collect()
}

impl Mutant {
    /// The bytes of its file that it replaces.
    ///
    /// # Errors
    /// There is no such file, or what it looks for is not there exactly once.
    pub fn place(&self, tree: &Tree) -> Result<Range<usize>, String> {
        self.place_in(tree.text(&self.file).ok_or("there is no such file")?)
    }

    fn place_in(&self, text: &str) -> Result<Range<usize>, String> {
        let region = match &self.inside {
            Some(head) => function(text, head)?,
            None => 0..text.len(),
        };
        let code: Vec<(usize, char)> =
            text[region.clone()].char_indices().filter(|(_, letter)| !letter.is_whitespace()).collect();
        let dense: String = code.iter().map(|(_, letter)| letter).collect();
        let (before, target, after) = parts(&self.find);
        let pattern = format!("{before}{target}{after}");
        let mut places = dense.match_indices(&pattern).map(|(at, _)| at);
        let at = places.next().ok_or("what it looks for is not there")?;
        if places.next().is_some() {
            return Err("what it looks for is there more than once".to_owned());
        }
        let first = dense[..at + before.len()].chars().count();
        let last = first + target.chars().count() - 1;
        let (end, letter) = code[last];
        Ok(region.start + code[first].0..region.start + end + letter.len_utf8())
    }
}

/// The text of the function whose head begins so.
fn function(text: &str, head: &str) -> Result<Range<usize>, String> {
    let mut heads = text.match_indices(head).map(|(at, _)| at);
    let at = heads.next().ok_or(format!("there is no {head}"))?;
    if heads.next().is_some() {
        return Err(format!("there is more than one {head}"));
    }
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let indent: String = text[line..].chars().take_while(|letter| *letter == ' ').collect();
    let end = text[at..].find(&format!("\n{indent}}}")).map_or(text.len(), |length| at + length);
    Ok(at..end)
}

/// What is looked for, without white space: before, in and behind the part that is replaced.
fn parts(find: &str) -> (String, String, String) {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    match find.split_once('⟦').and_then(|(before, rest)| Some((before, rest.split_once('⟧')?))) {
        Some((before, (target, after))) => (dense(before), dense(target), dense(after)),
        None => (String::new(), dense(find), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn a() {\n    if x {\n        y(1,\n          2);\n    }\n}\n\nfn b() {\n    y(1, 2);\n}\n";

    fn found(inside: Option<&str>, find: &str) -> Result<&'static str, String> {
        let entry = format!("[[mutant]]\nname = \"n\"\nfault = \"f\"\nfile = \"a\"\nfind = '{find}'\nreplace = ''\n");
        let mut mutant = read_one("m.toml", &entry).unwrap().remove(0);
        mutant.inside = inside.map(str::to_owned);
        mutant.place_in(TEXT).map(|range| &TEXT[range])
    }

    #[test]
    fn a_place_is_found_whatever_its_white_space_if_it_is_the_only_one() {
        assert_eq!(found(Some("fn a("), "y(1, 2);"), Ok("y(1,\n          2);"));
        assert_eq!(found(Some("fn b("), "y( 1 ,2 )"), Ok("y(1, 2)"));
        assert_eq!(found(None, "if ⟦x⟧ {"), Ok("x"));
        assert!(found(None, "y(1, 2)").unwrap_err().contains("more than once"));
        assert!(found(Some("fn b("), "if x").unwrap_err().contains("not there"));
        assert!(found(Some("fn c("), "x").unwrap_err().contains("no fn c("));
    }
}
