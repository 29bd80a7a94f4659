//! `cargo xtask stories`: the scenarios, told and compared with their records.

use chameleon_core::armors::raise;
use chameleon_sim::stories;

use crate::failure::Failure;
use crate::tree;

/// Tells the stories of `scenarios/`, or those that are named; `--bless` keeps what happened as the record.
///
/// # Errors
/// A story does not end as it says, or went otherwise than recorded.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let bless = words.iter().any(|word| word == "--bless");
    let names: Vec<&String> = words.iter().filter(|word| *word != "--bless").collect();
    let mut failed = Vec::new();
    for path in stories::paths(&tree::root().join("scenarios")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !names.is_empty() && !names.contains(&&name) {
            continue;
        }
        match stories::check(&path, raise, bless) {
            Ok(()) => println!("{name}: as told"),
            Err(error) => {
                println!("{name}: {error}");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::NotAsItMustBe(format!("not as told: {}", failed.join(", ")))) }
}
