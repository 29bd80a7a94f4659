//! All that is left to chance, drawn from one seed: the same seed is the same world.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators",
//! OOPSLA 2014): one word of state, good enough to shake a protocol, and the same on every machine.

/// A stream of random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance {
    state: u64,
    /// Delays are as usual, always: for stories, which are to stay as they are told.
    calm: bool,
}

impl Chance {
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Chance { state: seed, calm: false }
    }

    /// The next number, any of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `from..to`; `from` if that is empty.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        if to <= from { from } else { from + self.number() % (to - from) }
    }

    /// True so often, of a thousand times.
    pub fn per_mille(&mut self, often: u64) -> bool {
        self.within(0, 1_000) < often
    }

    /// One of these, unless there are none.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.within(0, among.len() as u64)).ok()?;
        among.get(index)
    }

    /// From now on delays are as usual, always.
    pub fn calm(&mut self) {
        self.calm = true;
    }

    /// Mostly short, at times ten or a hundred times longer: what delays are like, in microseconds.
    pub fn delay_us(&mut self, usual_us: u64) -> u64 {
        if self.calm {
            return usual_us;
        }
        let longer = match self.within(0, 200) {
            0 => 100,
            1..=9 => 10,
            _ => 1,
        };
        self.within(usual_us / 2, usual_us * 2) * longer + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_does_not() {
        let draw = |seed| -> Vec<u64> {
            let mut chance = Chance::of(seed);
            (0..8).map(|_| chance.number()).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut chance = Chance::of(1);
        assert!((0..1_000).all(|_| (3..9).contains(&chance.within(3, 9))));
        assert_eq!(chance.within(5, 5), 5);
        assert_eq!(chance.pick::<u8>(&[]), None);
    }
}
