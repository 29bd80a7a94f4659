//! What an Execution tells others, and tells again when a link comes up.

use crate::armor::{Step, Timer};
use crate::armors::execution::ledger::ExecutionRecord;
use crate::armors::execution::{BALLOTS_AT_ONCE, Execution, FLUSH_AFTER};
use crate::elements::seal::seal;
use crate::message::{FanoutMessage, Purpose, Story, SurrogateMessage, VoterMessage, Witness};
use crate::names::{ArmorName, ExecutionId, StageId};
use crate::world::Region;

impl Execution {
    pub(super) fn note(&mut self, story: Story, step: &mut Step<ExecutionRecord>) {
        step.record(self, ExecutionRecord::Noted(story));
        self.say_stories(step);
    }

    pub(super) fn say_stories(&mut self, step: &mut Step<ExecutionRecord>) {
        while let Some((first, stories)) = self.ledger.stories.say(BALLOTS_AT_ONCE) {
            step.send(self.surrogate(), SurrogateMessage::Noted { first, stories });
        }
    }

    /// Sends ballots at once when none were sent a moment ago or the lane has nothing else to do, else together
    /// with others.
    pub(super) fn flush_soon(&mut self, step: &mut Step<ExecutionRecord>) {
        let idle = self.ledger.assigned.is_empty() && self.slots.runs().next().is_none();
        if idle || !self.flushing || self.ledger.ballots.unsaid() >= BALLOTS_AT_ONCE as u64 {
            self.say_ballots(step);
        }
        if !idle && !self.flushing {
            self.flushing = true;
            step.timer(Timer::Flush, FLUSH_AFTER);
        }
    }

    pub(super) fn say_ballots(&mut self, step: &mut Step<ExecutionRecord>) {
        while let Some((first, ballots)) = self.ledger.ballots.say(BALLOTS_AT_ONCE) {
            let witness = self.witness();
            let seal = seal(&self.key, self.lane, first, &witness, &ballots);
            let (lane, life, oldest) = (self.lane, self.incarnation, self.ledger.ballots.oldest());
            step.send(self.voter(), VoterMessage::Ballots { lane, life, oldest, first, witness, ballots, seal });
        }
    }

    pub(super) fn witness(&self) -> Witness {
        Witness {
            host: self.host,
            job: self.job,
            cores: Vec::new(),
            program: self.program,
            input: self.input,
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }

    /// Says that the stage is done, once it is and the Voter has all ballots.
    pub(super) fn tell_done(&mut self, stage: StageId, step: &mut Step<ExecutionRecord>) {
        let left = self.ledger.assigned.keys().any(|(assigned, _)| *assigned == stage);
        let runs = self.slots.runs().any(|(_, run)| run.execution.stage == stage);
        if left || runs || !self.ledger.ballots.is_empty() {
            return;
        }
        let message = SurrogateMessage::LaneDone {
            lane: self.lane,
            stage,
            ballots: self.ledger.counts.get(&stage).copied().unwrap_or_default(),
            executions: self.ledger.executions,
            cpu_us: self.ledger.cpu_us,
        };
        step.send(self.surrogate(), message);
    }

    pub(super) fn tell_progress(&mut self, stage: StageId, step: &mut Step<ExecutionRecord>) {
        let first = self.slots.runs().next().map(|(_, run)| (run.execution.task, run.length));
        let paused = self.slots.runs().any(|(_, run)| run.is_held_back());
        let message = SurrogateMessage::LaneProgress {
            lane: self.lane,
            stage,
            finished: self.ledger.counts.get(&stage).copied().unwrap_or_default(),
            running: first,
            cpu_us: self.ledger.cpu_us,
            executions: self.ledger.executions + self.slots.runs().count() as u64,
            paused,
        };
        step.send(self.surrogate(), message);
    }

    pub(super) fn link_up(&mut self, peer: ArmorName) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        if peer == self.voter() {
            if self.ledger.is_fresh {
                self.say_recall(&mut step);
            }
            self.ledger.ballots.repeat();
            self.say_ballots(&mut step);
            let said: Vec<(ExecutionId, Region)> = self.said.iter().map(|(&id, &region)| (id, region)).collect();
            said.into_iter().for_each(|(execution, so_far)| self.say_prefix(execution, so_far, &mut step));
        } else if peer == ArmorName::Fanout(self.job) {
            for ((stage, input), outcome) in self.staged.clone() {
                step.send(peer, FanoutMessage::Staged { stage, lane: self.lane, input, outcome, host: self.host });
            }
        } else if peer == self.surrogate() {
            self.ledger.stories.repeat();
            self.say_stories(&mut step);
            self.say_answers(&mut step);
            if let Some((stage, why)) = self.given_up.clone() {
                step.send(self.surrogate(), SurrogateMessage::CannotRun { lane: self.lane, stage, why });
            } else if let Some(stage) = self.slots.stage().or(self.ledger.counts.keys().next_back().copied()) {
                self.tell_done(stage, &mut step);
            }
        }
        step
    }

    /// What the SM asked for and may not have heard.
    pub(super) fn say_answers(&mut self, step: &mut Step<ExecutionRecord>) {
        for (&(stage, task, number), &value) in &self.ledger.repeated {
            let purpose = Purpose::Repeat(number);
            step.send(self.surrogate(), SurrogateMessage::Repeated { lane: self.lane, stage, task, purpose, value });
        }
        if let Some((stage, outcome)) = self.committed.clone() {
            step.send(self.surrogate(), SurrogateMessage::Committed { stage, outcome });
        }
        self.say_once(step);
    }
}
