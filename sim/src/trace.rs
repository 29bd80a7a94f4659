//! What happened, as a digest that two runs can be compared by, and as lines that a person reads.

use std::collections::VecDeque;

/// How much is written down. It changes nothing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The digest only.
    Digest,
    /// Everything, as far as it is remembered: the last so many lines.
    Everything(usize),
    /// What a story is about: deeds and decisions, no acknowledgements, saves or pulses.
    Story,
}

/// The record of a run.
#[derive(Debug)]
pub struct Trace {
    detail: Detail,
    hasher: blake3::Hasher,
    lines: VecDeque<String>,
}

impl Trace {
    #[must_use]
    pub fn new(detail: Detail) -> Self {
        Trace { detail, hasher: blake3::Hasher::new(), lines: VecDeque::new() }
    }

    /// Whether lines that only matter to who looks for a defect are wanted.
    #[must_use]
    pub fn everything(&self) -> bool {
        matches!(self.detail, Detail::Everything(_))
    }

    /// Whether any line is wanted.
    #[must_use]
    pub fn written(&self) -> bool {
        self.detail != Detail::Digest
    }

    /// Mixes into the digest what happened.
    pub fn mix(&mut self, numbers: &[u64], bytes: &[u8]) {
        for number in numbers {
            self.hasher.update(&number.to_le_bytes());
        }
        self.hasher.update(bytes);
    }

    /// Writes a line, if lines are wanted.
    pub fn line(&mut self, now_us: u64, text: impl FnOnce() -> String) {
        let most = match self.detail {
            Detail::Digest => return,
            Detail::Everything(most) => most,
            Detail::Story => usize::MAX,
        };
        if self.lines.len() >= most {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>9} ms  {}", format!("{}.{}", now_us / 1_000, now_us % 1_000 / 100), text()));
    }

    /// As [`Trace::line`], for what only matters to who looks for a defect.
    pub fn detail(&mut self, now_us: u64, text: impl FnOnce() -> String) {
        if self.everything() {
            self.line(now_us, text);
        }
    }

    /// The digest of all that happened, as hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        self.hasher.finalize().to_hex()[..16].to_owned()
    }

    /// The lines, the earliest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_lines_as_asked_for_are_remembered() {
        let mut trace = Trace::new(Detail::Everything(2));
        for word in ["one", "two", "three"] {
            trace.line(1_500, || word.to_owned());
        }
        assert_eq!(trace.lines().collect::<Vec<_>>(), ["      1.5 ms  two", "      1.5 ms  three"]);
    }

    #[test]
    fn the_digest_does_not_depend_on_what_is_written_down() {
        let digest = |detail| {
            let mut trace = Trace::new(detail);
            trace.mix(&[1, 2], b"x");
            trace.line(0, || "line".to_owned());
            trace.digest()
        };
        assert_eq!(digest(Detail::Digest), digest(Detail::Story));
    }
}
