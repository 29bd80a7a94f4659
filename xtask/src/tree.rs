//! The source as it lies in its directory: every file of text that people wrote, by its path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What nobody wrote by hand.
const NOT_OURS: [&str; 6] = ["target", ".git", "corpus", "artifacts", "coverage", "node_modules"];

/// All files whose bytes are text, by their path from the root, with `/`.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

/// The root of the source.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Tree {
    /// Reads the source that this program was built from.
    ///
    /// # Errors
    /// A directory or a file cannot be read.
    pub fn read() -> Result<Self, Failure> {
        let mut tree = Tree::default();
        tree.read_directory(&root(), "")?;
        Ok(tree)
    }

    fn read_directory(&mut self, directory: &Path, prefix: &str) -> Result<(), Failure> {
        let unreadable = |why| Failure::Unreadable { path: directory.to_owned(), why };
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().map_err(unreadable)?;
            let path = format!("{prefix}{name}");
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                self.read_directory(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes =
                    std::fs::read(entry.path()).map_err(|why| Failure::Unreadable { path: entry.path(), why })?;
                self.files.extend(String::from_utf8(bytes).ok().map(|text| (path, text)));
            }
        }
        Ok(())
    }

    /// The text of a file, if there is such a file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is a file of this path, or one below it.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        path.is_empty() || self.files.contains_key(path) || self.files.keys().any(|known| known.starts_with(&below))
    }

    /// Files whose path begins and ends so, in order of paths.
    pub fn files<'t>(&'t self, begins: &'t str, ends: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(move |(path, _)| path.starts_with(begins) && path.ends_with(ends))
    }

    /// Files in a directory, none in those below it: what they are called without directory and ending.
    pub fn stems<'t>(&'t self, directory: &'t str) -> impl Iterator<Item = &'t str> {
        let names = self.files.keys().filter_map(move |path| path.strip_prefix(directory)?.strip_prefix('/'));
        names.filter(|name| !name.contains('/')).filter_map(|name| name.split('.').next())
    }

    /// A source that consists of these files, for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Tree { files: files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect() }
    }
}
