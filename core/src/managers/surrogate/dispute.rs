//! A dispute about one task: who repeats it, and what came of that.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{Diagnosis, Dispute, Value};
use crate::names::LaneId;
use crate::vote::diagnosis::{Testimony, with_winner, without_winner};

/// A task on which lanes disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    pub dispute: Dispute,
    /// What each repetition of each lane came to; kept over successive disputes about the task.
    again: BTreeMap<(LaneId, u16), Option<Value>>,
    /// One for each dissenting lane that was judged, or one for a dispute that nobody won.
    pub diagnoses: Vec<Diagnosis>,
    /// Those of the dispute before it was reopened.
    pub earlier: Vec<Diagnosis>,
    /// The ladder was climbed since the dispute arose.
    pub climbed: bool,
}

impl Inquiry {
    #[must_use]
    pub fn new(dispute: Dispute) -> Self {
        Inquiry { dispute, again: BTreeMap::new(), diagnoses: Vec::new(), earlier: Vec::new(), climbed: false }
    }

    /// The dispute goes on with other ballots; repetitions that were done still count.
    pub fn reopen(&mut self, dispute: Dispute) {
        self.dispute = dispute;
        self.earlier.append(&mut self.diagnoses);
        self.climbed = false;
    }

    /// Whether `dispute` says something that this one does not.
    #[must_use]
    pub fn is_news(&self, dispute: &Dispute) -> bool {
        let voted = |dispute: &Dispute| dispute.ballots.iter().map(|(lane, _)| *lane).collect::<Vec<_>>();
        dispute.rule != self.dispute.rule || dispute.won != self.dispute.won || voted(dispute) != voted(&self.dispute)
    }

    /// Whether this lane's ballot against that value is known already.
    #[must_use]
    pub fn knows(&self, loser: LaneId, won: Value) -> bool {
        self.dispute.won == Some(won) && self.dispute.ballots.iter().any(|(lane, _)| *lane == loser)
    }

    pub fn repeated(&mut self, lane: LaneId, number: u16, value: Option<Value>) {
        self.again.insert((lane, number), value);
    }

    /// The lanes that repeat the task: a winner and every dissenter, or the first two that differ.
    #[must_use]
    pub fn witnesses(&self) -> Vec<LaneId> {
        let mut values = self.dispute.ballots.iter().map(|(lane, ballot)| (*lane, ballot.value()));
        let Some(won) = self.dispute.won else {
            let Some((first, value)) = values.next() else { return Vec::new() };
            let other = values.find(|(_, other)| *other != value);
            return other.map(|(other, _)| vec![first, other]).unwrap_or_default();
        };
        let (winners, losers): (Vec<_>, Vec<_>) = values.partition(|(_, value)| *value == won);
        winners.into_iter().take(1).chain(losers).map(|(lane, _)| lane).collect()
    }

    /// Repetitions that are still missing, out of `repeats` of each witness.
    #[must_use]
    pub fn missing(&self, repeats: u16) -> Vec<(LaneId, u16)> {
        let wanted = self.witnesses().into_iter().flat_map(|lane| (1..=repeats).map(move |number| (lane, number)));
        wanted.filter(|key| !self.again.contains_key(key)).collect()
    }

    /// Judges the dispute, once nothing is missing. Ballots that do not differ need no judge.
    #[must_use]
    pub fn judge(&self, repeats: u16) -> Vec<Diagnosis> {
        let testimonies: Vec<Testimony> =
            self.witnesses().into_iter().filter_map(|lane| self.testimony(lane, repeats)).collect();
        let Some((first, others)) = testimonies.split_first() else { return Vec::new() };
        match self.dispute.won {
            Some(_) => others.iter().map(|loser| with_winner(first, loser)).collect(),
            None => others.iter().map(|other| without_winner(first, other)).collect(),
        }
    }

    fn testimony(&self, lane: LaneId, repeats: u16) -> Option<Testimony> {
        let (_, ballot) = self.dispute.ballots.iter().find(|(voter, _)| *voter == lane)?;
        let again = (1..=repeats).map(|number| self.again.get(&(lane, number)).copied().flatten()).collect();
        Some(Testimony { lane, ballot: ballot.value(), again })
    }

    /// How many ballots the most frequent value can still have under the rule it was lost under: a vote
    /// is lost as soon as no value can win, which may be before all lanes have voted.
    #[must_use]
    pub fn may_reach(&self, dropped: &BTreeSet<LaneId>) -> u16 {
        let has_voted = |lane: &LaneId| self.dispute.ballots.iter().any(|(voter, _)| voter == lane);
        let silent =
            (0..self.dispute.rule.lanes).map(LaneId).filter(|lane| !has_voted(lane) && !dropped.contains(lane));
        self.best() + u16::try_from(silent.count()).unwrap_or(u16::MAX)
    }

    /// How many ballots the most frequent value has.
    #[must_use]
    pub fn best(&self) -> u16 {
        let mut counts: BTreeMap<Value, u16> = BTreeMap::new();
        for (_, ballot) in &self.dispute.ballots {
            *counts.entry(ballot.value()).or_default() += 1;
        }
        counts.into_values().max().unwrap_or_default()
    }
}
