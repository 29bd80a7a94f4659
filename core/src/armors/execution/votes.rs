//! What the Voter tells a lane, and what a life of the lane asks of it that has no memory of earlier ones.

use crate::armor::{Effect, Moment, Step};
use crate::armors::execution::{Execution, ExecutionRecord};
use crate::message::{ExecutionMessage, VoterMessage};
use crate::names::{ExecutionId, StageId, TaskId};
use crate::world::{FileCommand, SlotCommand};

impl Execution {
    pub(super) fn on_voter(&mut self, now: Moment, message: ExecutionMessage) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match message {
            ExecutionMessage::Voted { stage, ranges, began } => {
                if self.ledger.is_fresh {
                    step.record(self, ExecutionRecord::Recalled(stage, ranges, began));
                    self.work(now, &mut step);
                    stage.into_iter().for_each(|stage| self.tell_done(stage, &mut step));
                }
            }
            ExecutionMessage::BallotsKept { life, .. } if life != self.incarnation => {}
            ExecutionMessage::BallotsKept { below, .. } => {
                if !self.ledger.ballots.is_empty() {
                    step.record(self, ExecutionRecord::BallotsKept(below));
                }
                if let Some(stage) = self.ledger.counts.keys().next_back().copied() {
                    self.tell_done(stage, &mut step);
                }
            }
            ExecutionMessage::PrefixAt { stage, task, offset } => self.ask_prefix(stage, task, offset, &mut step),
            ExecutionMessage::Configure(_)
            | ExecutionMessage::Run { .. }
            | ExecutionMessage::Stop { .. }
            | ExecutionMessage::StopTask { .. }
            | ExecutionMessage::Allow { .. }
            | ExecutionMessage::Commit { .. }
            | ExecutionMessage::Stage { .. }
            | ExecutionMessage::Feed { .. }
            | ExecutionMessage::Prepare { .. }
            | ExecutionMessage::StartOnce { .. }
            | ExecutionMessage::LeaseEnded => {}
        }
        step
    }

    fn ask_prefix(&mut self, stage: StageId, task: TaskId, offset: u64, step: &mut Step<ExecutionRecord>) {
        let runs = self.slots.runs().find(|(_, run)| run.execution.stage == stage && run.execution.task == task);
        if let Some((slot, run)) = runs {
            step.then(Effect::Slot(SlotCommand::Prefix { slot, execution: run.execution, offset }));
        } else if let Some(ballot) = self.ledger.ballot(stage, task) {
            let execution = ExecutionId { stage, task, attempt: ballot.attempt };
            let region = ballot.ended.stdout;
            step.then(Effect::File(FileCommand::Prefix { job: self.job, lane: self.lane, execution, region, offset }));
        }
    }

    /// Asks what earlier lives of the lane did, of which this one knows nothing.
    pub(super) fn say_recall(&self, step: &mut Step<ExecutionRecord>) {
        step.send(self.voter(), VoterMessage::Recall { lane: self.lane });
    }
}
