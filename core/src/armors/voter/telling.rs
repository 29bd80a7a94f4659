//! What the Voter tells the SM: verdicts, stories and disputes.

use std::collections::BTreeSet;

use crate::armor::Step;
use crate::armors::voter::{VERDICTS_AT_ONCE, Voter, VoterRecord};
use crate::message::{Ballot, Dispute, SurrogateMessage};
use crate::names::TaskId;

impl Voter {
    /// Whether a ballot differs from the verdict on its task.
    pub(super) fn is_dissent(&self, ballot: &Ballot) -> bool {
        let vote = self.stage.as_ref().filter(|vote| vote.stage == ballot.stage);
        let verdict = vote.and_then(|vote| vote.open.get(&ballot.task)).and_then(|open| open.verdict.as_ref());
        verdict.is_some_and(|verdict| verdict.value != ballot.value())
    }

    fn dispute(&self, task: TaskId) -> Option<Dispute> {
        let vote = self.stage.as_ref()?;
        let open = vote.open.get(&task)?;
        Some(Dispute {
            stage: vote.stage,
            task,
            ballots: open.evidence(),
            won: open.verdict.as_ref().map(|verdict| verdict.value),
            rule: open.rule.unwrap_or(vote.rule),
        })
    }

    /// Says what is decided and was not said, and the disputes among `tasks`.
    pub(super) fn report(&mut self, tasks: &BTreeSet<TaskId>, step: &mut Step<VoterRecord>) {
        let (life, oldest) = (self.incarnation, self.verdicts.oldest());
        while let Some((first, verdicts)) = self.verdicts.say(VERDICTS_AT_ONCE) {
            step.send(self.surrogate(), SurrogateMessage::Verdicts { first, verdicts, life, oldest });
        }
        while let Some((first, stories)) = self.stories.say(VERDICTS_AT_ONCE) {
            step.send(self.surrogate(), SurrogateMessage::Noted { first, stories });
        }
        let disputes: Vec<Dispute> = tasks.iter().filter_map(|&task| self.dispute(task)).collect();
        if !disputes.is_empty() {
            step.send(self.surrogate(), SurrogateMessage::Disputes(disputes));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::armor::{Armor, Event};
    use crate::armors::voter::VoterRecord;
    use crate::armors::voter::lives::tests::{JOB, NOW, ballot, voter};
    use crate::message::VoterMessage;
    use crate::names::{ArmorName, Incarnation, LaneId};

    #[test]
    fn what_was_acknowledged_to_another_life_is_kept_and_said_again() {
        let mut voter = voter();
        for lane in [LaneId(0), LaneId(1)] {
            voter.apply(&VoterRecord::Cast(lane, Box::new(ballot(0))));
        }
        for (life, oldest) in [(0, 0), (2, 0), (1, 1)] {
            let message = VoterMessage::VerdictsKept { below: 1, life: Incarnation(life) };
            let step = voter.handle(NOW, Event::Message { from: ArmorName::Surrogate(JOB), message });
            assert_eq!((voter.verdicts.oldest(), step.save.is_some()), (oldest, life == 1), "life {life}");
        }
    }
}
