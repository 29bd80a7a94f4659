//! What an SM does when lanes fail or disagree.

use crate::armor::{Moment, Step, Timer};
use crate::managers::surrogate::ladder::{self, Rung};
use crate::managers::surrogate::stage::{Lack, Phase};
use crate::managers::surrogate::{BACKPRESSURE_LIMIT, LanePulse, Surrogate, SurrogateRecord};
use crate::message::{Diagnosis, Dispute, ExecutionMessage, Outcome, Purpose, Rule, Story, Value, VoterMessage, Why};
use crate::names::{ArmorName, LaneId, StageId, TaskId};
use crate::strategy::Order;

impl Surrogate {
    // ---- lanes ----

    /// The FTM cannot keep an ARMOR of the job running anywhere.
    pub(super) fn unavailable(&mut self, now: Moment, name: ArmorName, why: String, step: &mut Step<SurrogateRecord>) {
        self.granted.remove(&name);
        match name {
            ArmorName::Execution(job, lane) if job == self.id => self.drop_lane(now, lane, Why::NotRunning(why), step),
            _ => self.end(now, Outcome::Failed { why: format!("{name} cannot be kept running: {why}") }, step),
        }
    }

    pub(super) fn cannot_run(
        &mut self,
        now: Moment,
        lane: LaneId,
        stage: StageId,
        why: String,
        step: &mut Step<SurrogateRecord>,
    ) {
        if self.run_of(stage).is_none_or(|run| run.dropped.contains(&lane)) {
            return;
        }
        self.tell(now, Story::SlotUnavailable { lane, why: why.clone() }, step);
        self.drop_lane(now, lane, Why::NotRunning(why.clone()), step);
        let nobody_left = self.run_of(stage).is_some_and(|run| run.active_lanes().next().is_none());
        if nobody_left && !self.is_over() {
            self.end(now, Outcome::Failed { why }, step);
        }
    }

    pub(super) fn drop_lane(&mut self, now: Moment, lane: LaneId, why: Why, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let stage = run.stage;
        if run.dropped.contains(&lane) || self.is_over() {
            return;
        }
        step.record(self, SurrogateRecord::Dropped(lane));
        self.tell(now, Story::LaneDropped { lane, stage, why }, step);
        step.send(self.execution(lane), ExecutionMessage::Stop { stage });
        step.send(self.voter(), VoterMessage::Absent { stage, lane, tasks: Vec::new() });
        self.say_to_fanout(step);
        if self.run_of(stage).is_some_and(|run| run.phase == Phase::Committing) {
            self.say_commit(step);
        }
    }

    pub(super) fn lane_progress(
        &mut self,
        now: Moment,
        lane: LaneId,
        stage: StageId,
        pulse: LanePulse,
        step: &mut Step<SurrogateRecord>,
    ) {
        let known = self.lanes.get(&lane).copied().unwrap_or_default();
        if known.paused != pulse.paused {
            let at = pulse.running.map_or(0, |(_, length)| length);
            let story = if pulse.paused { Story::LanePaused { lane, at } } else { Story::LaneResumed(lane) };
            self.tell(now, story, step);
        }
        let same_place = (known.finished, known.running) == (pulse.finished, pulse.running);
        let moved = if same_place { known.moved } else { pulse.moved };
        self.lanes.insert(lane, LanePulse { moved, ..pulse });
        if pulse.paused && !self.waiting_for_pressure && self.run_of(stage).is_some() {
            self.waiting_for_pressure = true;
            step.timer(Timer::Backpressure, BACKPRESSURE_LIMIT);
        }
        self.say_progress(step);
    }

    /// A lane was held back for long: the slowest of those that we do not hold back is dropped, so
    /// that it cannot stop the others for ever.
    pub(super) fn relieve_pressure(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        self.waiting_for_pressure = false;
        let Some(run) = &self.ledger.stage else { return };
        let running: Vec<LaneId> = run.running_lanes().collect();
        if !running.iter().any(|lane| self.lanes.get(lane).is_some_and(|pulse| pulse.paused)) {
            return;
        }
        let stuck = |pulse: &LanePulse| !pulse.paused && now.boot.since(pulse.moved) >= BACKPRESSURE_LIMIT;
        let candidates = running.into_iter().filter(|lane| self.lanes.get(lane).is_none_or(stuck));
        let slowest = candidates.min_by_key(|lane| self.lanes.get(lane).map(|pulse| (pulse.finished, pulse.running)));
        if let Some(lane) = slowest {
            self.drop_lane(now, lane, Why::TooSlow, step);
        } else {
            self.allow_all_output(step);
            self.waiting_for_pressure = true;
            step.timer(Timer::Backpressure, BACKPRESSURE_LIMIT);
        }
    }

    // ---- disputes ----

    pub(super) fn disputed(&mut self, now: Moment, dispute: Dispute, step: &mut Step<SurrogateRecord>) {
        let Some(run) = self.run_of(dispute.stage) else { return };
        let is_news = run.inquiries.get(&dispute.task).is_none_or(|inquiry| inquiry.is_news(&dispute));
        // A vote lost under an earlier rule is history once more lanes were called.
        if !is_news || run.phase == Phase::Committing || dispute.rule != run.rule_of(dispute.task) {
            return;
        }
        let (stage, task) = (dispute.stage, dispute.task);
        self.tell_dispute(now, &dispute, step);
        step.record(self, SurrogateRecord::Disputed(Box::new(dispute)));
        let lanes = self.run_of(stage).and_then(|run| run.inquiries.get(&task)).map(|inquiry| inquiry.witnesses());
        let lanes = lanes.unwrap_or_default();
        if !lanes.is_empty() {
            self.tell(now, Story::DiagnosisBegan { stage, task, lanes }, step);
        }
        self.say_repeats(None, step);
    }

    fn tell_dispute(&mut self, now: Moment, dispute: &Dispute, step: &mut Step<SurrogateRecord>) {
        let Dispute { stage, task, .. } = *dispute;
        let ballots: Vec<(LaneId, Value)> =
            dispute.ballots.iter().map(|(lane, ballot)| (*lane, ballot.value())).collect();
        let Some(won) = dispute.won else {
            let story = Story::NoQuorum { stage, task, ballots, quorum: dispute.rule.quorum };
            return self.tell_of(now, self.voter(), story, step);
        };
        let winners: Vec<LaneId> = ballots.iter().filter(|(_, value)| *value == won).map(|(lane, _)| *lane).collect();
        let inquiry = self.run_of(stage).and_then(|run| run.inquiries.get(&task)).cloned();
        let is_known = |loser| inquiry.as_ref().is_some_and(|inquiry| inquiry.knows(loser, won));
        for (loser, lost) in ballots.into_iter().filter(|(lane, value)| *value != won && !is_known(*lane)) {
            let story = Story::Dissent { stage, task, loser, lost, winners: winners.clone(), won };
            self.tell_of(now, self.voter(), story, step);
        }
    }

    pub(super) fn repeated(
        &mut self,
        lane: LaneId,
        stage: StageId,
        task: TaskId,
        purpose: Purpose,
        value: Option<Value>,
        step: &mut Step<SurrogateRecord>,
    ) {
        let Purpose::Repeat(number) = purpose else { return };
        if self.run_of(stage).is_some_and(|run| run.inquiries.contains_key(&task)) {
            step.record(self, SurrogateRecord::Repeated(task, lane, number, value));
        }
    }

    /// Judges the disputes that can be judged, and climbs the ladder for those that nobody won.
    pub(super) fn advance_inquiries(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        let (repeats, stage) = (job.strategy_of(run.stage).repeats, run.stage);
        let unreachable = |lane: &LaneId| run.dropped.contains(lane);
        let ready = run.inquiries.iter().filter(|(task, inquiry)| {
            let missing = inquiry.missing(repeats);
            let waits = inquiry.diagnoses.is_empty() && !inquiry.climbed && !run.undecided.contains(**task);
            waits && missing.iter().all(|(lane, _)| unreachable(lane))
        });
        let judged: Vec<(TaskId, Vec<Diagnosis>, Vec<Diagnosis>)> =
            ready.map(|(&task, inquiry)| (task, inquiry.judge(repeats), inquiry.earlier.clone())).collect();
        for (task, diagnoses, earlier) in judged {
            if !diagnoses.is_empty() {
                step.record(self, SurrogateRecord::Diagnosed(task, diagnoses.clone()));
            }
            for diagnosis in diagnoses.into_iter().filter(|diagnosis| !earlier.contains(diagnosis)) {
                self.tell(now, Story::Diagnosed { stage, task, diagnosis: diagnosis.clone() }, step);
                if let Diagnosis::Nondeterministic { lane, first, again } = diagnosis {
                    self.nondeterministic(now, task, lane, first, again, step);
                    if self.is_over() {
                        return;
                    }
                }
            }
        }
        self.climb(now, step);
    }

    /// There will be no verdict on a task. The others of an array go on without it; else the job ends.
    fn give_up(&mut self, now: Moment, task: TaskId, why: String, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let stage = run.stage;
        if run.tasks.len() == 1 {
            return self.abort(now, why, step);
        }
        if run.undecided.contains(task) {
            return;
        }
        step.record(self, SurrogateRecord::Undecided(task, Lack::Verdict, why.clone()));
        self.tell(now, Story::Undecided { stage, task, why }, step);
    }

    fn nondeterministic(
        &mut self,
        now: Moment,
        task: TaskId,
        lane: LaneId,
        first: Value,
        again: Value,
        step: &mut Step<SurrogateRecord>,
    ) {
        let stage = self.ledger.stage.as_ref().map(|run| run.stage).unwrap_or_default();
        let differs = first.difference(&again);
        let why = format!(
            "nondeterministic program: lane {lane} disagrees with itself on {stage}/{task} ({differs}); nobody is blamed"
        );
        // A verdict that stands was not given by this lane alone; what was printed cannot be taken back.
        if self.ledger.stage.as_ref().is_some_and(|run| run.is_open(task)) {
            self.give_up(now, task, why, step);
        } else {
            self.abort(now, why, step);
        }
    }

    /// More lanes for every task whose vote is lost and judged.
    fn climb(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        let stage = run.stage;
        let lost = run.inquiries.iter().filter(|(task, inquiry)| {
            let judged = !inquiry.diagnoses.is_empty() || inquiry.witnesses().is_empty();
            inquiry.dispute.won.is_none() && !inquiry.climbed && judged && run.is_open(**task)
        });
        let rungs: Vec<(TaskId, Rung, Why)> = lost
            .map(|(&task, inquiry)| {
                let why = if inquiry.witnesses().is_empty() { Why::LanesLost } else { Why::Disagreement };
                (task, ladder::next(job.strategy_of(stage), inquiry.dispute.rule, inquiry.may_reach(&run.dropped)), why)
            })
            .collect();
        for (task, rung, why) in rungs {
            match rung {
                Rung::Extend { rule, order } => {
                    let (lanes, quorum) = (rule.lanes, rule.quorum);
                    self.tell(now, Story::Extended { stage, tasks: 1, lanes, quorum, why }, step);
                    self.extend(task, rule, order, step);
                }
                Rung::Vary { rule, order } => {
                    let (lanes, quorum) = (rule.lanes, rule.quorum);
                    self.tell(now, Story::Varied { stage, tasks: 1, lanes, quorum, why }, step);
                    self.extend(task, rule, order, step);
                }
                Rung::Abort => {
                    let why = self.evidence_of(task, &why);
                    self.give_up(now, task, why, step);
                }
            }
        }
    }

    fn extend(&mut self, task: TaskId, rule: Rule, order: Order, step: &mut Step<SurrogateRecord>) {
        let ranges = vec![(task.0, task.0 + 1)];
        // On disk before the Voter knows: with a rule that is not known here no vote comes to an end.
        step.record_on_disk(self, SurrogateRecord::Extended(ranges, rule, order == Order::Time));
        self.say_extension(vec![task], rule, step);
        self.say_to_fanout(step);
    }

    /// The evidence for a safe abort, in a sentence.
    fn evidence_of(&self, task: TaskId, why: &Why) -> String {
        let Some(inquiry) = self.ledger.stage.as_ref().and_then(|run| run.inquiries.get(&task)) else {
            return "no quorum".to_owned();
        };
        let Rule { lanes, quorum } = inquiry.dispute.rule;
        let (ballots, best) = (inquiry.dispute.ballots.len(), inquiry.best());
        let cause = match why {
            Why::LanesLost => "too few lanes could be kept running",
            Why::Disagreement | Why::TooSlow | Why::NotRunning(_) => "lanes disagree, each standing by its own result",
        };
        format!("no quorum on task {}: {cause}; {ballots} of {lanes} lanes voted, {best} agree, {quorum} must", task.0)
    }
}
