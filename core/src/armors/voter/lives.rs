//! Lanes that have several lives, on hosts of which one may be lost.

use std::collections::BTreeSet;

use crate::armor::Step;
use crate::armors::voter::{Voter, VoterRecord};
use crate::message::{Ballot, ExecutionMessage};
use crate::names::{Incarnation, LaneId, TaskId};
use crate::vote::open::Open;

/// How a batch of ballots is numbered: its first, and the oldest that the lane keeps, with which a life begins for who
/// hears of it first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub oldest: u64,
    pub first: u64,
}

impl Voter {
    /// Takes the ballots that a life of a lane casts.
    pub(super) fn take_ballots(
        &mut self,
        lane: LaneId,
        life: Incarnation,
        numbers: Numbers,
        ballots: Vec<Ballot>,
    ) -> Step<VoterRecord> {
        let mut step = Step::none();
        let current = self.stage.as_ref().map(|vote| vote.stage);
        if ballots.iter().any(|ballot| Some(ballot.stage) > current) {
            self.early.push((lane, life, numbers, ballots));
            return step;
        }
        let disputed_before = self.disputed.clone();
        let mut dissents = BTreeSet::new();
        let known = self.lives.get(&lane).copied().unwrap_or_default();
        if life < known {
            self.take_late(lane, ballots, &mut step);
        } else {
            if life > known {
                step.record(self, VoterRecord::Lives(lane, life, numbers.oldest));
            }
            // What came before was said when there was no link yet: it will be said again, and this behind it.
            let Some(skip) = self.ballots.skip(lane, numbers.first) else {
                self.say_kept(lane, &mut step);
                return step;
            };
            for (at, ballot) in ballots.into_iter().enumerate() {
                // A lane that lost power forgot ballots that are kept here, and gives their numbers to others: these
                // count, and no number is counted twice.
                let cast = match at < skip {
                    true if !self.is_news(lane, &ballot) => continue,
                    true => VoterRecord::CastUnnumbered,
                    false => VoterRecord::Cast,
                };
                // The lane forgets what is acknowledged, so not even the power may take it from here.
                step.record_on_disk(self, cast(lane, Box::new(ballot.clone())));
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
                step.record(self, VoterRecord::CastUnnumbered(lane, Box::new(ballot)));
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

#[cfg(test)]
pub(super) mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::armor::{Armor, Effect, Event, Moment};
    use crate::elements::seal::seal;
    use crate::message::{Message, Rule, VoterMessage, Witness};
    use crate::names::{ArmorName, Attempt, Digest, HostId, JobId, Millis, SlotId, StageId};
    use crate::world::{End, Ended, Region};

    pub const JOB: JobId = JobId(1);
    const LANE: LaneId = LaneId(0);
    const STAGE: StageId = StageId(0);
    pub const NOW: Moment = Moment { boot: Millis(1_000), unix_ms: 1_700_000_000_000 };

    pub fn voter() -> Voter {
        let mut voter = Voter::new(JOB, Incarnation(1));
        let message = VoterMessage::Convene { stage: STAGE, rule: Rule { lanes: 2, quorum: 2 }, stream: false };
        let _ = voter.handle(NOW, Event::Message { from: ArmorName::Surrogate(JOB), message });
        voter
    }

    pub fn ballot(task: u64) -> Ballot {
        let region = Region { slot: SlotId(0), offset: 0, length: 0, digest: Digest::default() };
        let (end, changes) = (End::Exit(0), None);
        let ended = Ended { end, stdout: region, stderr: region, changes, cpu_us: 0, wall_us: 0 };
        Ballot { stage: STAGE, task: TaskId(task), attempt: Attempt(0), ended, host: HostId(1) }
    }

    /// What this life says, and up to which number the Voter then has it all.
    fn kept(voter: &mut Voter, life: u32, oldest: u64, first: u64, tasks: &[u64]) -> Option<u64> {
        let ballots: Vec<Ballot> = tasks.iter().map(|&task| ballot(task)).collect();
        let witness = Witness::default();
        let seal = seal(&SigningKey::from_bytes(&[7; 32]), LANE, first, &witness, &ballots);
        let life = Incarnation(life);
        let message = VoterMessage::Ballots { lane: LANE, life, oldest, first, witness, ballots, seal };
        let step = voter.handle(NOW, Event::Message { from: ArmorName::Execution(JOB, LANE), message });
        step.then.iter().rev().find_map(|effect| match effect {
            Effect::Send { message: Message::Execution(ExecutionMessage::BallotsKept { below, .. }), .. } => {
                Some(*below)
            }
            _ => None,
        })
    }

    #[test]
    fn a_ballot_does_not_take_the_place_of_one_that_was_said_when_there_was_no_link() {
        let mut voter = voter();
        assert_eq!(kept(&mut voter, 1, 0, 1, &[1]), Some(0), "number 0 is missing");
        assert_eq!(kept(&mut voter, 1, 0, 0, &[0, 1]), Some(2));
        assert_eq!(kept(&mut voter, 1, 2, 3, &[3]), Some(2), "number 2 is missing");
        assert_eq!(kept(&mut voter, 1, 2, 2, &[2, 3]), Some(4));
    }

    #[test]
    fn a_number_that_is_given_twice_is_counted_once() {
        let mut voter = voter();
        assert_eq!(kept(&mut voter, 1, 0, 0, &[0]), Some(1));
        // It lost power, and what it said with it; acknowledged is no more than it has said since.
        assert_eq!(kept(&mut voter, 1, 0, 0, &[1]), Some(1));
        assert_eq!(kept(&mut voter, 1, 1, 1, &[2, 3]), Some(3));
        assert!([0, 1, 2, 3].map(|task| voter.is_news(LANE, &ballot(task))).iter().all(|is_news| !is_news));
    }

    #[test]
    fn a_life_that_remembers_nothing_begins_its_numbers_anew() {
        let mut voter = voter();
        assert_eq!(kept(&mut voter, 1, 0, 0, &[0, 1, 2]), Some(3));
        assert_eq!(kept(&mut voter, 1_001, 0, 1, &[4]), Some(0), "its first is missing");
        assert_eq!(kept(&mut voter, 1_001, 0, 0, &[3, 4]), Some(2));
    }
}
