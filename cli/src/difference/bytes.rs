//! The first byte in which two contents differ.

use std::io::{self, Read};

use chameleon_core::names::LaneId;

/// How many bytes after the difference are shown.
const SHOWN: usize = 24;
const CHUNK: usize = 64 << 10;

/// The first byte that differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    offset: u64,
    /// From 1.
    line: u64,
    /// What follows on each side, from the difference on or a little before.
    left: Vec<u8>,
    right: Vec<u8>,
}

impl Difference {
    /// Compares two outputs; none if they are equal.
    pub fn between(left: &mut impl Read, right: &mut impl Read) -> io::Result<Option<Self>> {
        let (mut offset, mut line) = (0, 1);
        loop {
            let (one, other) = (chunk(left)?, chunk(right)?);
            let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
            let newlines = one[..same].iter().filter(|byte| **byte == b'\n').count() as u64;
            if same < one.len().max(other.len()) {
                let excerpt = |bytes: &[u8]| bytes.iter().skip(same).take(SHOWN).copied().collect();
                let (left, right) = (excerpt(&one), excerpt(&other));
                return Ok(Some(Difference { offset: offset + same as u64, line: line + newlines, left, right }));
            }
            if one.is_empty() {
                return Ok(None);
            }
            (offset, line) = (offset + same as u64, line + newlines);
        }
    }

    /// Where it is, and what each side has there. `place` follows "first difference", as in " in FILE".
    pub fn lines(&self, place: &str, left: LaneId, right: LaneId) -> Vec<String> {
        let head = format!("first difference{place} at byte {} (line {}):", self.offset, self.line);
        vec![head, format!("  {left}: {}", excerpt(&self.left)), format!("  {right}: {}", excerpt(&self.right))]
    }
}

/// A full chunk, or what is left.
fn chunk(bytes: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::new();
    bytes.take(CHUNK as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// Hexadecimal digits, and the text they stand for.
fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "ends here".to_owned();
    }
    let hex: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{:23}  \"{}\"", hex.join(" "), bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(left: &[u8], right: &[u8]) -> Option<(u64, u64, Vec<u8>, Vec<u8>)> {
        let found = Difference::between(&mut &*left, &mut &*right).unwrap();
        found.map(|found| (found.offset, found.line, found.left, found.right))
    }

    #[test]
    fn the_first_difference_has_its_byte_and_line() {
        let long = vec![b'\n'; CHUNK];
        let table = [
            (&b"same"[..], &b"same"[..], None),
            (b"", b"", None),
            (b"a\nbc", b"a\nbd", Some((3, 2, b"c".to_vec(), b"d".to_vec()))),
            (b"abc", b"ab", Some((2, 1, b"c".to_vec(), vec![]))),
            (b"", b"x", Some((0, 1, vec![], b"x".to_vec()))),
        ];
        for (left, right, expected) in table {
            assert_eq!(between(left, right), expected);
        }
        let (left, right) = ([&long[..], b"a"].concat(), [&long[..], b"b"].concat());
        let expected = Some((CHUNK as u64, CHUNK as u64 + 1, b"a".to_vec(), b"b".to_vec()));
        assert_eq!(between(&left, &right), expected, "across chunks");
    }
}
