//! `cargo xtask mutants`: does anything notice, if the protocol is wrong?
//!
//! Every deliberate fault of `mutants/*.toml` is let loose in a copy of the source, and tried by the unit tests, the
//! stories, the models and the simulator. One that nobody notices is a hole in what we test.

mod graft;
mod judges;
pub mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::Failure;
use crate::measurements;
use crate::tree::{Tree, root};
use judges::{Death, Programs};
use table::Mutant;

const EXPECTED: &str = "names of mutants or beginnings of them, --sample N, or --write";
/// What the copy is built of; the rest of the source is only there to make it whole.
const BUILT: [&str; 4] = ["core/", "models/", "sim/", "xtask/"];

/// How a mutant fared.
struct Fate<'m> {
    mutant: &'m Mutant,
    death: Option<Death>,
}

/// Tries mutants: all, those of these names, or a sample. `--write` puts the table in `docs/measurements.md`.
///
/// # Errors
/// A mutant lives that should not, or they could not be tried at all.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (mut sample, mut write, mut names) = (None, false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let usage = || Failure::Usage { what: word.clone(), expected: EXPECTED };
        match word.as_str() {
            "--sample" => sample = Some(words.next().and_then(|count| count.parse().ok()).ok_or_else(usage)?),
            "--write" => write = true,
            _ if word.starts_with('-') => return Err(usage()),
            _ => names.push(word.as_str()),
        }
    }
    let tree = Tree::read()?;
    let mutants = table::read(&tree).map_err(Failure::NotAsItMustBe)?;
    let chosen = choose(&mutants, &names, sample);
    let programs = build(&tree, &mutants)?;
    if let Some(Death { judge, evidence }) = judges::tried(0, &programs)? {
        return Err(Failure::NotAsItMustBe(format!("the source without a mutant fails the {judge}: {evidence}")));
    }
    let begun = Instant::now();
    let mut fates = Vec::new();
    for number in chosen {
        let mutant = &mutants[number - 1];
        let fate = Fate { mutant, death: judges::tried(number, &programs)? };
        println!("{}", row(&fate));
        fates.push(fate);
    }
    let score = score(&fates);
    println!("{score}, in {} s", begun.elapsed().as_secs());
    if write && names.is_empty() && sample.is_none() {
        measurements::put("mutants", &page(&fates, &score))?;
    }
    let unexplained = fates.iter().filter(|fate| fate.death.is_some() == fate.mutant.equivalent.is_some()).count();
    match unexplained {
        0 => Ok(()),
        count => Err(Failure::NotAsItMustBe(format!("{count} mutants fare otherwise than they should"))),
    }
}

/// The numbers of the mutants that are tried.
fn choose(mutants: &[Mutant], names: &[&str], sample: Option<usize>) -> Vec<usize> {
    let wanted = |mutant: &Mutant| names.is_empty() || names.iter().any(|name| mutant.name.starts_with(name));
    let all: Vec<usize> = (1..=mutants.len()).filter(|number| wanted(&mutants[number - 1])).collect();
    let stride = sample.map_or(1, |count: usize| all.len().div_ceil(count.max(1)).max(1));
    all.into_iter().skip(stride / 2).step_by(stride).collect()
}

/// Writes the copy and builds what the judges run.
fn build(tree: &Tree, mutants: &[Mutant]) -> Result<Programs, Failure> {
    let place = root().join("target/mutants");
    let (copy, target) = (place.join("source"), place.join("target"));
    let grafted = graft::graft(tree, mutants).map_err(Failure::NotAsItMustBe)?;
    let files: BTreeMap<&str, &str> =
        tree.files("", "").chain(grafted.iter().map(|(path, text)| (path.as_str(), text.as_str()))).collect();
    drop_others(&copy, &files)?;
    for (path, text) in &files {
        write_if_new(&copy.join(path), text)?;
    }
    println!("building {} mutants in one", mutants.len());
    cargo(&copy, &target, &["build", "--package", "xtask"])?;
    let printed = cargo(&copy, &target, &["test", "--no-run", "--package", "chameleon-core", "--lib"])?;
    let named = |line: &str| {
        Some(line.trim().strip_prefix("Executable ")?.rsplit_once('(')?.1.trim_end_matches(')').to_owned())
    };
    let core_tests = printed.lines().find_map(named);
    let core_tests = core_tests.ok_or(Failure::NotAsItMustBe(format!("cargo names no test program: {printed}")))?;
    Ok(Programs { core_tests: copy.join(core_tests), xtask: target.join("debug/xtask"), log: place.join("judge.log") })
}

/// Deletes sources of an earlier copy that are there no more.
fn drop_others(copy: &Path, files: &BTreeMap<&str, &str>) -> Result<(), Failure> {
    let mut directories: Vec<PathBuf> = BUILT.iter().map(|part| copy.join(part)).filter(|path| path.is_dir()).collect();
    while let Some(directory) = directories.pop() {
        let unreadable = |why| Failure::Unreadable { path: directory.clone(), why };
        for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.strip_prefix(copy).unwrap_or(&path).to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if !files.contains_key(name.as_str()) {
                std::fs::remove_file(&path).map_err(|why| Failure::Unwritable { path, why })?;
            }
        }
    }
    Ok(())
}

/// A file that did not change keeps its date, so that it is not built again.
fn write_if_new(path: &Path, text: &str) -> Result<(), Failure> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let unwritable = |why| Failure::Unwritable { path: path.to_owned(), why };
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(unwritable)?;
    std::fs::write(path, text).map_err(unwritable)
}

/// Runs cargo in the copy; what it prints for people.
fn cargo(copy: &Path, target: &Path, words: &[&str]) -> Result<String, Failure> {
    let mut command = Command::new("cargo");
    command.args(words).args(["--locked", "--color", "never"]).current_dir(copy).stdin(Stdio::null());
    // It is built once and run hundreds of times.
    for package in ["chameleon-core", "chameleon-sim"] {
        command.args(["--config", &format!("profile.dev.package.{package}.opt-level=1")]);
    }
    command.env("CARGO_TARGET_DIR", target).env("RUSTFLAGS", "-Awarnings").env("CARGO_PROFILE_DEV_DEBUG", "none");
    let output = command.output().map_err(|why| Failure::Unstartable { program: "cargo".to_owned(), why })?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(printed),
        false => Err(Failure::NotAsItMustBe(format!("the mutants cannot be built:\n{printed}"))),
    }
}

/// A row of the table.
fn row(Fate { mutant, death }: &Fate) -> String {
    let (judge, evidence) = match (death, &mutant.equivalent) {
        (Some(Death { judge, evidence }), None) => (*judge, evidence.as_str()),
        (Some(Death { judge, evidence }), Some(_)) => (*judge, evidence.as_str()),
        (None, Some(why)) => ("nobody, rightly", why.as_str()),
        (None, None) => ("**nobody**", ""),
    };
    format!("| {} | {} | {judge} | {} |", mutant.name, mutant.fault, evidence.replace('|', "/"))
}

fn score(fates: &[Fate]) -> String {
    let killable = fates.iter().filter(|fate| fate.mutant.equivalent.is_none());
    let (killed, all) =
        killable.fold((0, 0), |(killed, all), fate| (killed + usize::from(fate.death.is_some()), all + 1));
    let rightly = fates.len() - all;
    let percent = (killed * 100).checked_div(all).unwrap_or(100);
    format!("{killed} of {all} mutants killed: {percent} %; {rightly} more change nothing that anybody could notice")
}

/// The section of `docs/measurements.md`.
fn page(fates: &[Fate], score: &str) -> String {
    let rows: Vec<String> = fates.iter().map(row).collect();
    format!(
        "## Mutants\n\n{score}.\n\n| mutant | fault | noticed by | which saw |\n|---|---|---|---|\n{}",
        rows.join("\n")
    )
}
