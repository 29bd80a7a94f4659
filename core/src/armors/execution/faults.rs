//! What an Execution does when a program, its surroundings or a slot fails.

use crate::armor::{Effect, Moment, Step, Timer};
use crate::armors::execution::ledger::{Cause, ExecutionRecord};
use crate::armors::execution::slots::{Run, SlotState};
use crate::armors::execution::{Execution, SLOT_LOSSES_LIMIT, SURROUNDINGS_LIMIT};
use crate::message::{Evidence, Story, SurrogateMessage};
use crate::names::{ExecutionId, Millis, SlotId};
use crate::restart::{self, Next};
use crate::world::{End, SlotCommand};

impl Execution {
    pub(super) fn is_abnormal(&self, end: End) -> bool {
        let listed = |code| self.ledger.orders.as_ref().is_some_and(|orders| orders.job.abnormal_exit.contains(&code));
        match end {
            End::Signal(_) => true,
            End::Exit(code) => listed(code),
            End::NotFound | End::NotExecutable => false,
        }
    }

    pub(super) fn at_limit(&self, execution: ExecutionId) -> bool {
        let Some(orders) = &self.ledger.orders else { return true };
        let deaths = self.ledger.deaths.get(&(execution.stage, execution.task)).map_or(0, |deaths| deaths.0);
        restart::of_program(&orders.job.strategy_of(execution.stage).restart, deaths) == Next::GiveUp
    }

    pub(super) fn died(
        &mut self,
        now: Moment,
        run: &Run,
        cause: Cause,
        evidence: Evidence,
        step: &mut Step<ExecutionRecord>,
    ) {
        let ExecutionId { stage, task, .. } = run.execution;
        if self.is_at_most_once(stage) {
            return self.unclear(stage, task, format!("its program {evidence}"), step);
        }
        step.record(self, ExecutionRecord::Died(run.execution, cause));
        let (program, surroundings) = self.ledger.deaths[&(stage, task)];
        if surroundings > SURROUNDINGS_LIMIT {
            return self.give_up(format!("task {} could not be kept running: {evidence:?}", task.0), step);
        }
        let policy = self.ledger.orders.as_ref().map(|orders| orders.job.strategy_of(stage).restart);
        let wait = match cause {
            Cause::Program => match policy.map(|policy| restart::of_program(&policy, program - 1)) {
                Some(Next::After(wait)) => wait,
                Some(Next::GiveUp) | None => Millis(0),
            },
            Cause::Surroundings => Millis(0),
        };
        let ran = now.boot.since(run.since);
        let (lane, execution) = (self.lane, run.execution);
        self.note(Story::ProgramDied { lane, execution, evidence, ran, restart_after: Some(wait) }, step);
        if wait > Millis(0) {
            self.waiting.insert((stage, task), (run.purpose, now.boot));
            step.timer(Timer::Restart(stage, task), wait);
        }
    }

    pub(super) fn kill_for(&mut self, now: Moment, slot: SlotId, evidence: Evidence, step: &mut Step<ExecutionRecord>) {
        let Some(run) = self.slots.run(slot) else { return };
        let deaf = evidence == Evidence::Silent;
        run.killed_for = Some(evidence);
        if deaf {
            // It cannot be told to kill; ending the slot from outside needs no cooperation.
            step.then(Effect::Slot(SlotCommand::Close { slot }));
            self.lost(now, slot, "its init did not answer".to_owned(), step);
        } else {
            step.then(Effect::Slot(SlotCommand::Kill { slot }));
        }
    }

    pub(super) fn lost(&mut self, now: Moment, slot: SlotId, why: String, step: &mut Step<ExecutionRecord>) {
        let Some(state) = self.slots.remove(slot) else { return };
        self.slots.losses += 1;
        if let SlotState::Running(run) = state {
            if run.unwanted && !self.is_at_most_once(run.execution.stage) {
                self.tell_done(run.execution.stage, step);
            } else {
                let evidence = run.killed_for.clone().unwrap_or(Evidence::SlotLost(why.clone()));
                self.died(now, &run, Cause::Surroundings, evidence, step);
            }
        }
        if self.slots.losses > SLOT_LOSSES_LIMIT {
            return self.give_up(why, step);
        }
        if let Some(plan) = self.slots.stage().and_then(|stage| self.plan(stage)) {
            self.slots.reopen(slot, &plan, &mut step.then);
        }
        self.work(now, step);
    }

    /// The lane cannot run its stage: the SM decides what becomes of it.
    pub(super) fn give_up(&mut self, why: String, step: &mut Step<ExecutionRecord>) {
        let Some(stage) = self.slots.stage() else { return };
        self.given_up = Some((stage, why.clone()));
        for (slot, run) in self.slots.runs_mut() {
            run.unwanted = true;
            step.then(Effect::Slot(SlotCommand::Kill { slot }));
        }
        step.send(self.surrogate(), SurrogateMessage::CannotRun { lane: self.lane, stage, why });
    }
}
