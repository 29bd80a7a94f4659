//! What an Execution must not forget: its orders, what is left to run, and what came out.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::elements::outbox::Outbox;
use crate::elements::task_set::TaskSet;
use crate::message::{Ballot, LaneOrders, Purpose, Story, Value};
use crate::names::{Attempt, ExecutionId, StageId, TaskId};

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ExecutionRecord {
    #[n(0)]
    Configured(#[n(0)] Box<LaneOrders>),
    #[n(1)]
    Assigned(#[n(0)] StageId, #[n(1)] Vec<(u64, u64)>, #[n(2)] Purpose),
    /// An execution's result: its blob is complete, the ballot goes to the Voter.
    #[n(2)]
    Cast(#[n(0)] Box<Ballot>),
    #[n(3)]
    Repeated(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] u16, #[n(3)] Option<Value>),
    /// An attempt came to nothing.
    #[n(4)]
    Died(#[n(0)] ExecutionId, #[n(1)] Cause),
    #[n(5)]
    Noted(#[n(0)] Story),
    /// No more of this stage, or of one task of it.
    #[n(6)]
    Stopped(#[n(0)] StageId, #[n(1)] Option<TaskId>),
    #[n(7)]
    BallotsKept(#[n(0)] u64),
    #[n(8)]
    Fed(#[n(0)] u64, #[n(1)] bool),
    /// CPU and number of an execution that was run, whatever came of it.
    #[n(9)]
    Spent(#[n(0)] u64),
    /// The lane had lives before this ledger, of which it has no memory.
    #[n(60)]
    Fresh,
    /// What those lives did, by the Voter's word: tasks that need no execution any more, and attempts begun.
    #[n(61)]
    Recalled(#[n(0)] Option<StageId>, #[n(1)] Vec<(u64, u64)>, #[n(2)] Vec<(TaskId, Attempt)>),
    /// These tasks are to be started at most once, and not before that is granted.
    #[n(120)]
    Prepared(#[n(0)] StageId, #[n(1)] Vec<(u64, u64)>),
    /// The one start of these tasks is granted.
    #[n(121)]
    Granted(#[n(0)] StageId, #[n(1)] Vec<(u64, u64)>),
    /// The intent to start it: on disk before the start is made.
    #[n(122)]
    Begun(#[n(0)] StageId, #[n(1)] TaskId),
    /// It may have been started, and its end is on no record.
    #[n(123)]
    Unclear(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] String),
}

/// Whose doing the death of an attempt was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Cause {
    /// The program's: counts towards the strategy's limit.
    #[n(0)]
    Program,
    /// Its surroundings' (a slot that died, a process that somebody stopped).
    #[n(1)]
    Surroundings,
}

/// Durable state.
#[derive(Debug, Default)]
pub struct Ledger {
    pub orders: Option<LaneOrders>,
    /// It is not known yet what earlier lives of the lane voted on.
    pub is_fresh: bool,
    /// Left to run, repetitions behind votes.
    pub assigned: BTreeMap<(StageId, Purpose), TaskSet>,
    /// Ballots cast or being run for, by stage.
    pub cast: BTreeMap<StageId, TaskSet>,
    pub ballots: Outbox<Ballot>,
    pub stories: Outbox<Story>,
    pub repeated: BTreeMap<(StageId, TaskId, u16), Option<Value>>,
    /// How often attempts at a task died: by the program's own doing, and by its surroundings'.
    pub deaths: BTreeMap<(StageId, TaskId), (u32, u32)>,
    pub stopped: BTreeSet<StageId>,
    /// Spooled input that all lanes have, and whether that is all of it.
    pub fed: (u64, bool),
    /// Executions run, and their CPU in microseconds.
    pub executions: u64,
    pub cpu_us: u64,
    /// Ballots about whose prefixes the Voter may still ask: those of stages with one task.
    streamed: Vec<Ballot>,
    /// Ballots cast by stage.
    pub counts: BTreeMap<StageId, u64>,
    once: BTreeMap<StageId, Once>,
    /// What may have been started, and the reason why nobody knows its end.
    pub unclear: BTreeMap<(StageId, TaskId), String>,
}

/// The tasks of a stage that may be started at most once.
#[derive(Debug, Default)]
struct Once {
    /// All that were ordered here, whatever became of them.
    prepared: TaskSet,
    /// All whose start was granted.
    granted: TaskSet,
    /// Those that may have been started and have no end yet.
    begun: TaskSet,
}

impl Ledger {
    pub fn apply(&mut self, record: &ExecutionRecord) {
        match record {
            ExecutionRecord::Configured(orders) => self.orders = Some((**orders).clone()),
            ExecutionRecord::Assigned(stage, ranges, purpose) => self.assign(*stage, ranges, *purpose),
            ExecutionRecord::Cast(ballot) => self.cast(ballot),
            ExecutionRecord::Repeated(stage, task, number, value) => {
                self.finish(*stage, *task, Purpose::Repeat(*number));
                self.repeated.insert((*stage, *task, *number), *value);
            }
            ExecutionRecord::Died(execution, cause) => {
                let (program, surroundings) = self.deaths.entry((execution.stage, execution.task)).or_default();
                match cause {
                    Cause::Program => *program += 1,
                    Cause::Surroundings => *surroundings += 1,
                }
            }
            ExecutionRecord::Noted(story) => drop(self.stories.push(story.clone())),
            ExecutionRecord::Prepared(..)
            | ExecutionRecord::Granted(..)
            | ExecutionRecord::Begun(..)
            | ExecutionRecord::Unclear(..) => self.apply_once(record),
            ExecutionRecord::Stopped(stage, None) => {
                self.stopped.insert(*stage);
                self.assigned.retain(|(assigned, _), _| assigned != stage);
            }
            ExecutionRecord::Stopped(stage, Some(task)) => {
                for (_, tasks) in self.assigned.range_mut((*stage, Purpose::Vote)..=(*stage, Purpose::Repeat(u16::MAX)))
                {
                    tasks.remove(*task);
                }
            }
            ExecutionRecord::BallotsKept(below) => self.ballots.kept(*below),
            ExecutionRecord::Fed(upto, end) => self.fed = (self.fed.0.max(*upto), self.fed.1 || *end),
            ExecutionRecord::Spent(cpu_us) => {
                self.executions += 1;
                self.cpu_us += cpu_us;
            }
            ExecutionRecord::Fresh => self.is_fresh = true,
            ExecutionRecord::Recalled(stage, ranges, began) => {
                self.is_fresh = false;
                if let Some(stage) = stage {
                    self.recall(*stage, ranges, began);
                }
            }
        }
    }

    fn recall(&mut self, stage: StageId, ranges: &[(u64, u64)], began: &[(TaskId, Attempt)]) {
        let cast = self.cast.entry(stage).or_default();
        ranges.iter().for_each(|&(from, to)| cast.insert_range(from, to));
        if let Some(assigned) = self.assigned.remove(&(stage, Purpose::Vote)) {
            self.assign(stage, &assigned.ranges(), Purpose::Vote);
        }
        for &(task, attempt) in began {
            self.deaths.insert((stage, task), (0, attempt.0 + 1));
        }
    }

    fn apply_once(&mut self, record: &ExecutionRecord) {
        match record {
            ExecutionRecord::Prepared(stage, ranges) => {
                let once = self.once.entry(*stage).or_default();
                ranges.iter().for_each(|&(from, to)| once.prepared.insert_range(from, to));
            }
            ExecutionRecord::Granted(stage, ranges) => {
                let once = self.once.entry(*stage).or_default();
                let fresh = TaskSet::of(ranges).without(&once.granted).ranges();
                fresh.iter().for_each(|&(from, to)| once.granted.insert_range(from, to));
                self.assign(*stage, &fresh, Purpose::Vote);
            }
            ExecutionRecord::Begun(stage, task) => {
                self.finish(*stage, *task, Purpose::Vote);
                self.once.entry(*stage).or_default().begun.insert(*task);
            }
            ExecutionRecord::Unclear(stage, task, why) => {
                self.finish(*stage, *task, Purpose::Vote);
                self.once.entry(*stage).or_default().begun.remove(*task);
                self.unclear.insert((*stage, *task), why.clone());
            }
            _ => {}
        }
    }

    /// What was ordered here of a stage that may be started at most once.
    #[must_use]
    pub fn prepared_for(&self, stage: StageId) -> TaskSet {
        self.once.get(&stage).map(|once| once.prepared.clone()).unwrap_or_default()
    }

    /// What was ordered here of all stages that may be started at most once.
    pub fn prepared(&self) -> impl Iterator<Item = (StageId, Vec<(u64, u64)>)> {
        self.once.iter().map(|(&stage, once)| (stage, once.prepared.ranges()))
    }

    /// What may have been started and has no end.
    #[must_use]
    pub fn begun(&self) -> Vec<(StageId, TaskId)> {
        self.once.iter().flat_map(|(&stage, once)| once.begun.iter().map(move |task| (stage, task))).collect()
    }

    /// What is assigned and was not begun.
    #[must_use]
    pub fn not_begun(&self) -> Vec<(StageId, TaskId)> {
        let votes = self.assigned.iter().filter(|((_, purpose), _)| *purpose == Purpose::Vote);
        votes.flat_map(|((stage, _), tasks)| tasks.iter().map(|task| (*stage, task))).collect()
    }

    fn assign(&mut self, stage: StageId, ranges: &[(u64, u64)], purpose: Purpose) {
        let tasks = TaskSet::of(ranges);
        let left = match purpose {
            Purpose::Vote => self.cast.get(&stage).map_or(tasks.clone(), |cast| tasks.without(cast)),
            Purpose::Repeat(number) => {
                let known = |task: &TaskId| self.repeated.contains_key(&(stage, *task, number));
                TaskSet::of_tasks(tasks.iter().filter(|task| !known(task)))
            }
        };
        if !left.is_empty() {
            let assigned = self.assigned.entry((stage, purpose)).or_default();
            left.ranges().into_iter().for_each(|(from, to)| assigned.insert_range(from, to));
        }
    }

    fn cast(&mut self, ballot: &Ballot) {
        self.finish(ballot.stage, ballot.task, Purpose::Vote);
        if let Some(once) = self.once.get_mut(&ballot.stage) {
            once.begun.remove(ballot.task);
        }
        self.cast.entry(ballot.stage).or_default().insert(ballot.task);
        *self.counts.entry(ballot.stage).or_default() += 1;
        self.deaths.remove(&(ballot.stage, ballot.task));
        self.ballots.push(ballot.clone());
        if ballot.ended.stdout.length > 0 && self.is_single(ballot.stage) {
            self.streamed.push(ballot.clone());
        }
    }

    fn is_single(&self, stage: StageId) -> bool {
        let stage = self.orders.as_ref().and_then(|orders| orders.job.stages.get(usize::from(stage.0)));
        stage.is_some_and(|stage| stage.tasks.is_none())
    }

    fn finish(&mut self, stage: StageId, task: TaskId, purpose: Purpose) {
        if let Some(tasks) = self.assigned.get_mut(&(stage, purpose)) {
            tasks.remove(task);
            if tasks.is_empty() {
                self.assigned.remove(&(stage, purpose));
            }
        }
    }

    /// The ballot that was cast for a task, if the Voter has not saved it yet or may ask about it.
    #[must_use]
    pub fn ballot(&self, stage: StageId, task: TaskId) -> Option<&Ballot> {
        self.streamed.iter().find(|ballot| ballot.stage == stage && ballot.task == task)
    }

    /// The attempt that the next execution of this task is.
    #[must_use]
    pub fn next_attempt(&self, stage: StageId, task: TaskId, purpose: Purpose) -> Attempt {
        let (program, surroundings) = self.deaths.get(&(stage, task)).copied().unwrap_or_default();
        let repeated = match purpose {
            Purpose::Vote => 0,
            Purpose::Repeat(number) => 1_000_000 * u32::from(number),
        };
        Attempt(repeated + program + surroundings)
    }
}
