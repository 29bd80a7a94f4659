//! How a stage ends, and how a job ends.

use crate::armor::{Effect, Moment, Step, Timer};
use crate::managers::surrogate::stage::Phase;
use crate::managers::surrogate::{Surrogate, SurrogateRecord};
use crate::message::{ExecutionMessage, FtmMessage, Outcome, Story, UserMessage, VoterMessage};
use crate::names::{ArmorName, LaneId, Millis, StageId, TaskId};
use crate::world::{CommitOutcome, End, FileCommand, IndexEntry};

/// What every lane gets after the decision, whatever the winners took: a late ballot that differs is evidence,
/// and one that never comes costs no more than this.
const PATIENCE_AT_LEAST: Millis = Millis(250);

/// Most pieces that are put into the index at once.
const PIECES_AT_ONCE: usize = 4096;

/// What was asked to be put into the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexAsked {
    pieces: u64,
    /// The job was over, so that this is not tried again; and with this nothing is left.
    is_over: bool,
    is_last: bool,
}

impl Surrogate {
    // ---- a stage ----

    /// Takes the stage as far as it can go: everything decided, lanes done, changes committed, next.
    pub(super) fn finish_stage(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        match &run.phase {
            Phase::Running if run.is_settled() && !run.has_open_dispute() => {
                if run.running_lanes().next().is_some() {
                    self.be_patient(now, step);
                } else if self.recount.answered < self.recount.done {
                    self.ask_for_recount(step);
                    self.be_patient(now, step);
                } else {
                    self.settle(now, step);
                }
            }
            Phase::Running | Phase::Committing => {}
            Phase::Ending => {
                if run.running_lanes().next().is_none() {
                    self.settle(now, step);
                }
            }
            Phase::Over(_) => {}
        }
    }

    fn ask_for_recount(&mut self, step: &mut Step<SurrogateRecord>) {
        let Some(stage) = self.ledger.stage.as_ref().map(|run| run.stage) else { return };
        if self.recount.asked < self.recount.done {
            self.recount.asked = self.recount.done;
            step.send(self.voter(), VoterMessage::Recount { stage, number: self.recount.done });
        }
    }

    fn be_patient(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        if self.waiting_for_patience {
            return;
        }
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        self.waiting_for_patience = true;
        let took = now.boot.since(run.began);
        let patience = took.0.saturating_mul(u64::from(job.strategy_of(run.stage).patience_percent)) / 100;
        step.timer(Timer::Patience(run.stage, TaskId(0)), Millis(patience) + PATIENCE_AT_LEAST);
    }

    fn out_of_patience(&mut self, now: Moment, stage: StageId, step: &mut Step<SurrogateRecord>) {
        let Some(run) = self.run_of(stage) else { return };
        if run.phase != Phase::Running || !run.is_settled() || run.has_open_dispute() {
            self.waiting_for_patience = false;
            return;
        }
        let waited = now.boot.since(run.began);
        let late: Vec<LaneId> = run.running_lanes().collect();
        step.record(self, SurrogateRecord::Ending);
        for lane in late {
            let tasks = self.run_of(stage).and_then(|run| run.started.get(&lane)).map_or(0, |tasks| tasks.len());
            self.tell(now, Story::Straggler { lane, stage, tasks, waited }, step);
            step.send(self.execution(lane), ExecutionMessage::Stop { stage });
            // It is not waited for: what it does from here on has no effect.
            if let Some(run) = self.run_of(stage) {
                run.done.insert(lane);
            }
        }
    }

    /// Everything is decided and nobody is waited for: commit, if there is something to commit.
    fn settle(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        if let Some(outcome) = self.lacking() {
            return self.end(now, outcome, step);
        }
        if self.ledger.stage.as_ref().is_none_or(|run| run.changes.is_empty()) {
            return self.stage_over(now, CommitOutcome::Done(0), step);
        }
        step.record_on_disk(self, SurrogateRecord::Committing);
        self.say_commit(step);
    }

    /// The outcome of a stage some of whose tasks have no verdict: no change of files is applied, the output
    /// of the decided tasks is kept.
    fn lacking(&self) -> Option<Outcome> {
        let run = self.ledger.stage.as_ref()?;
        let (task, why) = run.lack.clone()?;
        let released = self.ledger.output.position();
        let (lacking, all) = (run.undecided.len(), run.tasks.len());
        let why =
            if all == 1 { why } else { format!("{lacking} of {all} tasks have no result, the first is {task}: {why}") };
        Some(match run.unclear.is_empty() {
            true => Outcome::Untrusted { why, released },
            false => Outcome::Unknown { why, released },
        })
    }

    pub(super) fn committed(
        &mut self,
        now: Moment,
        stage: StageId,
        outcome: CommitOutcome,
        step: &mut Step<SurrogateRecord>,
    ) {
        if self.run_of(stage).is_some_and(|run| run.phase == Phase::Committing) {
            self.stage_over(now, outcome, step);
        }
    }

    fn stage_over(&mut self, now: Moment, outcome: CommitOutcome, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        let (stage, stages) = (run.stage, job.stages.len());
        step.record(self, SurrogateRecord::StageOver(outcome.clone()));
        match outcome {
            CommitOutcome::Done(changes) => {
                if changes > 0 {
                    self.tell(now, Story::Committed { stage, changes }, step);
                }
                let end = self.ledger.failed.map_or(End::Exit(0), |(_, end)| end);
                if end == End::Exit(0) && usize::from(stage.0) + 1 < stages {
                    self.begin_stage(now, StageId(stage.0 + 1), step);
                } else {
                    self.end(now, Outcome::Result { end }, step);
                }
            }
            CommitOutcome::Conflict(paths) => {
                let named: Vec<String> = paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
                let why = format!(
                    "somebody else changed {} while the job ran; nothing was overwritten and no change was applied",
                    named.join(", ")
                );
                self.tell(now, Story::CommitConflict { stage, paths }, step);
                self.abort(now, why, step);
            }
            CommitOutcome::Failed(why) => self.end(now, Outcome::Failed { why }, step),
        }
    }

    // ---- the job ----

    /// A safe abort with its evidence.
    pub(super) fn abort(&mut self, now: Moment, why: String, step: &mut Step<SurrogateRecord>) {
        let released = self.ledger.output.position();
        self.end(now, Outcome::Untrusted { why, released }, step);
    }

    pub(super) fn end(&mut self, now: Moment, outcome: Outcome, step: &mut Step<SurrogateRecord>) {
        // A decided result that is being committed can be neither overtaken nor called off.
        let committing = self.ledger.stage.as_ref().is_some_and(|run| run.phase == Phase::Committing);
        let called_off = matches!(outcome, Outcome::Deadline | Outcome::Cancelled { .. });
        if self.is_over() || (committing && called_off) {
            return;
        }
        let outcome = self.as_known(outcome);
        let cost = self.cost();
        self.tell(now, cost, step);
        self.tell(now, Story::Ended(outcome.clone()), step);
        step.record(self, SurrogateRecord::Ended(outcome));
        self.stop_lanes(step);
    }

    /// What was spent, by the accounts of the lanes that are done and the last word of those that still run.
    fn cost(&self) -> Story {
        let mut spent = self.ledger.spent.clone();
        for (&lane, pulse) in &self.lanes {
            let (executions, cpu_us) = spent.entry(lane).or_default();
            *executions = pulse.executions.max(*executions);
            *cpu_us = pulse.cpu_us.max(*cpu_us);
        }
        let executions = spent.values().map(|(executions, _)| executions).sum();
        let cpu_us = spent.values().map(|(_, cpu_us)| cpu_us).sum();
        let (results, result_cpu_us) = self.ledger.result_cost;
        Story::Cost { executions, cpu_us, results, result_cpu_us }
    }

    fn stop_lanes(&self, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        for lane in run.running_lanes() {
            step.send(self.execution(lane), ExecutionMessage::Stop { stage: run.stage });
        }
    }

    pub(super) fn index_kept(&mut self, now: Moment, kept: Result<u64, String>, step: &mut Step<SurrogateRecord>) {
        let Some(asked) = self.index_asked.take() else { return };
        match kept {
            Ok(length) => {
                step.record(self, SurrogateRecord::IndexGrew(asked.pieces, length, self.host));
                if asked.is_last {
                    step.record(self, SurrogateRecord::IndexKept);
                    self.say_outcome(step);
                }
            }
            Err(why) if asked.is_over => {
                let outcome = Outcome::Failed { why: format!("the place of the output could not be kept: {why}") };
                self.tell(now, Story::Ended(outcome.clone()), step);
                step.record(self, SurrogateRecord::Ended(outcome));
                step.record(self, SurrogateRecord::IndexKept);
                self.say_outcome(step);
            }
            // It is tried again when the job is over.
            Err(_) => self.index_fails = true,
        }
    }

    /// Where decided output lies is kept, many pieces at a time. The end of the job is told when all of it is.
    pub(super) fn keep_index(&mut self, step: &mut Step<SurrogateRecord>) {
        let (output, is_over) = (&self.ledger.output, self.is_over());
        let waits = output.unindexed().len() < PIECES_AT_ONCE || self.index_fails;
        if self.index_asked.is_some() || self.ledger.index_kept || (waits && !is_over) {
            return;
        }
        let is_last = is_over && output.unindexed().len() <= PIECES_AT_ONCE;
        let pieces = output.unindexed().iter().take(PIECES_AT_ONCE).cloned().map(IndexEntry::Piece);
        let (at, mut entries): (u64, Vec<IndexEntry>) = (output.indexed(), pieces.collect());
        self.index_asked = Some(IndexAsked { pieces: entries.len() as u64, is_over, is_last });
        if is_last {
            entries.extend(self.without_success());
            entries.push(IndexEntry::Whole);
        }
        let pass = self.ledger.job.as_ref().map(|job| job.origin.pass).unwrap_or_default();
        step.then(Effect::File(FileCommand::KeepIndex { job: self.id, pass, at, entries }));
    }

    /// Tells the FTM how the job ended, once all that it needs for that is kept.
    pub(super) fn say_outcome(&mut self, step: &mut Step<SurrogateRecord>) {
        self.say_occurrences(step);
        if let Some(outcome) = self.ledger.outcome.clone().filter(|_| self.ledger.index_kept) {
            let length = self.ledger.output.position();
            step.send(ArmorName::Ftm, FtmMessage::Ended { job: self.id, outcome, length });
        }
    }

    pub(super) fn end_kept(&mut self, step: &mut Step<SurrogateRecord>) {
        if !self.ledger.end_kept {
            step.record(self, SurrogateRecord::EndKept);
        }
        self.say_releases(step);
        let users: Vec<ArmorName> = self.followers.keys().copied().collect();
        users.into_iter().for_each(|user| self.say_end(user, step));
    }

    /// Tells a follower that the job has ended, once that is on disk.
    pub(super) fn say_end(&self, user: ArmorName, step: &mut Step<SurrogateRecord>) {
        if let Some(outcome) = self.ledger.outcome.clone().filter(|_| self.ledger.end_kept) {
            let length = self.ledger.output.position();
            step.send(user, UserMessage::Ended { job: self.id, outcome, length });
        }
    }

    pub(super) fn timer(&mut self, now: Moment, timer: Timer, step: &mut Step<SurrogateRecord>) {
        match timer {
            Timer::Deadline => self.end(now, Outcome::Deadline, step),
            Timer::Patience(stage, _) => self.out_of_patience(now, stage, step),
            Timer::Backpressure => self.relieve_pressure(now, step),
            Timer::Beat
            | Timer::Restart(..)
            | Timer::Restore(_)
            | Timer::Remind
            | Timer::Flush
            | Timer::Guard
            | Timer::Judge(_)
            | Timer::Profile
            | Timer::Reign
            | Timer::Parole(_)
            | Timer::Revive(_) => {}
        }
    }
}
