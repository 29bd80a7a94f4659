//! The scenarios go as they are recorded. After a change that is meant: `cargo xtask stories --bless`,
//! and read what changed.

use std::path::Path;

use chameleon_core::armors::raise;
use chameleon_sim::stories::{check, paths};

#[test]
fn every_story_goes_as_recorded() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let paths = paths(&scenarios);
    assert!(paths.len() >= 15, "the stories are in {}", scenarios.display());
    let wrong: Vec<String> = paths
        .iter()
        .filter_map(|path| check(path, raise, false).err().map(|error| format!("{}: {error}", path.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
