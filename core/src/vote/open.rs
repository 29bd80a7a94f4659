//! The vote on one task while it is open: which ballots count, and which wait or are void.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::message::{Ballot, Rule, Value, Verdict};
use crate::names::{Attempt, LaneId, SlotId};
use crate::vote::Vote;
use crate::vote::prefix::{Decided, Prefixes, Standing};
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
    /// Ballots that contradict the decided prefix: evidence, and no votes.
    pub contradicting: BTreeMap<LaneId, Ballot>,
    pub absent: BTreeSet<LaneId>,
    /// Whose output each lane's prefixes are of.
    pub runs: BTreeMap<LaneId, RunMark>,
    pub prefixes: Prefixes,
    /// Where each lane's output lies.
    pub places: BTreeMap<LaneId, Region>,
    /// Where the decided prefix lay when it was decided.
    pub holders: Vec<(LaneId, Region)>,
    pub verdict: Option<Verdict>,
}

/// What tells one run of a program from another: the attempt, and where its output begins. An Execution that
/// dies makes the same attempt again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RunMark {
    #[n(0)]
    attempt: Attempt,
    #[n(1)]
    slot: SlotId,
    /// Bytes into what the slot's programs printed.
    #[n(2)]
    begins: u64,
}

impl RunMark {
    #[must_use]
    pub fn of(attempt: Attempt, output: Region) -> Self {
        RunMark { attempt, slot: output.slot, begins: output.offset }
    }

    #[must_use]
    pub fn attempt(self) -> Attempt {
        self.attempt
    }
}

impl Open {
    /// The ballot of a lane, whatever it counts for.
    pub fn known(&self, lane: LaneId) -> Option<&Ballot> {
        [&self.ballots, &self.unchecked, &self.contradicting].into_iter().find_map(|ballots| ballots.get(&lane))
    }

    /// A lane's first ballot; it waits while the lane has not shown that it has the decided prefix. Once there is
    /// a verdict, every ballot is compared with that.
    pub fn receive(&mut self, lane: LaneId, ballot: &Ballot) {
        if self.voided.contains(&lane) {
            self.contradicting.insert(lane, ballot.clone());
            return;
        }
        if self.verdict.is_some() {
            self.ballots.insert(lane, ballot.clone());
            return;
        }
        let length = ballot.ended.stdout.length;
        if self.runs.get(&lane).is_some_and(|run| *run != RunMark::of(ballot.attempt, ballot.ended.stdout)) {
            self.prefixes.restart(lane);
        }
        match self.prefixes.standing(lane) {
            Standing::Confirmed => drop(self.ballots.insert(lane, ballot.clone())),
            Standing::Unknown(offset) if offset == length && self.has_decided_digest(ballot) => {
                self.ballots.insert(lane, ballot.clone());
            }
            Standing::Unknown(offset) if length > offset => drop(self.unchecked.insert(lane, ballot.clone())),
            Standing::Unknown(_) | Standing::Contradicts => {
                self.voided.insert(lane);
                self.contradicting.insert(lane, ballot.clone());
            }
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

    /// The lane has the decided prefix, or it does not; whether that voids its vote now.
    pub fn check(&mut self, lane: LaneId, decided: &Decided, has_it: bool) -> bool {
        let waiting = self.unchecked.remove(&lane);
        if has_it {
            self.prefixes.mark(lane, decided.offset, decided.digest);
            self.ballots.extend(waiting.map(|ballot| (lane, ballot)));
            return false;
        }
        self.contradicting.extend(waiting.map(|ballot| (lane, ballot)));
        self.voided.insert(lane)
    }

    /// The vote is decided: what still waits need not be checked any more to be compared.
    pub fn settle(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
        self.ballots.append(&mut self.unchecked);
    }

    /// What speaks against the verdict: ballots that differ from it, whether they count or not.
    pub fn has_dissent(&self, verdict: &Verdict) -> bool {
        let differs =
            |(lane, ballot): (&LaneId, &Ballot)| !self.voided.contains(lane) && ballot.value() != verdict.value;
        !self.contradicting.is_empty() || self.ballots.iter().any(differs)
    }

    /// The ballots that a dispute is about. One that contradicts what is out cannot win, and is heard once
    /// another has.
    pub fn evidence(&self) -> Vec<(LaneId, Ballot)> {
        let valid = self.ballots.iter().filter(|(lane, _)| !self.voided.contains(lane));
        let contradicting = self.contradicting.iter().filter(|_| self.verdict.is_some());
        let mut ballots: Vec<_> = valid.chain(contradicting).map(|(&lane, ballot)| (lane, ballot.clone())).collect();
        ballots.sort_by_key(|(lane, _)| *lane);
        ballots
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
