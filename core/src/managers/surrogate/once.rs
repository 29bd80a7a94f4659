//! What may be started at most once: the SM grants the one start, on disk, before it orders it, and what
//! has no clear end after that makes the outcome unknown. No second start is ever granted.

use crate::armor::{Moment, Step};
use crate::elements::task_set::TaskSet;
use crate::managers::surrogate::stage::Lack;
use crate::managers::surrogate::{Surrogate, SurrogateRecord};
use crate::message::{ExecutionMessage, Outcome, Story};
use crate::names::{LaneId, StageId, TaskId};
use crate::world::IndexEntry;

impl Surrogate {
    /// Whether the stage under way may start its programs at most once.
    pub(super) fn is_at_most_once(&self) -> bool {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return false };
        job.is_at_most_once(run.stage)
    }

    /// Grants the start of what a lane has prepared; what it has not, it is asked to prepare.
    pub(super) fn grant_once(&mut self, lane: LaneId, ranges: Vec<(u64, u64)>, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &mut self.ledger.stage else { return };
        let (stage, input) = (run.stage, run.input);
        if run.is_prepared(lane, &ranges) {
            run.preparing.remove(&lane);
            step.record_on_disk(self, SurrogateRecord::LaneStarted(lane, ranges.clone()));
            self.say_run(lane, ranges, step);
        } else if run.preparing.insert(lane) {
            step.send(self.execution(lane), ExecutionMessage::Prepare { stage, ranges, input });
        }
    }

    pub(super) fn prepared(&mut self, lane: LaneId, stage: StageId, ranges: &[(u64, u64)]) {
        if let Some(run) = self.run_of(stage) {
            let prepared = run.prepared.entry(lane).or_default();
            ranges.iter().for_each(|&(from, to)| prepared.insert_range(from, to));
        }
    }

    pub(super) fn unclear(
        &mut self,
        now: Moment,
        lane: LaneId,
        stage: StageId,
        task: TaskId,
        why: String,
        step: &mut Step<SurrogateRecord>,
    ) {
        if self.run_of(stage).is_some_and(|run| run.is_open(task)) {
            step.record_on_disk(self, SurrogateRecord::Undecided(task, Lack::End, why.clone()));
            self.tell(now, Story::Unclear { lane, stage, task, why }, step);
        }
    }

    /// The outcome as it can be told: what may have run and has no verdict was neither called off nor
    /// did it fail, for all that anybody knows.
    pub(super) fn as_known(&self, outcome: Outcome) -> Outcome {
        let Some(run) = self.ledger.stage.as_ref().filter(|_| self.is_at_most_once()) else { return outcome };
        let Some(task) = run.may_have_run().first() else { return outcome };
        let cause = match &outcome {
            Outcome::Result { .. } | Outcome::Unknown { .. } => return outcome,
            Outcome::Untrusted { why, .. } | Outcome::Failed { why } => why.clone(),
            Outcome::Deadline => "the deadline passed".to_owned(),
            Outcome::Cancelled { .. } => "the job was cancelled".to_owned(),
        };
        let why = format!("{task} may have run, and its end is on no record: {cause}");
        Outcome::Unknown { why, released: self.ledger.output.position() }
    }

    /// What of the last stage came to no good end; apart from that, what may have run once and must not run again before
    /// a person has looked.
    pub(super) fn without_success(&self) -> Vec<IndexEntry> {
        let Some(run) = &self.ledger.stage else { return Vec::new() };
        let unclear = if self.is_at_most_once() { run.may_have_run() } else { TaskSet::default() };
        let failed = run.without_success().without(&unclear);
        let mut entries = Vec::new();
        if !failed.is_empty() {
            entries.push(IndexEntry::Failed(run.stage, failed.ranges()));
        }
        if !unclear.is_empty() {
            entries.push(IndexEntry::Unclear(run.stage, unclear.ranges()));
        }
        entries
    }
}
