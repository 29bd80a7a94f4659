//! Files that a command names and its lanes do not see, as they lie in a directory that each lane has of its own.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use chameleon_core::job::{Job, OsBytes};
use chameleon_node::slot::plan::hidden_directories;

/// What parts a path from its surroundings in an argument or in a line for the shell.
const AROUND_PATHS: &[u8] = b" \t\n'\"`<>|&;()=:,";

/// A sentence for each. A program that reads such a file fails, and one that writes it writes a copy that is thrown away:
/// its own words do not say why.
pub fn remarks(job: &Job) -> Vec<String> {
    let environment: Vec<OsString> = job.environment.iter().map(|entry| OsString::from_vec(entry.to_vec())).collect();
    let private = hidden_directories(&environment);
    named(job, &private).iter().map(|path| sentence(path)).collect()
}

fn sentence(path: &Path) -> String {
    let path = path.display();
    format!(
        "{path} was not there for the program: it lies in a directory that is private to each lane; --input {path} \
         shows it, --output {path} lets it be written"
    )
}

fn named(job: &Job, private: &[PathBuf]) -> BTreeSet<PathBuf> {
    let directory = Path::new(OsStr::from_bytes(&job.directory));
    let mut unseen = BTreeSet::new();
    for stage in &job.stages {
        let shown: Vec<PathBuf> =
            stage.inputs.iter().chain(&stage.outputs).map(|path| directory.join(os(path))).collect();
        let words = stage.command.iter().skip(1).flat_map(|word| word.split(|byte| AROUND_PATHS.contains(byte)));
        let paths = words.filter(|word| word.starts_with(b"/")).map(|word| PathBuf::from(OsStr::from_bytes(word)));
        let is_shown = |path: &Path| path.starts_with(directory) || shown.iter().any(|shown| path.starts_with(shown));
        let is_private = |path: &Path| private.iter().any(|hidden| path.starts_with(hidden) && path != hidden);
        unseen.extend(paths.filter(|path| is_private(path) && !is_shown(path) && path.exists()));
    }
    unseen
}

fn os(path: &OsBytes) -> &OsStr {
    OsStr::from_bytes(path)
}

#[cfg(test)]
mod tests {
    use chameleon_core::job::Stdin;

    use super::*;
    use crate::request::{self, Here, JobFlags};

    #[test]
    fn what_a_command_names_in_a_private_directory_is_told_unless_it_is_shown() {
        let private = tempfile::tempdir().unwrap();
        let place = private.path().canonicalize().unwrap();
        let [there, shown, missing] = ["there", "shown", "missing"].map(|name| place.join(name));
        std::fs::write(&there, "").unwrap();
        std::fs::write(&shown, "").unwrap();
        let line = format!("sort<'{}' {} {} /etc/passwd", there.display(), shown.display(), missing.display());
        let here = Here { directory: "/srv".into(), environment: vec![], stdin: Stdin::Null, umask: 0o022 };
        let command = vec!["sh".into(), "-c".into(), line.into()];
        let mut job = request::of_command(command, JobFlags::default(), here).unwrap();
        job.stages[0].inputs = vec![shown.into_os_string().into_vec().into()];
        let told: Vec<PathBuf> = named(&job, std::slice::from_ref(&place)).into_iter().collect();
        assert_eq!(told, [there]);
        job.directory = place.as_os_str().as_bytes().to_vec().into();
        assert!(named(&job, &[place]).is_empty(), "the run directory is seen, wherever it lies");
    }
}
