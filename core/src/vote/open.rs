//! The vote on one task while it is open: which ballots count, and which wait or are void.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{Ballot, Rule, Value, Verdict};
use crate::names::{Attempt, LaneId};
use crate::vote::Vote;
use crate::vote::prefix::{Prefixes, Standing};
use crate::world::Region;

/// A task whose vote is not over.
#[derive(Debug, Default)]
pub struct Open {
    /// Instead of the stage's, once it was extended.
    pub rule: Option<Rule>,
    pub ballots: BTreeMap<LaneId, Ballot>,
    /// Ballots that wait until their lane's prefix is checked.
    pub unchecked: BTreeMap<LaneId, Ballot>,
    pub voided: BTreeSet<LaneId>,
    pub absent: BTreeSet<LaneId>,
    pub attempts: BTreeMap<LaneId, Attempt>,
    pub prefixes: Prefixes,
    /// Where each lane's output lies.
    pub places: BTreeMap<LaneId, Region>,
    /// Where the decided prefix lay when it was decided.
    pub holders: Vec<(LaneId, Region)>,
    pub verdict: Option<Verdict>,
}

impl Open {
    /// A lane's first ballot; it waits while the lane has not shown that it has the decided prefix.
    pub fn receive(&mut self, lane: LaneId, ballot: &Ballot) {
        let length = ballot.ended.stdout.length;
        if self.attempts.get(&lane).is_some_and(|attempt| *attempt != ballot.attempt) {
            self.prefixes.restart(lane);
        }
        match self.prefixes.standing(lane) {
            Standing::Confirmed => drop(self.ballots.insert(lane, ballot.clone())),
            Standing::Unknown(offset) if offset == length && self.has_decided_digest(ballot) => {
                self.ballots.insert(lane, ballot.clone());
            }
            Standing::Unknown(offset) if length > offset => drop(self.unchecked.insert(lane, ballot.clone())),
            Standing::Unknown(_) | Standing::Contradicts => drop(self.voided.insert(lane)),
        }
    }

    /// Whether the lane's vote is taken: it counts, or is void.
    #[must_use]
    pub fn has_voted(&self, lane: LaneId) -> bool {
        self.ballots.contains_key(&lane) || self.voided.contains(&lane)
    }

    /// Whether the lane has cast a ballot, taken or not.
    #[must_use]
    pub fn has_heard(&self, lane: LaneId) -> bool {
        self.has_voted(lane) || self.unchecked.contains_key(&lane)
    }

    fn has_decided_digest(&self, ballot: &Ballot) -> bool {
        self.prefixes.decided().is_some_and(|decided| decided.digest == ballot.ended.stdout.digest)
    }

    pub fn lanes_for(&self, value: Value) -> impl Iterator<Item = LaneId> + '_ {
        let counts = move |(lane, ballot): &(&LaneId, &Ballot)| !self.voided.contains(lane) && ballot.value() == value;
        self.ballots.iter().filter(counts).map(|(&lane, _)| lane)
    }

    pub fn votes(&self, stage_absent: &BTreeSet<LaneId>) -> BTreeMap<LaneId, Vote> {
        let mut votes: BTreeMap<LaneId, Vote> = BTreeMap::new();
        votes.extend(self.absent.iter().chain(stage_absent).map(|&lane| (lane, Vote::Absent)));
        votes.extend(self.ballots.iter().map(|(&lane, ballot)| (lane, Vote::Cast(ballot.value()))));
        votes.extend(self.voided.iter().map(|&lane| (lane, Vote::Voided)));
        votes
    }
}
