//! What may be started at most once: the order is on disk before the start is granted, the intent is on
//! disk before the start is made, and whatever has an intent and no end is told and left alone.
//!
//! | on record here | its Execution died, or the power failed | then |
//! |---|---|---|
//! | nothing, and the start is granted | the record is lost, with its host perhaps | unclear: the Execution that had it may have started it |
//! | prepared or granted, no intent | it is certain that it did not start | it is started |
//! | an intent | it may have started | unclear |
//! | a ballot | it ended | nothing |
//!
//! No clock is needed for that. The lease only bounds how long a program goes on whose host is cut off.

use crate::armor::{Effect, Step};
use crate::armors::execution::Execution;
use crate::armors::execution::ledger::ExecutionRecord;
use crate::elements::task_set::TaskSet;
use crate::message::{Evidence, ExecutionMessage, SurrogateMessage};
use crate::names::{StageId, TaskId};
use crate::world::SlotCommand;

impl Execution {
    pub(super) fn is_at_most_once(&self, stage: StageId) -> bool {
        self.ledger.orders.as_ref().is_some_and(|orders| orders.job.is_at_most_once(stage))
    }

    /// Takes the order to disk; the answer leaves when it is there.
    pub(super) fn prepare(&mut self, stage: StageId, ranges: Vec<(u64, u64)>, step: &mut Step<ExecutionRecord>) {
        if self.ledger.stopped.contains(&stage) {
            return self.tell_done(stage, step);
        }
        if let Some((_, why)) = self.given_up.as_ref().filter(|(given_up, _)| *given_up == stage) {
            let message = SurrogateMessage::CannotRun { lane: self.lane, stage, why: why.clone() };
            return step.send(self.surrogate(), message);
        }
        step.record_on_disk(self, ExecutionRecord::Prepared(stage, ranges.clone()));
        self.open_slots(stage, step);
        step.send(self.surrogate(), SurrogateMessage::Prepared { lane: self.lane, stage, ranges });
    }

    /// The start of these tasks is granted: those that were prepared here and were not begun may begin.
    pub(super) fn granted(&mut self, stage: StageId, ranges: Vec<(u64, u64)>, step: &mut Step<ExecutionRecord>) {
        if self.ledger.stopped.contains(&stage) {
            return self.tell_done(stage, step);
        }
        let unknown: Vec<TaskId> = TaskSet::of(&ranges).without(&self.ledger.prepared_for(stage)).iter().collect();
        step.record(self, ExecutionRecord::Granted(stage, ranges));
        for task in unknown {
            let why = "the Execution that had the order is gone, with its records, and may have started it";
            self.unclear(stage, task, why.to_owned(), step);
        }
        self.open_slots(stage, step);
        self.tell_done(stage, step);
    }

    /// The task may have been started, and nobody will know how it ended.
    pub(super) fn unclear(&mut self, stage: StageId, task: TaskId, why: String, step: &mut Step<ExecutionRecord>) {
        step.record(self, ExecutionRecord::Unclear(stage, task, why.clone()));
        step.send(self.surrogate(), SurrogateMessage::Unclear { lane: self.lane, stage, task, why });
        self.tell_done(stage, step);
    }

    /// What an earlier life began and did not see the end of.
    pub(super) fn own_up(&mut self, step: &mut Step<ExecutionRecord>) {
        for (stage, task) in self.ledger.begun() {
            let why = "its Execution died while it may have run";
            self.unclear(stage, task, why.to_owned(), step);
        }
    }

    /// What the SM asked for and may not have heard.
    pub(super) fn say_once(&self, step: &mut Step<ExecutionRecord>) {
        for (stage, ranges) in self.ledger.prepared() {
            step.send(self.surrogate(), SurrogateMessage::Prepared { lane: self.lane, stage, ranges });
        }
        for (&(stage, task), why) in &self.ledger.unclear {
            let message = SurrogateMessage::Unclear { lane: self.lane, stage, task, why: why.clone() };
            step.send(self.surrogate(), message);
        }
    }

    pub(super) fn on_daemon(&mut self, message: &ExecutionMessage) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        if *message == ExecutionMessage::LeaseEnded {
            self.lease_ended(&mut step);
        }
        step
    }

    /// The host was cut off for too long: what runs is killed, what was not begun does not begin.
    fn lease_ended(&mut self, step: &mut Step<ExecutionRecord>) {
        for (stage, task) in self.ledger.not_begun() {
            if self.is_at_most_once(stage) {
                self.unclear(stage, task, "its host's lease ended before it was started".to_owned(), step);
            }
        }
        let Some(orders) = &self.ledger.orders else { return };
        for (slot, run) in self.slots.runs_mut().filter(|(_, run)| orders.job.is_at_most_once(run.execution.stage)) {
            run.killed_for = Some(Evidence::LeaseEnded);
            step.then(Effect::Slot(SlotCommand::Kill { slot }));
        }
    }
}
