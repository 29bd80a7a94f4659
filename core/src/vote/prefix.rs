//! Votes on output that is still growing: how far does a quorum agree?
//!
//! A lane says the digest of its first so many bytes at every boundary, and whenever its program is
//! quiet. Two lanes can only be compared at an offset that both have marked; [`Prefixes::ask`] names
//! the marks that would help.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Digest, LaneId};

/// What the lanes said of one task's output so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefixes {
    /// Digest of the first so many bytes, by lane; only above what is decided.
    marks: BTreeMap<LaneId, BTreeMap<u64, Digest>>,
    decided: Option<Decided>,
    asked: BTreeSet<(LaneId, u64)>,
}

/// A prefix on which a quorum agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Bytes.
    pub offset: u64,
    pub digest: Digest,
    /// Lanes that are known to have it.
    pub lanes: BTreeSet<LaneId>,
}

/// How a lane relates to the decided prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has the decided prefix, or none is decided.
    Confirmed,
    /// It has another.
    Contradicts,
    /// It must be asked for its digest at this offset.
    Unknown(u64),
}

impl Prefixes {
    /// A lane's output begins with these bytes. Returns how it stands to the decided prefix.
    pub fn mark(&mut self, lane: LaneId, offset: u64, digest: Digest) -> Standing {
        if let Some(decided) = &mut self.decided {
            if offset == decided.offset && digest != decided.digest {
                return Standing::Contradicts;
            }
            if offset == decided.offset {
                decided.lanes.insert(lane);
            }
            if offset <= decided.offset {
                return self.standing(lane);
            }
        }
        self.marks.entry(lane).or_default().insert(offset, digest);
        self.standing(lane)
    }

    /// A lane starts its execution anew: what it said before still binds it, its marks are gone.
    pub fn restart(&mut self, lane: LaneId) {
        self.marks.remove(&lane);
        self.asked.retain(|(asked, _)| *asked != lane);
        if let Some(decided) = &mut self.decided {
            decided.lanes.remove(&lane);
        }
    }

    /// How a lane stands to the decided prefix.
    #[must_use]
    pub fn standing(&self, lane: LaneId) -> Standing {
        match &self.decided {
            Some(decided) if !decided.lanes.contains(&lane) => Standing::Unknown(decided.offset),
            _ => Standing::Confirmed,
        }
    }

    /// What is decided so far.
    #[must_use]
    pub fn decided(&self) -> Option<&Decided> {
        self.decided.as_ref()
    }

    /// The longest prefix on which `quorum` lanes agree, if it is longer than what is decided. Lanes
    /// that are not known to have the decided prefix do not count.
    #[must_use]
    pub fn agreed(&self, quorum: u16) -> Option<Decided> {
        let mut sides: BTreeMap<(u64, Digest), BTreeSet<LaneId>> = BTreeMap::new();
        for (&lane, marks) in &self.marks {
            if self.standing(lane) == Standing::Confirmed {
                for (&offset, &digest) in marks {
                    sides.entry((offset, digest)).or_default().insert(lane);
                }
            }
        }
        let enough = |lanes: &BTreeSet<LaneId>| lanes.len() >= usize::from(quorum);
        let ((offset, digest), lanes) = sides.into_iter().rev().find(|(_, lanes)| enough(lanes))?;
        Some(Decided { offset, digest, lanes })
    }

    /// Takes a decision over, and forgets the marks that it settles.
    pub fn decide(&mut self, decided: Decided) {
        for marks in self.marks.values_mut() {
            *marks = marks.split_off(&(decided.offset + 1));
        }
        self.asked.retain(|&(_, offset)| offset > decided.offset);
        self.decided = Some(decided);
    }

    /// Which marks to ask for: of lanes that are far enough, at the longest offset that a quorum of
    /// lanes has reached; and at the decided offset of lanes that are past it and unconfirmed.
    pub fn ask(&mut self, quorum: u16) -> Vec<(LaneId, u64)> {
        let reached: BTreeMap<LaneId, u64> =
            self.marks.iter().filter_map(|(&lane, marks)| Some((lane, *marks.last_key_value()?.0))).collect();
        let mut wanted: Vec<(LaneId, u64)> = Vec::new();
        for &lane in reached.keys() {
            if let Standing::Unknown(offset) = self.standing(lane) {
                wanted.push((lane, offset));
            }
        }
        let mut frontiers: Vec<u64> = reached.values().copied().collect();
        frontiers.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(&goal) = frontiers.get(usize::from(quorum.max(1)) - 1) {
            let lacks = |(lane, &top): (&LaneId, &u64)| top > goal && !self.marks[lane].contains_key(&goal);
            wanted.extend(reached.iter().filter(|&pair| lacks(pair)).map(|(&lane, _)| (lane, goal)));
        }
        wanted.retain(|&question| self.asked.insert(question));
        wanted
    }

    /// The link to the lanes was lost, or the Voter: questions must be asked again.
    pub fn ask_again(&mut self, lane: LaneId) {
        self.asked.retain(|(asked, _)| *asked != lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    fn prefixes(marks: &[(u16, u64, Digest)]) -> Prefixes {
        let mut prefixes = Prefixes::default();
        for &(lane, offset, digest) in marks {
            prefixes.mark(LaneId(lane), offset, digest);
        }
        prefixes
    }

    fn lanes(numbers: &[u16]) -> BTreeSet<LaneId> {
        numbers.iter().map(|&number| LaneId(number)).collect()
    }

    #[test]
    fn the_longest_prefix_with_a_quorum_is_agreed() {
        let prefixes = prefixes(&[(0, 10, A), (1, 10, A), (0, 20, B), (2, 10, B)]);
        assert_eq!(prefixes.agreed(2), Some(Decided { offset: 10, digest: A, lanes: lanes(&[0, 1]) }));
        assert_eq!(prefixes.agreed(3), None);
    }

    #[test]
    fn lanes_that_are_further_are_asked_where_the_others_stand_and_only_once() {
        let mut prefixes = prefixes(&[(0, 30, A), (1, 20, B)]);
        assert_eq!(prefixes.ask(2), [(LaneId(0), 20)]);
        assert_eq!(prefixes.ask(2), []);
        prefixes.mark(LaneId(0), 20, B);
        assert_eq!(prefixes.agreed(2).map(|decided| decided.offset), Some(20));
    }

    #[test]
    fn a_restarted_lane_must_reproduce_what_was_decided() {
        let mut prefixes = prefixes(&[(0, 10, A), (1, 10, A)]);
        let decided = prefixes.agreed(2).unwrap();
        prefixes.decide(decided);
        assert_eq!(prefixes.standing(LaneId(0)), Standing::Confirmed);
        prefixes.restart(LaneId(0));
        assert_eq!(prefixes.mark(LaneId(0), 30, B), Standing::Unknown(10));
        assert_eq!(prefixes.ask(2), [(LaneId(0), 10)]);
        assert_eq!(prefixes.clone().mark(LaneId(0), 10, B), Standing::Contradicts);
        assert_eq!(prefixes.mark(LaneId(0), 10, A), Standing::Confirmed);
    }

    #[test]
    fn an_unconfirmed_lane_does_not_count() {
        let mut prefixes = prefixes(&[(0, 10, A), (1, 10, A)]);
        let decided = prefixes.agreed(2).unwrap();
        prefixes.decide(decided);
        prefixes.mark(LaneId(0), 20, B);
        prefixes.mark(LaneId(2), 20, B);
        assert_eq!(prefixes.agreed(2), None);
    }
}
