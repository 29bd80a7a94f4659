//! Lanes that have several lives, on hosts of which one may be lost.

use std::collections::BTreeSet;

use crate::armor::Step;
use crate::armors::voter::{Voter, VoterRecord};
use crate::message::{Ballot, ExecutionMessage};
use crate::names::{Incarnation, LaneId, TaskId};
use crate::vote::open::Open;

impl Voter {
    /// Takes the ballots that a life of a lane casts.
    pub(super) fn take_ballots(
        &mut self,
        lane: LaneId,
        life: Incarnation,
        first: u64,
        ballots: Vec<Ballot>,
    ) -> Step<VoterRecord> {
        let mut step = Step::none();
        let current = self.stage.as_ref().map(|vote| vote.stage);
        if ballots.iter().any(|ballot| Some(ballot.stage) > current) {
            self.early.push((lane, life, first, ballots));
            return step;
        }
        let disputed_before = self.disputed.clone();
        let mut dissents = BTreeSet::new();
        let known = self.lives.get(&lane).copied().unwrap_or_default();
        if life < known {
            self.take_late(lane, ballots, &mut step);
        } else {
            if life > known {
                step.record(self, VoterRecord::Lives(lane, life, first));
            }
            let skip = self.ballots.skip(lane, first).unwrap_or(usize::MAX);
            for (at, ballot) in ballots.into_iter().enumerate() {
                // A lane that lost power forgot ballots that are kept here, and gives their numbers to others.
                if at < skip && !self.is_news(lane, &ballot) {
                    continue;
                }
                // The lane forgets what is acknowledged, so not even the power may take it from here.
                step.record_on_disk(self, VoterRecord::Cast(lane, Box::new(ballot.clone())));
                self.ask_for_prefixes(ballot.stage, ballot.task, &mut step);
                if self.is_dissent(&ballot) {
                    dissents.insert(ballot.task);
                }
            }
            self.say_kept(lane, &mut step);
        }
        let news = self.disputed.difference(&disputed_before).copied().chain(dissents).collect();
        self.report(&news, &mut step);
        step
    }

    /// Ballots of an earlier life of a lane, from a host that was taken for lost: each takes the lane's
    /// vote if none was cast (D10). Where a prefix is decided nobody is left who could be asked for it.
    fn take_late(&mut self, lane: LaneId, ballots: Vec<Ballot>, step: &mut Step<VoterRecord>) {
        for ballot in ballots {
            let counts = |open: &mut Open| !open.has_heard(lane) && open.prefixes.decided().is_none();
            if self.open(ballot.stage, ballot.task).is_some_and(counts) {
                step.record(self, VoterRecord::CastLate(lane, Box::new(ballot)));
            }
        }
    }

    pub(super) fn say_kept(&self, lane: LaneId, step: &mut Step<VoterRecord>) {
        let life = self.lives.get(&lane).copied().unwrap_or_default();
        let below = self.ballots.next_from(lane);
        step.send(self.execution(lane), ExecutionMessage::BallotsKept { below, life });
    }

    /// Tells a lane that remembers nothing what it need not run any more.
    pub(super) fn recall(&mut self, lane: LaneId) -> Step<VoterRecord> {
        let mut step = Step::none();
        step.record(self, VoterRecord::Forgot(lane));
        self.recalling.insert(lane);
        let (mut ranges, mut began) = (Vec::new(), Vec::new());
        if let Some(vote) = &self.stage {
            let open = vote.open.iter().filter(|(_, open)| open.has_voted(lane)).map(|(&task, _)| task);
            let mut voted = vote.settled.clone();
            open.for_each(|task| voted.insert(task));
            ranges = voted.ranges();
            let attempt = |(&task, open): (&TaskId, &Open)| Some((task, open.runs.get(&lane)?.attempt()));
            began = vote.open.iter().filter_map(attempt).collect();
        }
        let stage = self.stage.as_ref().map(|vote| vote.stage);
        step.send(self.execution(lane), ExecutionMessage::Voted { stage, ranges, began });
        step
    }
}
