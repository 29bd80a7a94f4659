//! Random numbers that a seed repeats.

/// A sequence that its seed decides (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }

    /// Bytes that do not compress to nothing and not to themselves: lines of few words and numbers.
    #[must_use]
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        const WORDS: [&str; 8] = ["lane", "vote", "ballot", "verdict", "fault", "error", "failure", "host"];
        let mut text = Vec::with_capacity(length + 64);
        while text.len() < length {
            let number = self.draw();
            let word = WORDS[(number % 8) as usize];
            text.extend_from_slice(format!("{:016x} {word} {}\n", number >> 3, number % 1_000).as_bytes());
        }
        text.truncate(length);
        text
    }
}

/// The seed of this run: `CHAMELEON_SEED`, else from the clock. Printed by whoever uses it, so that a
/// failure can be played again.
#[must_use]
pub fn seed() -> u64 {
    let given = std::env::var("CHAMELEON_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |since| since.as_nanos() as u64 % 1_000_000_007)
    })
}
