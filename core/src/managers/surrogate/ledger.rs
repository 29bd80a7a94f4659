//! What an SM must not forget of its job.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::elements::inbox::Inbox;
use crate::elements::outbox::Outbox;
use crate::elements::task_set::TaskSet;
use crate::job::Job;
use crate::managers::surrogate::dispute::Inquiry;
use crate::managers::surrogate::output::Output;
use crate::managers::surrogate::stage::{Extension, Lack, Phase, StageRun};
use crate::message::{Diagnosis, Dispute, Occurrence, Outcome, Rule, Verdict};
use crate::names::{ArmorName, HostId, LaneId, Millis, StageId, TaskId};
use crate::strategy::Order;
use crate::world::{CommitOutcome, Region};

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum SurrogateRecord {
    /// The job began, at this time since this host booted.
    #[n(0)]
    Begun(#[n(0)] Box<Job>, #[n(1)] Millis, #[n(2)] Option<HostId>),
    #[n(1)]
    Placed(#[n(0)] ArmorName, #[n(1)] HostId),
    #[n(2)]
    StageBegan(#[n(0)] StageId, #[n(1)] Millis),
    #[n(3)]
    LaneStarted(#[n(0)] LaneId, #[n(1)] Vec<(u64, u64)>),
    #[n(4)]
    Verdict(#[n(0)] Box<Verdict>),
    #[n(5)]
    Prefix(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] Vec<(LaneId, Region)>),
    #[n(6)]
    Disputed(#[n(0)] Box<Dispute>),
    #[n(7)]
    Repeated(#[n(0)] TaskId, #[n(1)] LaneId, #[n(2)] u16, #[n(3)] Option<crate::message::Value>),
    #[n(8)]
    Diagnosed(#[n(0)] TaskId, #[n(1)] Vec<Diagnosis>),
    #[n(9)]
    Extended(#[n(0)] Vec<(u64, u64)>, #[n(1)] Rule, #[n(2)] bool),
    #[n(10)]
    Dropped(#[n(0)] LaneId),
    #[n(11)]
    Ending,
    #[n(12)]
    Committing,
    #[n(13)]
    StageOver(#[n(0)] CommitOutcome),
    #[n(14)]
    Happened(#[n(0)] Occurrence),
    #[n(15)]
    Told(#[n(0)] u64),
    /// One more story of this sender was taken in.
    #[n(16)]
    Heard(#[n(0)] ArmorName),
    #[n(17)]
    Ended(#[n(0)] Outcome),
    #[n(18)]
    EndKept,
    /// A lane's account of its executions and their CPU, in microseconds.
    #[n(19)]
    Spent(#[n(0)] LaneId, #[n(1)] u64, #[n(2)] u64),
    #[n(20)]
    IndexKept,
    /// It lives on this other host, at this time since that booted.
    #[n(61)]
    Moved(#[n(0)] HostId, #[n(1)] Millis),
    /// There will be no verdict on this task.
    #[n(120)]
    Undecided(#[n(0)] TaskId, #[n(1)] Lack, #[n(2)] String),
}

/// Durable state.
#[derive(Debug, Default)]
pub struct Ledger {
    pub job: Option<Job>,
    pub began: Millis,
    /// Where this was saved, and what its times are of.
    pub host: Option<HostId>,
    pub hosts: BTreeMap<ArmorName, HostId>,
    pub stage: Option<StageRun>,
    pub verdicts: Inbox<()>,
    pub output: Output,
    /// The next task whose output is released, and its stage.
    next: (StageId, u64),
    pub occurrences: Outbox<Occurrence>,
    pub heard: Inbox<ArmorName>,
    pub outcome: Option<Outcome>,
    pub index_kept: bool,
    pub end_kept: bool,
    pub spent: BTreeMap<LaneId, (u64, u64)>,
    /// Of the decided executions: how many, and their CPU in microseconds.
    pub result_cost: (u64, u64),
    /// The first task that did not end with 0 (of the stage under way).
    pub failed: Option<(TaskId, crate::world::End)>,
    /// Lanes given up, over all stages.
    pub dropped: BTreeSet<LaneId>,
}

impl Ledger {
    pub fn apply(&mut self, record: &SurrogateRecord) {
        match record {
            SurrogateRecord::Begun(job, began, host) => {
                self.host = *host;
                self.job = Some((**job).clone());
                self.began = *began;
            }
            SurrogateRecord::Moved(host, now) => self.arrive(*host, *now),
            SurrogateRecord::Placed(name, host) => self.place(*name, *host),
            SurrogateRecord::StageBegan(stage, began) => self.begin_stage(*stage, *began),
            SurrogateRecord::Verdict(verdict) => {
                self.verdicts.take(());
                self.decide(verdict);
            }
            SurrogateRecord::Prefix(stage, task, holders) => self.prefix(*stage, *task, holders),
            SurrogateRecord::Happened(occurrence) => drop(self.occurrences.push(occurrence.clone())),
            SurrogateRecord::Told(below) => self.occurrences.kept(*below),
            SurrogateRecord::Heard(name) => self.heard.take(*name),
            SurrogateRecord::Ended(outcome) => self.outcome = Some(outcome.clone()),
            SurrogateRecord::IndexKept => self.index_kept = true,
            SurrogateRecord::EndKept => self.end_kept = true,
            SurrogateRecord::Spent(lane, executions, cpu_us) => {
                self.spent.insert(*lane, (*executions, *cpu_us));
            }
            SurrogateRecord::LaneStarted(..)
            | SurrogateRecord::Disputed(_)
            | SurrogateRecord::Repeated(..)
            | SurrogateRecord::Diagnosed(..)
            | SurrogateRecord::Extended(..)
            | SurrogateRecord::Dropped(_)
            | SurrogateRecord::Ending
            | SurrogateRecord::Committing
            | SurrogateRecord::Undecided(..)
            | SurrogateRecord::StageOver(_) => self.apply_to_stage(record),
        }
    }

    fn apply_to_stage(&mut self, record: &SurrogateRecord) {
        let Some(run) = &mut self.stage else { return };
        match record {
            SurrogateRecord::LaneStarted(lane, ranges) => {
                run.done.remove(lane);
                let started = run.started.entry(*lane).or_default();
                ranges.iter().for_each(|&(from, to)| started.insert_range(from, to));
            }
            SurrogateRecord::Disputed(dispute) => match run.inquiries.get_mut(&dispute.task) {
                Some(inquiry) => inquiry.reopen((**dispute).clone()),
                None => drop(run.inquiries.insert(dispute.task, Inquiry::new((**dispute).clone()))),
            },
            SurrogateRecord::Repeated(task, lane, number, value) => {
                if let Some(inquiry) = run.inquiries.get_mut(task) {
                    inquiry.repeated(*lane, *number, *value);
                }
            }
            SurrogateRecord::Diagnosed(task, diagnoses) => {
                if let Some(inquiry) = run.inquiries.get_mut(task) {
                    inquiry.diagnoses.clone_from(diagnoses);
                }
            }
            SurrogateRecord::Extended(ranges, rule, in_time) => {
                let tasks = TaskSet::of(ranges);
                for task in tasks.iter() {
                    if let Some(inquiry) = run.inquiries.get_mut(&task) {
                        inquiry.climbed = true;
                    }
                }
                let order = if *in_time { Order::Time } else { Order::Space };
                run.extensions.push(Extension { tasks, rule: *rule, order });
            }
            SurrogateRecord::Dropped(lane) => {
                run.dropped.insert(*lane);
                self.dropped.insert(*lane);
            }
            SurrogateRecord::Undecided(task, lack, why) => {
                run.give_up(*task, *lack, why);
                self.release();
            }
            SurrogateRecord::Ending => run.phase = Phase::Ending,
            SurrogateRecord::Committing => run.phase = Phase::Committing,
            SurrogateRecord::StageOver(outcome) => run.phase = Phase::Over(outcome.clone()),
            _ => {}
        }
    }

    /// Times since another host booted mean nothing here: they count anew.
    fn arrive(&mut self, host: HostId, now: Millis) {
        self.host = Some(host);
        self.began = now;
        self.stage.iter_mut().for_each(|run| run.began = now);
    }

    /// An ARMOR lives on this host now. A lane that lived elsewhere has all before it again, but for what
    /// the Voter has of it.
    fn place(&mut self, name: ArmorName, host: HostId) {
        let moved = self.hosts.insert(name, host).is_some_and(|before| before != host);
        if let (true, ArmorName::Execution(_, lane), Some(run)) = (moved, name, &mut self.stage) {
            // A start that was granted once is never granted again.
            if !self.job.as_ref().is_some_and(|job| job.is_at_most_once(run.stage)) {
                run.started.remove(&lane);
            }
            run.done.remove(&lane);
            run.supplied.remove(&lane);
        }
    }

    fn begin_stage(&mut self, stage: StageId, began: Millis) {
        let Some(job) = &self.job else { return };
        let redundancy = job.strategy_of(stage).redundancy;
        let rule = Rule { lanes: redundancy.replicas, quorum: redundancy.quorum };
        let tasks = job.stages.get(usize::from(stage.0)).and_then(|stage| stage.tasks).unwrap_or((0, 1));
        let mut run = StageRun::new(stage, tasks, rule, redundancy.order, began);
        run.dropped.clone_from(&self.dropped);
        self.stage = Some(run);
        self.next = (stage, tasks.0);
        self.failed = None;
    }

    fn decide(&mut self, verdict: &Verdict) {
        let Some(run) = self.stage.as_mut().filter(|run| run.stage == verdict.stage) else { return };
        if !run.is_open(verdict.task) {
            return;
        }
        run.decided.insert(verdict.task);
        run.verdicts.insert(verdict.task, verdict.clone());
        // Whoever voted was started, also if that was lost with the power.
        for lane in &verdict.winners {
            run.started.entry(*lane).or_default().insert(verdict.task);
        }
        self.result_cost.0 += 1;
        self.result_cost.1 += verdict.ballot.ended.cpu_us;
        let end = verdict.value.end;
        if end.code() != 0 && self.failed.is_none_or(|(task, _)| verdict.task < task) {
            self.failed = Some((verdict.task, end));
        }
        self.release();
    }

    /// Releases what is decided, in order, up to the first task of which there will be no verdict: behind a
    /// gap nothing is printed, but kept.
    fn release(&mut self) {
        let Some(run) = &self.stage else { return };
        loop {
            let task = TaskId(self.next.1);
            match run.verdicts.get(&task) {
                Some(verdict) => match &run.lack {
                    Some((gap, _)) if *gap < task => self.output.keep(verdict),
                    _ => self.output.release_verdict(verdict),
                },
                None if run.undecided.contains(task) => {}
                None => break,
            }
            self.next.1 += 1;
        }
    }

    fn prefix(&mut self, stage: StageId, task: TaskId, holders: &[(LaneId, Region)]) {
        if (stage, task.0) == self.next {
            let placed = |&(lane, region): &(LaneId, Region)| (host_of(&self.hosts, lane), lane, region);
            let holders: Vec<_> = holders.iter().map(placed).collect();
            self.output.release_prefix(stage, task, &holders);
        }
    }
}

/// Where a lane of the job runs.
fn host_of(hosts: &BTreeMap<ArmorName, HostId>, lane: LaneId) -> HostId {
    let of_lane = |name: &ArmorName| matches!(name, ArmorName::Execution(_, of) if *of == lane);
    hosts.iter().find(|(name, _)| of_lane(name)).map(|(_, host)| *host).unwrap_or_default()
}
