//! The first path in which two change sets differ.
//!
//! Events name a change set by the digest that was voted on; the set itself is found again among the
//! job's blobs by computing that digest anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chameleon_core::job::Mask;
use chameleon_core::names::{Digest, LaneId};
use chameleon_node::files::blobs::Blobs;
use chameleon_node::files::manifest::{Change, Content, Manifest, path_order};

use super::bytes::Difference;
use crate::packs::Packs;

/// Larger blobs are contents and no change sets worth reading here.
const LARGEST: u64 = 16 << 20;
/// How many blobs are looked at.
const LOOKED_AT: usize = 10_000;

/// Where the change sets of these digests differ first; `None` if they cannot be found again.
pub fn first(packs: &Packs, masks: &[Mask], left: (LaneId, Digest), right: (LaneId, Digest)) -> Option<Vec<String>> {
    let (one, other) = (find(packs, masks, left.1)?, find(packs, masks, right.1)?);
    let place = |set: &Manifest, change: &Change| {
        let root = set.roots.iter().find(|root| root.number == change.root);
        let path: Vec<u8> = root.into_iter().flat_map(|root| root.path.iter().chain(b"/")).copied().collect();
        String::from_utf8_lossy(&[&path[..], &change.path].concat()).into_owned()
    };
    let (mine, theirs) = (&mut one.changes.iter().peekable(), &mut other.changes.iter().peekable());
    loop {
        let (change, opposite) = match (mine.peek(), theirs.peek()) {
            (None, None) => return None,
            (Some(change), None) => return Some(only(left.0, &place(&one, change))),
            (None, Some(change)) => return Some(only(right.0, &place(&other, change))),
            (Some(change), Some(opposite)) => (*change, *opposite),
        };
        let order = change.root.cmp(&opposite.root).then_with(|| path_order(&change.path, &opposite.path));
        match order {
            std::cmp::Ordering::Less => return Some(only(left.0, &place(&one, change))),
            std::cmp::Ordering::Greater => return Some(only(right.0, &place(&other, opposite))),
            std::cmp::Ordering::Equal if change.now != opposite.now => {
                let path = place(&one, change);
                return Some(contents(packs, &path, (left.0, &change.now), (right.0, &opposite.now)));
            }
            std::cmp::Ordering::Equal => {}
        }
        mine.next();
        theirs.next();
    }
}

fn only(lane: LaneId, path: &str) -> Vec<String> {
    vec![format!("only lane {lane} changed {path}")]
}

fn contents(packs: &Packs, path: &str, left: (LaneId, &Content), right: (LaneId, &Content)) -> Vec<String> {
    if let (Content::File { digest: one, .. }, Content::File { digest: other, .. }) = (left.1, right.1) {
        let files = blob(packs, *one).zip(blob(packs, *other));
        let found = files.and_then(|(mut one, mut other)| Difference::between(&mut one, &mut other).ok()?);
        if let Some(difference) = found {
            return difference.lines(&format!(" in {path}"), left.0, right.0);
        }
    }
    vec![format!("first difference in {path}: {} and {}", words(left.1), words(right.1))]
}

fn words(content: &Content) -> String {
    match content {
        Content::File { mode, len, .. } => format!("a file of {len} bytes, mode {mode:o}"),
        Content::Directory { mode } => format!("a directory, mode {mode:o}"),
        Content::Symlink { target } => format!("a link to {}", String::from_utf8_lossy(target)),
        Content::Deleted => "deleted".to_owned(),
    }
}

fn find(packs: &Packs, masks: &[Mask], voted: Digest) -> Option<Manifest> {
    if voted == Digest::default() {
        return Some(Manifest::default());
    }
    let masked = |path: &[u8]| masks.iter().any(|mask| mask.covers(path));
    let store = packs.blobs();
    let blobs = fs::read_dir(&store).into_iter().flatten().flatten().map(|entry| entry.path());
    let small = |path: &PathBuf| path.metadata().is_ok_and(|data| data.len() <= LARGEST);
    let mut sets = blobs.take(LOOKED_AT).filter(small).filter_map(|path| read(&store, &path));
    sets.find(|set| set.vote_digest(&masked) == voted)
}

/// A change set, if the blob is one.
fn read(store: &Path, path: &Path) -> Option<Manifest> {
    let bytes = fs::read(path).ok()?;
    let digest = Digest(*blake3::hash(&bytes).as_bytes());
    Manifest::read(&Blobs::open(store).ok()?, digest).ok()
}

fn blob(packs: &Packs, digest: Digest) -> Option<File> {
    File::open(packs.blobs().join(digest.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::JobId;
    use chameleon_node::files::manifest::{Before, Owner, Root};
    use chameleon_node::files::tree::Time;

    const L0: LaneId = LaneId(0);
    const L1: LaneId = LaneId(1);

    fn set(files: &[(&str, &[u8])]) -> Manifest {
        let change = |(path, bytes): &(&str, &[u8])| Change {
            root: 0,
            path: path.as_bytes().to_vec().into(),
            now: Content::File {
                mode: 0o644,
                len: bytes.len() as u64,
                digest: Digest(*blake3::hash(bytes).as_bytes()),
            },
            owner: Owner { user: 0, group: 0 },
            modified: Time(0, 0),
            before: Before::Absent,
        };
        let roots = vec![Root { number: 0, path: b"/run".to_vec().into() }];
        Manifest { roots, changes: files.iter().map(change).collect(), unsupported: vec![], outside: vec![] }
    }

    #[test]
    fn the_first_path_that_differs_is_named_with_what_is_in_it() {
        type Files = &'static [(&'static str, &'static [u8])];
        let table: [(Files, Files, &[&str]); 4] = [
            (
                &[("a", b"1"), ("b", b"2")],
                &[("a", b"1"), ("b", b"3")],
                &["first difference in /run/b at byte 0 (line 1):"],
            ),
            (&[("a", b"1"), ("b", b"2")], &[("a", b"1")], &["only lane l0 changed /run/b"]),
            (&[("b", b"2")], &[("a", b"1"), ("b", b"2")], &["only lane l1 changed /run/a"]),
            (&[("d/x", b"2")], &[("d-x", b"2")], &["only lane l0 changed /run/d/x"]),
        ];
        for (left, right, expected) in table {
            let home = tempfile::tempdir().unwrap();
            chameleon_node::home::Home::create(home.path()).unwrap();
            let blobs = Blobs::open(&home.path().join("hosts/h1/jobs/j1/blobs")).unwrap();
            let voted = [left, right].map(|files| {
                for (_, bytes) in files {
                    blobs.put(bytes).unwrap();
                }
                let set = set(files);
                blobs.put(&minicbor::to_vec(&set).unwrap()).unwrap();
                set.vote_digest(&|_| false)
            });
            let packs = Packs::new(home.path(), JobId(1)).unwrap();
            let lines = first(&packs, &[], (L0, voted[0]), (L1, voted[1])).unwrap();
            assert_eq!(lines[..1], *expected);
            assert_eq!(first(&packs, &[], (L0, voted[0]), (L1, voted[0])), None, "nothing differs");
        }
    }
}
