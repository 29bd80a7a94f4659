//! A copy of the source that holds every mutant at once, each asleep until it is called by its number.
//!
//! So the whole list costs one build. What ships has no trace of it: the switches are written into the copy only.

use std::collections::BTreeMap;
use std::ops::Range;

use super::table::Mutant;
use crate::tree::Tree;

/// The variable that wakes a mutant: its number in the list, from 1.
pub const VARIABLE: &str = "CHAMELEON_MUTANT";
/// The module that the copy has more than the source.
pub const SWITCH: &str = "core/src/mutants.rs";
const ROOT: &str = "core/src/lib.rs";

/// A replacement: which bytes, by which mutant, and what stands there instead.
struct Edit<'m> {
    range: Range<usize>,
    number: usize,
    replace: &'m str,
}

/// The files that differ from the source.
///
/// # Errors
/// All mutants that have no place, or two that each change a part of the other's.
pub fn graft(tree: &Tree, mutants: &[Mutant]) -> Result<BTreeMap<String, String>, String> {
    let (mut edits, mut misplaced) = (BTreeMap::<&str, Vec<Edit>>::new(), Vec::new());
    for (number, mutant) in (1..).zip(mutants) {
        match mutant.place(tree) {
            Ok(range) => {
                edits.entry(&mutant.file).or_default().push(Edit { range, number, replace: &mutant.replace });
            }
            Err(why) => misplaced.push(format!("{}: {} in {}: {why}", mutant.table, mutant.name, mutant.file)),
        }
    }
    if !misplaced.is_empty() {
        return Err(format!("mutants without a place; write what stands there now:\n{}", misplaced.join("\n")));
    }
    let mut files = BTreeMap::from([(SWITCH.to_owned(), switch())]);
    for (file, mut edits) in edits {
        let text = tree.text(file).unwrap_or_default();
        edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end), edit.number));
        files.insert(file.to_owned(), render(text, 0..text.len(), &edits).map_err(|why| format!("{file}: {why}"))?);
    }
    let root = files.remove(ROOT).unwrap_or_else(|| tree.text(ROOT).unwrap_or_default().to_owned());
    files.insert(ROOT.to_owned(), format!("{root}pub mod mutants;\n"));
    Ok(files)
}

/// A part of a file with its edits, the outermost first.
fn render(text: &str, part: Range<usize>, edits: &[Edit]) -> Result<String, String> {
    let (mut out, mut at, mut edits) = (String::new(), part.start, edits);
    while let Some(first) = edits.first() {
        let range = first.range.clone();
        let same = edits.iter().take_while(|edit| edit.range == range).count();
        let within = edits.iter().take_while(|edit| edit.range.start < range.end).count();
        if edits[..within].iter().any(|edit| edit.range.end > range.end) {
            return Err(format!("two mutants overlap at {:?}", &text[range]));
        }
        let original = render(text, range.clone(), &edits[same..within])?;
        out += &text[at..range.start];
        out += &choice(&edits[..same], &original);
        at = range.end;
        edits = &edits[within..];
    }
    Ok(out + &text[at..part.end])
}

/// What decides at run time between the original and the mutants of the same place.
fn choice(mutants: &[Edit], original: &str) -> String {
    let arm = |edit: &Edit| format!("{} => {{ {} }} ", edit.number, edit.replace);
    let arms: String = mutants.iter().map(arm).collect();
    let choice = format!("match crate::mutants::awake() {{ {arms}_ => {{ {original} }} }}");
    if original.ends_with(';') { choice } else { format!("({choice})") }
}

fn switch() -> String {
    format!(
        "pub fn awake() -> u32 {{\n    static AWAKE: std::sync::OnceLock<u32> = std::sync::OnceLock::new();\n    \
         let number = || std::env::var({VARIABLE:?}).ok().and_then(|number| number.parse().ok());\n    \
         *AWAKE.get_or_init(|| number().unwrap_or_default())\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_an_arm_and_the_original_is_the_last() {
        let text = "fn a() { b(c); }";
        let edit = |find: &str, number, replace| {
            let at = text.find(find).unwrap();
            Edit { range: at..at + find.len(), number, replace }
        };
        let edits = [edit("b(c);", 1, ""), edit("c", 2, "d"), edit("c", 3, "e")];
        let expected = "fn a() { match crate::mutants::awake() { 1 => {  } _ => { \
            b((match crate::mutants::awake() { 2 => { d } 3 => { e } _ => { c } })); } } }";
        assert_eq!(render(text, 0..text.len(), &edits).unwrap(), expected);
        let crossing = [edit("b(c", 1, ""), edit("(c);", 2, "")];
        assert!(render(text, 0..text.len(), &crossing).is_err());
    }
}
