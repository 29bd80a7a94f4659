//! Where two results part: the first path whose change differs, and the first byte that does, for reports.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::manifest::{Change, Content, Manifest, path_order};

/// The first path that two executions left in different states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathDifference {
    pub root: u16,
    /// Relative to the root.
    pub path: Vec<u8>,
    /// `None`: it was not changed.
    pub one: Option<Content>,
    pub other: Option<Content>,
}

/// The first path in which two change sets differ, as far as it is voted on.
#[must_use]
pub fn first_path(one: &Manifest, other: &Manifest, masked: &dyn Fn(&[u8]) -> bool) -> Option<PathDifference> {
    let (mut ones, mut others) = (one.changes.iter().peekable(), other.changes.iter().peekable());
    loop {
        let order = match (ones.peek(), others.peek()) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => one.root.cmp(&other.root).then_with(|| path_order(&one.path, &other.path)),
        };
        let one = if order.is_le() { ones.next() } else { None };
        let other = if order.is_ge() { others.next() } else { None };
        let change = one.or(other)?;
        let overlooked = change.root == 0 && masked(&change.path);
        let voted = |change: Option<&Change>| change.map(|change| change.now.voted(overlooked));
        if voted(one) != voted(other) {
            let now = |change: Option<&Change>| change.map(|change| change.now.clone());
            let path = change.path.to_vec();
            return Some(PathDifference { root: change.root, path, one: now(one), other: now(other) });
        }
    }
}

impl fmt::Display for PathDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.path.is_empty() { b"." } else { &self.path[..] };
        let state = |content: &Option<Content>| content.as_ref().map_or("is unchanged".into(), describe);
        write!(f, "{} {} in one and {} in the other", name.escape_ascii(), state(&self.one), state(&self.other))
    }
}

fn describe(content: &Content) -> String {
    match content {
        Content::File { mode, len, digest } => format!("is a file of {len} bytes, mode {mode:o}, {}", digest.short()),
        Content::Directory { mode } => format!("is a directory, mode {mode:o}"),
        Content::Symlink { target } => format!("is a link to {}", target.escape_ascii()),
        Content::Deleted => "is deleted".into(),
    }
}

/// A part of a file, such as an execution's region of a pack.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub file: &'a File,
    /// In bytes.
    pub offset: u64,
    pub len: u64,
}

/// The first byte that differs, with a little of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteDifference {
    /// From the start of the parts.
    pub offset: u64,
    /// From 1.
    pub line: u64,
    /// What follows from there on: at most 40 bytes, none at the end.
    pub one: Vec<u8>,
    pub other: Vec<u8>,
}

const EXCERPT: u64 = 40;

/// The first byte in which two parts differ; `None`: they are equal.
pub fn first_byte(one: Part<'_>, other: Part<'_>) -> io::Result<Option<ByteDifference>> {
    let (mut offset, mut line) = (0, 1);
    let (mut left, mut right) = (Reader::new(one), Reader::new(other));
    loop {
        let (ours, theirs) = (left.chunk()?, right.chunk()?);
        let same = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
        line += ours[..same].iter().filter(|byte| **byte == b'\n').count() as u64;
        offset += same as u64;
        if same < ours.len().max(theirs.len()) {
            let excerpt = |part: Part<'_>| excerpt(part, offset);
            return Ok(Some(ByteDifference { offset, line, one: excerpt(one)?, other: excerpt(other)? }));
        }
        if same == 0 {
            return Ok(None);
        }
    }
}

impl fmt::Display for ByteDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |bytes: &[u8]| match bytes {
            [] => "the end".to_owned(),
            bytes => format!("\"{}\"", bytes.escape_ascii()),
        };
        write!(f, "byte {}, line {}: {} against {}", self.offset, self.line, show(&self.one), show(&self.other))
    }
}

fn excerpt(part: Part<'_>, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; EXCERPT.min(part.len.saturating_sub(offset)) as usize];
    part.file.read_exact_at(&mut bytes, part.offset + offset)?;
    Ok(bytes)
}

/// Reads a part chunk by chunk, all of equal length but the last.
struct Reader<'a> {
    part: Part<'a>,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(part: Part<'a>) -> Reader<'a> {
        Reader { part, at: 0, buffer: vec![0; 256 * 1024] }
    }

    fn chunk(&mut self) -> io::Result<&[u8]> {
        let most = (self.buffer.len() as u64).min(self.part.len - self.at) as usize;
        self.part.file.read_exact_at(&mut self.buffer[..most], self.part.offset + self.at)?;
        self.at += most as u64;
        Ok(&self.buffer[..most])
    }
}

/// Whether two streams hold the same bytes.
pub(super) fn equal(mut one: impl Read, mut other: impl Read) -> io::Result<bool> {
    let mut buffers = [vec![0; 256 * 1024], vec![0; 256 * 1024]];
    loop {
        let (read, also) = (fill(&mut one, &mut buffers[0])?, fill(&mut other, &mut buffers[1])?);
        if buffers[0][..read] != buffers[1][..also] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::manifest::{Before, Owner};
    use crate::files::tree::Time;
    use chameleon_core::names::Digest;

    /// Paths, each with what its content is made of.
    type Changed<'a> = &'a [(&'a str, u8)];

    fn manifest(changes: Changed<'_>) -> Manifest {
        let change = |(path, content): &(&str, u8)| Change {
            root: 0,
            path: path.as_bytes().to_vec().into(),
            now: Content::File { mode: 0o644, len: 1, digest: Digest([*content; 32]) },
            owner: Owner { user: 0, group: 0 },
            modified: Time(0, 0),
            before: Before::Absent,
        };
        Manifest { changes: changes.iter().map(change).collect(), ..Manifest::default() }
    }

    #[test]
    fn the_first_path_that_differs_is_found() {
        let cases: &[(Changed, Changed, Option<&str>)] = &[
            (&[("a", 1), ("b", 1)], &[("a", 1), ("b", 1)], None),
            (&[("a", 1), ("b", 1)], &[("a", 1), ("b", 2)], Some("b")),
            (&[("a", 1)], &[("b", 1)], Some("a")),
            (&[("b", 1)], &[("a", 1), ("b", 1)], Some("a")),
            (&[("a", 1), ("masked", 1)], &[("a", 1), ("masked", 2)], None),
            (&[("a", 1), ("masked", 1)], &[("a", 1)], Some("masked")),
            (&[], &[("a", 1)], Some("a")),
        ];
        for (one, other, expected) in cases {
            let found = first_path(&manifest(one), &manifest(other), &|path| path == b"masked");
            assert_eq!(
                found.map(|found| found.path),
                expected.map(|path| path.as_bytes().to_vec()),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn a_difference_reads_as_a_sentence() {
        let found = first_path(&manifest(&[("a", 1)]), &manifest(&[]), &|_| false).unwrap().to_string();
        assert_eq!(found, "a is a file of 1 bytes, mode 644, 01010101 in one and is unchanged in the other");
    }

    #[test]
    fn the_first_byte_that_differs_is_found_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let long = "line\n".repeat(100_000);
        let cases = [
            ("same".to_owned(), "same".to_owned(), None),
            ("a\nb".into(), "a\nc".into(), Some((2, 2))),
            ("short".into(), "shorter".into(), Some((5, 1))),
            (format!("{long}x"), format!("{long}y"), Some((500_000, 100_001))),
            (String::new(), String::new(), None),
            (String::new(), "x".into(), Some((0, 1))),
        ];
        for (one, other, expected) in cases {
            let paths = ["one", "other"].map(|name| folder.path().join(name));
            std::fs::write(&paths[0], format!("before{one}after")).unwrap();
            std::fs::write(&paths[1], &other).unwrap();
            let files = paths.map(|path| File::open(path).unwrap());
            let one = Part { file: &files[0], offset: 6, len: one.len() as u64 };
            let other = Part { file: &files[1], offset: 0, len: other.len() as u64 };
            let found = first_byte(one, other).unwrap();
            assert_eq!(found.map(|found| (found.offset, found.line)), expected);
        }
    }
}
