//! A change set: what differs between before and after, one entry a path, in an order of its own.
//!
//! Voted on are kinds, contents and modes. Not voted on, but kept for the commit, are owners, times, and what was
//! there before. Two programs that did the same therefore have equal vote digests, whenever they ran.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chameleon_core::job::OsBytes;
use chameleon_core::names::Digest;
use minicbor::{Decode, Encode};

use super::FilesError;
use super::blobs::Blobs;
use super::tree::{Stamp, Time};

/// Everything that one execution changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Manifest {
    /// The roots that paths are relative to, absolute: 0 the run directory, then the outputs.
    #[n(0)]
    pub roots: Vec<Root>,
    /// Sorted by root and path; a directory comes before what it holds.
    #[n(1)]
    pub changes: Vec<Change>,
    /// Paths of pipes, sockets and devices that were made: they cannot be committed.
    #[n(2)]
    pub unsupported: Vec<OsBytes>,
    /// Paths that were changed next to an `--output` that names another path: they are not committed.
    #[n(3)]
    pub outside: Vec<OsBytes>,
}

/// A directory whose changes are held.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Root {
    #[n(0)]
    pub number: u16,
    #[n(1)]
    pub path: OsBytes,
}

/// What became of one path.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// The number of its root.
    #[n(0)]
    pub root: u16,
    /// Relative to the root; empty: the root itself.
    #[n(1)]
    pub path: OsBytes,
    #[n(2)]
    pub now: Content,
    /// Not voted on; of no meaning if deleted.
    #[n(3)]
    pub owner: Owner,
    /// Not voted on; of no meaning if deleted.
    #[n(4)]
    pub modified: Time,
    /// Not voted on.
    #[n(5)]
    pub before: Before,
}

/// What is at a path after the execution.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Content {
    #[n(0)]
    File {
        /// Permissions, without the type.
        #[n(0)]
        mode: u32,
        #[n(1)]
        len: u64,
        #[n(2)]
        digest: Digest,
    },
    #[n(1)]
    Directory {
        #[n(0)]
        mode: u32,
    },
    #[n(2)]
    Symlink {
        #[n(0)]
        target: OsBytes,
    },
    /// Nothing, and nothing beneath it.
    #[n(3)]
    Deleted,
}

/// User and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Owner {
    #[n(0)]
    pub user: u32,
    #[n(1)]
    pub group: u32,
}

/// What was at a path before the execution, as seen when its changes were collected.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Before {
    #[n(0)]
    Absent,
    #[n(1)]
    Present {
        #[n(0)]
        stamp: Stamp,
        /// If it was a directory and is one no more: everything beneath it, directories first.
        #[n(1)]
        beneath: Vec<(OsBytes, Stamp)>,
    },
    /// Someone else changed it while the program ran.
    #[n(2)]
    Disturbed,
}

/// Directories before what they hold, and what they hold together: paths compare name by name.
#[must_use]
pub fn path_order(one: &[u8], other: &[u8]) -> Ordering {
    one.split(|byte| *byte == b'/').cmp(other.split(|byte| *byte == b'/'))
}

impl Manifest {
    /// The digest that is voted on. The contents of paths in the run directory that are `masked` are not part of it;
    /// that they exist, their kind and their mode are.
    #[must_use]
    pub fn vote_digest(&self, masked: &dyn Fn(&[u8]) -> bool) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for change in &self.changes {
            let overlooked = change.root == 0 && masked(&change.path);
            let voted = (change.root, &change.path, change.now.voted(overlooked));
            hasher.update(&minicbor::to_vec(voted).expect("encoding into memory cannot fail"));
        }
        Digest(hasher.finalize().into())
    }

    /// Both change sets as one, as if the later execution had run behind this one.
    ///
    /// # Errors
    /// A path that both changed, to different ends: running one behind the other could have come to
    /// anything, so neither may win silently.
    pub fn merged_with(mut self, later: Manifest) -> Result<Manifest, OsBytes> {
        if self.changes.is_empty() {
            return Ok(later);
        }
        let mut known: BTreeMap<(u16, OsBytes), Content> = BTreeMap::new();
        for change in &self.changes {
            known.insert((change.root, change.path.clone()), change.now.clone());
        }
        for change in later.changes {
            match known.get(&(change.root, change.path.clone())) {
                None => self.changes.push(change),
                Some(now) if *now == change.now => {}
                Some(_) => return Err(change.path),
            }
        }
        self.changes.sort_by(|one, other| one.root.cmp(&other.root).then_with(|| path_order(&one.path, &other.path)));
        self.unsupported.extend(later.unsupported);
        self.outside.extend(later.outside);
        Ok(self)
    }

    /// The sum of the lengths of the files that were written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let len = |change: &Change| if let Content::File { len, .. } = change.now { len } else { 0 };
        self.changes.iter().map(len).sum()
    }

    /// Keeps the whole manifest as a content; what is not voted on makes this digest differ from lane to lane.
    pub fn keep(&self, blobs: &Blobs) -> Result<Digest, FilesError> {
        blobs.put(&minicbor::to_vec(self).expect("encoding into memory cannot fail"))
    }

    /// Reads a manifest back.
    pub fn read(blobs: &Blobs, digest: Digest) -> Result<Manifest, FilesError> {
        minicbor::decode(&blobs.read(digest)?).map_err(|error| FilesError::Manifest(digest, error.to_string()))
    }
}

impl Content {
    /// What is voted on; of a path that is `overlooked`, that it exists, its kind and its mode.
    #[must_use]
    pub fn voted(&self, overlooked: bool) -> Content {
        match self {
            Content::File { mode, .. } if overlooked => {
                Content::File { mode: *mode, len: 0, digest: Digest::default() }
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: u8, modified: i64) -> Change {
        Change {
            root: 0,
            path: path.as_bytes().to_vec().into(),
            now: Content::File { mode: 0o644, len: 1, digest: Digest([content; 32]) },
            owner: Owner { user: 0, group: 0 },
            modified: Time(modified, 0),
            before: Before::Absent,
        }
    }

    fn manifest(changes: Vec<Change>) -> Manifest {
        Manifest { changes, ..Manifest::default() }
    }

    #[test]
    fn votes_differ_by_content_and_path_but_not_by_time() {
        let vote = |change: Change| manifest(vec![change]).vote_digest(&|path| path == b"masked");
        let cases = [
            (file("a", 1, 5), file("a", 1, 6), true),
            (file("a", 1, 5), file("a", 2, 5), false),
            (file("a", 1, 5), file("b", 1, 5), false),
            (file("masked", 1, 5), file("masked", 2, 5), true),
            (file("masked", 1, 5), Change { now: Content::Deleted, ..file("masked", 1, 5) }, false),
        ];
        for (one, other, equal) in cases {
            assert_eq!(vote(one.clone()) == vote(other.clone()), equal, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_directory_comes_before_what_it_holds_and_nothing_comes_between() {
        let mut paths = ["a-b", "a/b", "a", "a/b/c", "a.c"].map(str::as_bytes);
        paths.sort_by(|one, other| path_order(one, other));
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a-b", "a.c"].map(str::as_bytes));
    }

    #[test]
    fn a_kept_manifest_reads_back_and_a_garbled_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let kept = manifest(vec![file("a", 1, 5)]);
        assert_eq!(Manifest::read(&blobs, kept.keep(&blobs).unwrap()).unwrap(), kept);
        let garbled = blobs.put(b"\xff\xff").unwrap();
        assert!(Manifest::read(&blobs, garbled).is_err());
    }
}
