//! Directory trees as text, and change sets made by editing a copy.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use chameleon_node::files::blobs::Blobs;
use chameleon_node::files::harvest::{Harvest, HeldRoot, Layer, harvest};
use chameleon_node::files::manifest::Manifest;
use chameleon_node::files::tree::{Time, beneath};

/// A directory with everything that a commit needs next to it.
pub struct World {
    pub base: PathBuf,
}

impl World {
    pub fn new(base: &Path) -> World {
        for name in ["run", "out", "copies/run", "copies/out"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        World { base: base.to_owned() }
    }

    pub fn root(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    pub fn copy(&self, name: &str) -> PathBuf {
        self.base.join("copies").join(name)
    }

    pub fn pointers(&self) -> PathBuf {
        self.base.join("pointers")
    }

    pub fn blobs(&self) -> Blobs {
        Blobs::open(&self.base.join("blobs")).unwrap()
    }

    /// The difference between the two roots and their copies.
    pub fn harvest(&self) -> Manifest {
        self.harvest_since(Time::now())
    }

    pub fn harvest_since(&self, since: Time) -> Manifest {
        let roots = (0..).zip(["run", "out"]).map(|(number, name)| HeldRoot {
            shown: self.root(name),
            sealed: false,
            number,
            directory: self.root(name),
            layer: Layer::Copy(self.copy(name)),
            only: None,
        });
        harvest(&Harvest { roots: roots.collect(), blobs: self.blobs(), since }).unwrap()
    }
}

/// Directories without permissions withstand an ordinary removal.
impl Drop for World {
    fn drop(&mut self) {
        for name in ["run", "out", "copies"] {
            let _ = chameleon_node::files::tree::remove(&self.base.join(name));
        }
    }
}

/// Everything beneath a directory: path → kind, mode and content.
pub fn state(directory: &Path) -> BTreeMap<String, String> {
    let paths = beneath(directory).unwrap();
    let describe = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        let mode = metadata.mode() & 0o7777;
        if metadata.is_symlink() {
            format!("link to {}", fs::read_link(path).unwrap().display())
        } else if metadata.is_dir() {
            format!("directory {mode:o}")
        } else {
            format!("file {mode:o} {}", String::from_utf8_lossy(&fs::read(path).unwrap()))
        }
    };
    paths
        .into_iter()
        .map(|(path, _)| {
            let full = directory.join(std::ffi::OsStr::from_bytes(&path));
            (String::from_utf8_lossy(&path).into_owned(), describe(&full))
        })
        .collect()
}

/// Makes what a line says in `directory`: `f path mode content`, `d path mode`, `l path target`, `- path`.
pub fn edit(directory: &Path, lines: &[&str]) {
    for line in lines {
        let mut words = line.splitn(4, ' ');
        let (kind, path) = (words.next().unwrap(), directory.join(words.next().unwrap()));
        let third = words.next().unwrap_or_default();
        let mode = || fs::Permissions::from_mode(u32::from_str_radix(third, 8).unwrap());
        match kind {
            "f" => {
                fs::write(&path, words.next().unwrap_or_default()).unwrap();
                fs::set_permissions(&path, mode()).unwrap();
            }
            "d" => {
                fs::create_dir_all(&path).unwrap();
                fs::set_permissions(&path, mode()).unwrap();
            }
            "l" => symlink(third, &path).unwrap(),
            "-" if path.is_symlink() || path.is_file() => fs::remove_file(&path).unwrap(),
            "-" => fs::remove_dir_all(&path).unwrap(),
            other => panic!("no such edit: {other}"),
        }
    }
}

/// Both roots as they were, and what a program made of them: every kind of change there is.
pub const BEFORE: &[&str] = &[
    "f kept 644 kept",
    "f changed 644 old",
    "f mode 644 same",
    "f gone 600 gone",
    "d tree 755",
    "f tree/a 644 a",
    "d tree/in 755",
    "f tree/in/b 644 b",
    "f file-to-directory 644 x",
    "d directory-to-file 755",
    "f directory-to-file/inner 644 inner",
    "l link old-target",
    "d closed 555",
    "d opened 755",
];
pub const EDITS: &[&str] = &[
    "f changed 644 new",
    "f mode 755 same",
    "- gone",
    "- tree",
    "- file-to-directory",
    "d file-to-directory 750",
    "f file-to-directory/inner 640 y",
    "- directory-to-file",
    "f directory-to-file 600 z",
    "- link",
    "l link new-target",
    "f new 644 new",
    "d deep/er/est 700",
    "f deep/er/est/file 400 deep",
    "d closed 755",
    "f closed/inside 644 in",
    "d closed 555",
    "d opened 500",
    "l dangling /nowhere",
];

/// A world with both roots as they were and copies as the program left them.
pub fn changed_world(base: &Path) -> World {
    let world = World::new(base);
    for name in ["run", "out"] {
        edit(&world.root(name), BEFORE);
        edit(&world.copy(name), BEFORE);
        edit(&world.copy(name), EDITS);
    }
    world
}
