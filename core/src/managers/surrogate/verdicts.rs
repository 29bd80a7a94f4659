//! What the Voter decided is taken in, each verdict once.
//!
//! Every life of the Voter numbers for itself: one that lost power forgot verdicts that are kept here, and gives
//! their numbers to others, in the order in which they are decided anew. So a life is heard from the oldest that it
//! keeps on, and a task that is decided here stays as it is.

use crate::armor::Step;
use crate::elements::inbox::Inbox;
use crate::managers::surrogate::{Surrogate, SurrogateRecord};
use crate::message::{Verdict, VoterMessage};
use crate::names::Incarnation;

/// A life of the Voter, and what was taken in of it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    life: Incarnation,
    numbers: Inbox<()>,
}

/// How a batch of verdicts is numbered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub life: Incarnation,
    /// The oldest one that this life still keeps, said already or not.
    pub oldest: u64,
    pub first: u64,
}

impl Surrogate {
    pub(super) fn take_verdicts(&mut self, numbers: Numbers, verdicts: Vec<Verdict>, step: &mut Step<SurrogateRecord>) {
        if numbers.life < self.of_voter.life {
            return;
        }
        if numbers.life > self.of_voter.life {
            self.of_voter.life = numbers.life;
            self.of_voter.numbers.restart((), numbers.oldest);
        }
        // What came before was said when there was no link yet: it will be said again, and this behind it.
        if let Some(skip) = self.of_voter.numbers.skip((), numbers.first) {
            for verdict in verdicts.into_iter().skip(skip) {
                if !self.can_take(verdict.stage, verdict.winners.first()) {
                    break;
                }
                self.of_voter.numbers.take(());
                if self.is_news(&verdict) {
                    self.done += 1;
                    step.record_on_disk(self, SurrogateRecord::Verdict(Box::new(verdict)));
                }
            }
        }
        self.say_verdicts_kept(step);
    }

    /// Whether nothing is decided on the task of this verdict, on which there is a vote.
    fn is_news(&self, verdict: &Verdict) -> bool {
        let run = self.ledger.stage.as_ref().filter(|run| run.stage == verdict.stage);
        run.is_some_and(|run| run.is_open(verdict.task))
    }

    pub(super) fn say_verdicts_kept(&self, step: &mut Step<SurrogateRecord>) {
        let Heard { life, numbers } = &self.of_voter;
        step.send(self.voter(), VoterMessage::VerdictsKept { below: numbers.next_from(()), life: *life });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::armor::{Effect, Save};
    use crate::managers::surrogate::ledger::tests::{decided, surrogate};
    use crate::message::Message;
    use crate::names::{HostId, TaskId};

    /// Says these verdicts to the SM; which of them it saved, and what it acknowledged.
    fn said(sm: &mut Surrogate, life: u32, oldest: u64, first: u64, tasks: &[u64]) -> (Vec<u64>, Option<(u64, u32)>) {
        let mut step = Step::none();
        let numbers = Numbers { life: Incarnation(life), oldest, first };
        sm.take_verdicts(numbers, tasks.iter().map(|&task| decided(task)).collect(), &mut step);
        let saved = match &step.save {
            Some(Save::Disk(records)) => &records[..],
            Some(Save::Process(_)) => panic!("a verdict that was acknowledged may be lost with the power"),
            None => &[],
        };
        let saved = saved.iter().filter_map(|record| match record {
            SurrogateRecord::Verdict(verdict) => Some(verdict.task.0),
            _ => None,
        });
        let kept = step.then.iter().find_map(|effect| match effect {
            Effect::Send { message: Message::Voter(VoterMessage::VerdictsKept { below, life }), .. } => {
                Some((*below, life.0))
            }
            _ => None,
        });
        (saved.collect(), kept)
    }

    #[test]
    fn a_voter_that_lost_power_gives_known_numbers_to_other_verdicts_and_none_is_lost() {
        let mut sm = surrogate(HostId(1));
        assert_eq!(said(&mut sm, 1, 0, 0, &[0, 1, 2]), (vec![0, 1, 2], Some((3, 1))));
        assert_eq!(said(&mut sm, 1, 0, 0, &[0, 1, 2]), (vec![], Some((3, 1))), "said again");
        // It forgot the last, and decides another first.
        assert_eq!(said(&mut sm, 2, 2, 2, &[3]), (vec![3], Some((3, 2))));
        assert_eq!(said(&mut sm, 2, 2, 3, &[2]), (vec![], Some((4, 2))));
        assert_eq!(said(&mut sm, 1, 0, 3, &[4]), (vec![], None), "an earlier life is not answered");
        assert!(!sm.ledger.stage.as_ref().unwrap().is_open(TaskId(3)));
    }

    #[test]
    fn what_is_said_behind_a_gap_waits_for_what_is_before_it() {
        let mut sm = surrogate(HostId(1));
        assert_eq!(said(&mut sm, 1, 4, 6, &[6]), (vec![], Some((4, 1))));
        assert_eq!(said(&mut sm, 1, 4, 4, &[4, 5, 6]), (vec![4, 5, 6], Some((7, 1))));
    }
}
