//! One stage under way: which lanes run which tasks, what is decided, what is disputed.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::elements::task_set::TaskSet;
use crate::managers::surrogate::dispute::Inquiry;
use crate::message::{Rule, Verdict};
use crate::names::{Digest, LaneId, Millis, StageId, TaskId};
use crate::strategy::Order;
use crate::world::{ChangeSet, CommitOutcome};

/// Lanes are told to run so many tasks of an array at a time, and between one and two times so many ahead of the first
/// that is open.
const REACH: u64 = 1 << 13;

/// How far the stage is.
///
/// ```text
/// Running ──all decided, no dispute open──▶ Ending ──lanes done or out of patience──▶ Committing ──▶ Over
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// Everything is decided; lanes that still run get their time.
    Ending,
    /// The winners' changes are being applied.
    Committing,
    Over(CommitOutcome),
}

/// More lanes for some tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    pub tasks: TaskSet,
    pub rule: Rule,
    pub order: Order,
}

/// The stage that is under way.
#[derive(Debug)]
pub struct StageRun {
    pub stage: StageId,
    pub rule: Rule,
    pub order: Order,
    pub began: Millis,
    pub tasks: TaskSet,
    pub decided: TaskSet,
    /// Tasks of which there will be no verdict, and those among them of which nobody knows whether and how
    /// they ended.
    pub undecided: TaskSet,
    pub unclear: TaskSet,
    /// The first of them, and why.
    pub lack: Option<(TaskId, String)>,
    /// Verdicts, until their output is released.
    pub verdicts: BTreeMap<TaskId, Verdict>,
    /// What the winners changed, each once, until it is committed.
    pub changes: BTreeMap<TaskId, ChangeSet>,
    /// Tasks whose programs failed by a verdict.
    pub failed: TaskSet,
    /// Tasks that each lane was told to run.
    pub started: BTreeMap<LaneId, TaskSet>,
    /// Lanes that take no further part.
    pub dropped: BTreeSet<LaneId>,
    pub extensions: Vec<Extension>,
    pub inquiries: BTreeMap<TaskId, Inquiry>,
    pub phase: Phase,
    /// Lanes that said they are done with all they were told; forgotten with this process.
    pub done: BTreeSet<LaneId>,
    /// Lanes that have the stage's inputs, and the digest of those; forgotten with this process.
    pub supplied: BTreeSet<LaneId>,
    pub input: Digest,
    /// Tasks that lanes have on disk, to be started at most once, and lanes that were asked for that;
    /// forgotten with this process.
    pub prepared: BTreeMap<LaneId, TaskSet>,
    pub preparing: BTreeSet<LaneId>,
}

/// What a task ended without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Lack {
    /// Not enough lanes agree on what its result is.
    #[n(0)]
    Verdict,
    /// It may be started at most once, and nobody knows whether and how it ended.
    #[n(1)]
    End,
}

impl StageRun {
    #[must_use]
    pub fn new(stage: StageId, tasks: &[(u64, u64)], rule: Rule, order: Order, began: Millis) -> Self {
        StageRun {
            stage,
            rule,
            order,
            began,
            tasks: TaskSet::of(tasks),
            decided: TaskSet::default(),
            undecided: TaskSet::default(),
            unclear: TaskSet::default(),
            lack: None,
            verdicts: BTreeMap::new(),
            changes: BTreeMap::new(),
            failed: TaskSet::default(),
            started: BTreeMap::new(),
            dropped: BTreeSet::new(),
            extensions: Vec::new(),
            inquiries: BTreeMap::new(),
            phase: Phase::Running,
            done: BTreeSet::new(),
            supplied: BTreeSet::new(),
            input: Digest::default(),
            prepared: BTreeMap::new(),
            preparing: BTreeSet::new(),
        }
    }

    /// Tasks without a verdict, or with one that is a failure, or whose changes were not put in place.
    #[must_use]
    pub fn without_success(&self) -> TaskSet {
        let mut failed = self.tasks.without(&self.decided);
        self.failed.ranges().into_iter().for_each(|(from, to)| failed.insert_range(from, to));
        if !matches!(self.phase, Phase::Over(CommitOutcome::Done(_))) {
            self.changes.keys().for_each(|task| failed.insert(*task));
        }
        failed
    }

    /// Whether there may still be a verdict on this task, and is none yet.
    #[must_use]
    pub fn is_open(&self, task: TaskId) -> bool {
        !self.decided.contains(task) && !self.undecided.contains(task)
    }

    /// Those of `tasks` that are open.
    #[must_use]
    pub fn open(&self, tasks: &TaskSet) -> TaskSet {
        tasks.without(&self.decided).without(&self.undecided)
    }

    pub fn give_up(&mut self, task: TaskId, lack: Lack, why: &str) {
        self.undecided.insert(task);
        if lack == Lack::End {
            self.unclear.insert(task);
        }
        if self.lack.as_ref().is_none_or(|(first, _)| task < *first) {
            self.lack = Some((task, why.to_owned()));
        }
    }

    /// Tasks whose start was granted and that have no verdict.
    #[must_use]
    pub fn may_have_run(&self) -> TaskSet {
        let mut granted = TaskSet::default();
        let ranges = self.started.values().flat_map(TaskSet::ranges);
        ranges.for_each(|(from, to)| granted.insert_range(from, to));
        granted.without(&self.decided)
    }

    /// Whether a lane has all these tasks on disk.
    #[must_use]
    pub fn is_prepared(&self, lane: LaneId, ranges: &[(u64, u64)]) -> bool {
        self.prepared.get(&lane).is_some_and(|prepared| TaskSet::of(ranges).without(prepared).is_empty())
    }

    /// Lanes that are needed now: the first ones, and further ones as far as the ladder was climbed.
    #[must_use]
    pub fn needed_lanes(&self) -> u16 {
        if self.phase != Phase::Running || self.is_settled() {
            return self.started.keys().next_back().map_or(0, |lane| lane.0 + 1);
        }
        let first = match self.order {
            Order::Space => self.rule.lanes,
            Order::Time => {
                (0..self.rule.lanes).find(|&lane| !self.is_over(LaneId(lane))).map_or(self.rule.lanes, |lane| lane + 1)
            }
        };
        let open = self.extensions.iter().filter(|extension| !self.open(&extension.tasks).is_empty());
        let extended = open.map(|extension| match extension.order {
            Order::Space => extension.rule.lanes,
            Order::Time => {
                let next = (0..extension.rule.lanes).find(|&lane| !self.is_over(LaneId(lane)));
                next.map_or(extension.rule.lanes, |lane| lane + 1)
            }
        });
        extended.fold(first, u16::max)
    }

    /// Lanes that work or will, in order.
    pub fn active_lanes(&self) -> impl Iterator<Item = LaneId> + '_ {
        (0..self.needed_lanes()).map(LaneId).filter(|lane| !self.dropped.contains(lane))
    }

    /// Whether nothing more is to come from a lane as things stand.
    fn is_over(&self, lane: LaneId) -> bool {
        self.dropped.contains(&lane) || (self.started.contains_key(&lane) && self.done.contains(&lane))
    }

    /// Tasks that a lane should run now and was not told to.
    #[must_use]
    pub fn due(&self, lane: LaneId) -> TaskSet {
        if self.phase != Phase::Running || self.dropped.contains(&lane) || !self.supplied.contains(&lane) {
            return TaskSet::default();
        }
        let mut due = TaskSet::default();
        if lane.0 < self.rule.lanes && self.may_start(lane, self.order) {
            due = match self.order {
                Order::Space => self.within_reach(),
                Order::Time => self.open(&self.tasks),
            };
        }
        for extension in self.extensions.iter().filter(|extension| lane.0 < extension.rule.lanes) {
            if self.may_start(lane, extension.order) {
                let tasks = self.open(&extension.tasks);
                tasks.ranges().into_iter().for_each(|(from, to)| due.insert_range(from, to));
            }
        }
        self.started.get(&lane).map_or(due.clone(), |started| due.without(started))
    }

    /// Tasks that lanes may begin side by side: none runs far ahead of the first that is open, since what is decided
    /// behind that is held until it can be released.
    fn within_reach(&self) -> TaskSet {
        match self.open(&self.tasks).first() {
            None => self.tasks.clone(),
            Some(first) => self.tasks.below((first.0 / REACH).saturating_add(2).saturating_mul(REACH)),
        }
    }

    /// Side by side a lane may always start; one after another, when those before it are over.
    fn may_start(&self, lane: LaneId, order: Order) -> bool {
        match order {
            Order::Space => true,
            Order::Time => (0..lane.0).all(|before| self.is_over(LaneId(before))),
        }
    }

    /// The rule for a task as it stands.
    #[must_use]
    pub fn rule_of(&self, task: TaskId) -> Rule {
        let extended = self.extensions.iter().rev().find(|extension| extension.tasks.contains(task));
        extended.map_or(self.rule, |extension| extension.rule)
    }

    /// Whether every task has its verdict, or is given up.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.decided.len() + self.undecided.len() == self.tasks.len()
    }

    /// Disputes that are neither judged nor answered by the ladder, of tasks that are not given up.
    #[must_use]
    pub fn has_open_dispute(&self) -> bool {
        let waits = |(task, inquiry): (&TaskId, &Inquiry)| {
            inquiry.diagnoses.is_empty() && !inquiry.climbed && !self.undecided.contains(*task)
        };
        self.inquiries.iter().any(waits)
    }

    /// Lanes that were told to run something and have not finished it.
    pub fn running_lanes(&self) -> impl Iterator<Item = LaneId> + '_ {
        let finished = |lane: &LaneId| self.done.contains(lane) || self.dropped.contains(lane);
        self.started.keys().copied().filter(move |lane| !finished(lane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lane_runs_far_ahead_of_the_first_task_that_is_open() {
        let rule = Rule { lanes: 3, quorum: 2 };
        let mut run = StageRun::new(StageId(0), &[(0, 1_000_000)], rule, Order::Space, Millis(0));
        run.supplied.insert(LaneId(0));
        let mut told = |decided: (u64, u64)| {
            run.decided.insert_range(decided.0, decided.1);
            let due = run.due(LaneId(0)).ranges();
            let started = run.started.entry(LaneId(0)).or_default();
            due.iter().for_each(|&(from, to)| started.insert_range(from, to));
            due
        };
        assert_eq!(told((0, 0)), [(0, 2 * REACH)]);
        assert!(told((1, 2 * REACH)).is_empty(), "the first is still open");
        assert_eq!(told((0, 1)), [(2 * REACH, 4 * REACH)]);
        assert!(told((2 * REACH, 3 * REACH - 1)).is_empty());
        assert_eq!(told((2 * REACH, 3 * REACH)), [(4 * REACH, 5 * REACH)]);
        assert_eq!(told((0, 1_000_000)), [(5 * REACH, 1_000_000)], "a lane that comes late is told all");
    }
}
