//! What the slots of an Execution report, and what becomes of it: a ballot, a repetition, a restart.

use crate::armor::{Moment, Step};
use crate::armors::execution::ledger::{Cause, ExecutionRecord};
use crate::armors::execution::slots::{Run, SlotState};
use crate::armors::execution::{Execution, injected};
use crate::job::InjectionKind;
use crate::message::{Ballot, Evidence, Purpose, Story, SurrogateMessage, VoterMessage};
use crate::names::{ExecutionId, SlotId};
use crate::world::{End, Ended, Region, SlotEvent};

impl Execution {
    pub(super) fn slot(&mut self, now: Moment, event: SlotEvent) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match event {
            // An earlier slot of the same id, whose end was ordered before this was reported.
            SlotEvent::Ready { slot, opening }
            | SlotEvent::Unconfined { slot, opening, .. }
            | SlotEvent::Unavailable { slot, opening, .. }
            | SlotEvent::Lost { slot, opening, .. }
                if !self.slots.is_current(slot, opening) => {}
            SlotEvent::Ready { slot, .. } => {
                self.slots.set(slot, SlotState::Idle);
                self.work(now, &mut step);
            }
            // All slots of a lane are alike: it is told once.
            SlotEvent::Unconfined { why, .. } => {
                if !std::mem::replace(&mut self.is_unconfined, true) {
                    self.note(Story::Unconfined(self.host, why), &mut step);
                }
            }
            SlotEvent::Unavailable { slot, why, .. } => {
                self.slots.remove(slot);
                if self.slots.is_empty() {
                    self.give_up(why, &mut step);
                }
            }
            SlotEvent::Output { slot, execution, so_far } => self.output(slot, execution, so_far, &mut step),
            SlotEvent::Prefix { slot, execution, so_far } => {
                if self.slots.run(slot).is_some_and(|run| run.execution == execution) {
                    self.say_prefix(execution, so_far, &mut step);
                }
            }
            SlotEvent::Blocked { path, why, .. } => {
                self.note(Story::Blocked { lane: self.lane, path, why }, &mut step);
            }
            SlotEvent::Ended { slot, execution, ended } => self.ended(now, slot, execution, ended, &mut step),
            SlotEvent::Unheld { slot, execution, why } => {
                self.slots.take(slot, execution);
                if self.is_at_most_once(execution.stage) {
                    self.unclear(execution.stage, execution.task, why.clone(), &mut step);
                }
                self.give_up(why, &mut step);
            }
            SlotEvent::Lost { slot, why, .. } => self.lost(now, slot, why, &mut step),
            SlotEvent::Sampled { slot, sample } => {
                if let Some(evidence) = self.slots.judge(slot, sample) {
                    self.kill_for(now, slot, evidence, &mut step);
                }
            }
        }
        step
    }

    pub(super) fn output(
        &mut self,
        slot: SlotId,
        execution: ExecutionId,
        so_far: Region,
        step: &mut Step<ExecutionRecord>,
    ) {
        let Some(run) = self.slots.run(slot).filter(|run| run.execution == execution) else { return };
        let was_held_back = run.is_held_back();
        run.length = so_far.length;
        let (is_held_back, votes) = (run.is_held_back(), run.purpose == Purpose::Vote && !run.unwanted);
        self.done += 1;
        if votes {
            self.say_prefix(execution, so_far, step);
        }
        if is_held_back && !was_held_back {
            self.tell_progress(execution.stage, step);
        }
    }

    pub(super) fn say_prefix(&mut self, execution: ExecutionId, so_far: Region, step: &mut Step<ExecutionRecord>) {
        let ExecutionId { stage, task, attempt } = execution;
        self.said.insert(execution, so_far);
        step.send(self.voter(), VoterMessage::Prefix { lane: self.lane, stage, task, attempt, so_far });
    }

    pub(super) fn ended(
        &mut self,
        now: Moment,
        slot: SlotId,
        execution: ExecutionId,
        ended: Ended,
        step: &mut Step<ExecutionRecord>,
    ) {
        let Some(run) = self.slots.take(slot, execution) else { return };
        self.said.remove(&execution);
        self.slots.losses = 0;
        self.done += 1;
        step.record(self, ExecutionRecord::Spent(ended.cpu_us));
        let once = self.is_at_most_once(execution.stage);
        if run.unwanted && once {
            self.unclear(execution.stage, execution.task, "it was stopped while it ran".to_owned(), step);
        } else if run.unwanted {
            self.tell_done(execution.stage, step);
        } else if let Some(evidence) = run.killed_for.clone() {
            self.died(now, &run, Cause::Surroundings, evidence, step);
        } else if self.is_abnormal(ended.end) && !once && !self.at_limit(execution) {
            self.died(now, &run, Cause::Program, Evidence::Ended(ended.end), step);
        } else {
            self.finished(now, &run, ended, step);
        }
        self.work(now, step);
    }

    pub(super) fn finished(&mut self, now: Moment, run: &Run, mut ended: Ended, step: &mut Step<ExecutionRecord>) {
        let ExecutionId { stage, task, attempt } = run.execution;
        self.tell_last_death(now, run, ended.end, step);
        if let Some(orders) = &self.ledger.orders
            && injected(orders, run.execution) == Some(InjectionKind::Lie)
        {
            ended.stdout.digest.0[0] ^= 1;
            let story = Story::Injected { lane: self.lane, execution: run.execution, kind: InjectionKind::Lie };
            self.note(story, step);
        }
        let ballot = Ballot { stage, task, attempt, ended, host: self.host };
        match run.purpose {
            Purpose::Vote => {
                if self.is_at_most_once(stage) {
                    step.record_on_disk(self, ExecutionRecord::Cast(Box::new(ballot)));
                } else {
                    step.record(self, ExecutionRecord::Cast(Box::new(ballot)));
                }
                self.flush_soon(step);
            }
            Purpose::Repeat(number) => {
                let value = Some(ballot.value());
                step.record(self, ExecutionRecord::Repeated(stage, task, number, value));
                self.tell_done(stage, step);
                let message = SurrogateMessage::Repeated { lane: self.lane, stage, task, purpose: run.purpose, value };
                step.send(self.surrogate(), message);
            }
        }
    }

    /// An earlier attempt at the task died: this one recovered it, or took over its end.
    pub(super) fn tell_last_death(&mut self, now: Moment, run: &Run, end: End, step: &mut Step<ExecutionRecord>) {
        let ExecutionId { stage, task, .. } = run.execution;
        let died_before = self.ledger.deaths.contains_key(&(stage, task));
        if self.is_abnormal(end) {
            let ran = now.boot.since(run.since);
            let (lane, execution, evidence) = (self.lane, run.execution, Evidence::Ended(end));
            self.note(Story::ProgramDied { lane, execution, evidence, ran, restart_after: None }, step);
        } else if died_before {
            let after = now.boot.since(run.since);
            self.note(Story::ProgramRecovered { lane: self.lane, execution: run.execution, after }, step);
        }
    }
}
