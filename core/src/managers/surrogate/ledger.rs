//! What an SM must not forget of its job.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::elements::inbox::Inbox;
use crate::elements::outbox::Outbox;
use crate::elements::task_set::TaskSet;
use crate::job::{Files, Job, Stage};
use crate::managers::surrogate::dispute::Inquiry;
use crate::managers::surrogate::output::Output;
use crate::managers::surrogate::stage::{Extension, Lack, Phase, StageRun};
use crate::message::{Diagnosis, Dispute, Occurrence, Outcome, Rule, Verdict};
use crate::names::{ArmorName, Digest, HostId, LaneId, Millis, StageId, TaskId};
use crate::strategy::Order;
use crate::world::{ChangeSet, CommitOutcome, Ended, Region};

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
    /// So many more pieces are in the index on this host, which has this length.
    #[n(100)]
    IndexGrew(#[n(0)] u64, #[n(1)] u64, #[n(2)] HostId),
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
                self.decide(verdict);
            }
            SurrogateRecord::Prefix(stage, task, holders) => self.prefix(*stage, *task, holders),
            SurrogateRecord::Happened(occurrence) => drop(self.occurrences.push(occurrence.clone())),
            SurrogateRecord::Told(below) => self.occurrences.kept(*below),
            SurrogateRecord::Heard(name) => self.heard.take(*name),
            SurrogateRecord::Ended(outcome) => self.outcome = Some(outcome.clone()),
            SurrogateRecord::IndexKept => self.index_kept = true,
            SurrogateRecord::IndexGrew(pieces, length, _) => self.output.index_grew(*pieces, *length),
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
        let tasks = job.stages.get(usize::from(stage.0)).map_or_else(|| vec![(0, 1)], Stage::task_ranges);
        let mut run = StageRun::new(stage, &tasks, rule, redundancy.order, began);
        run.dropped.clone_from(&self.dropped);
        self.next = (stage, run.tasks.first().unwrap_or_default().0);
        self.failed = None;
        self.stage = Some(run);
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
        if end.code() != 0 {
            run.failed.insert(verdict.task);
            if self.failed.is_none_or(|(task, _)| verdict.task < task) {
                self.failed = Some((verdict.task, end));
            }
        }
        self.release();
    }

    /// Releases what is decided, in order, up to the first task of which there will be no verdict: behind a
    /// gap nothing is printed, but kept.
    fn release(&mut self) {
        let (Some(job), Some(run)) = (&self.job, &mut self.stage) else { return };
        let is_held = job.stages.get(usize::from(run.stage.0)).is_some_and(|stage| stage.files == Files::Overlay);
        let is_read = job.stages.iter().any(|stage| stage.stdin == Some(run.stage));
        while let Some(task) = run.tasks.first_from(TaskId(self.next.1)) {
            self.next.1 = task.0;
            match run.verdicts.remove(&task) {
                Some(verdict) => {
                    if is_held && verdict.ballot.ended.changes.is_some_and(|changes| changes.count > 0) {
                        run.changes.insert(task, change_set(job, &verdict));
                    }
                    match &run.lack {
                        Some((gap, _)) if *gap < task => self.output.keep(&verdict, is_read),
                        _ => self.output.release_verdict(&verdict, is_read),
                    }
                }
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

/// What the winners changed: that of a winner on the job's origin first, which knows what was there before.
fn change_set(job: &Job, verdict: &Verdict) -> ChangeSet {
    let first = (verdict.ballot.host, &verdict.ballot.ended);
    let all = std::iter::once(first).chain(verdict.copies.iter().map(|(_, host, ended)| (*host, ended)));
    let place = |(host, ended): (HostId, &Ended)| Some((host, ended.changes?.manifest));
    let mut kept: Vec<(HostId, Digest)> = all.filter_map(place).collect();
    kept.sort_by_key(|(host, _)| *host != job.origin.host);
    ChangeSet { kept, all_mirrored: job.build.is_some() }
}

/// Where a lane of the job runs.
fn host_of(hosts: &BTreeMap<ArmorName, HostId>, lane: LaneId) -> HostId {
    let of_lane = |name: &ArmorName| matches!(name, ArmorName::Execution(_, of) if *of == lane);
    hosts.iter().find(|(name, _)| of_lane(name)).map(|(_, host)| *host).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::armor::Armor;
    use crate::managers::surrogate::Surrogate;
    use crate::managers::surrogate::output::KEPT;
    use crate::message::Ballot;
    use crate::names::{Attempt, JobId, SlotId};
    use crate::shell::Identity;
    use crate::world::End;

    const TASKS: u64 = 1_000_000;

    pub fn begun(stage: &str) -> Ledger {
        let text = format!("[job]\nname = \"t\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\n{stage}\n");
        let job = Job::of_text(&text);
        let mut ledger = Ledger::default();
        ledger.apply(&SurrogateRecord::Begun(Box::new(job), Millis(0), Some(HostId(1))));
        for lane in 0..3 {
            let name = ArmorName::Execution(JobId(1), LaneId(lane));
            ledger.apply(&SurrogateRecord::Placed(name, HostId(u32::from(lane) + 1)));
        }
        ledger.apply(&SurrogateRecord::StageBegan(StageId(0), Millis(0)));
        ledger
    }

    /// Task by task, three lanes on three hosts print six bytes; the program of every thousandth fails.
    fn verdict(task: u64) -> SurrogateRecord {
        SurrogateRecord::Verdict(Box::new(decided(task)))
    }

    pub fn decided(task: u64) -> Verdict {
        let stdout = Region { slot: SlotId(0), offset: 6 * task, length: 6, digest: Digest([1; 32]) };
        let end = End::Exit(u8::from(task.is_multiple_of(1000)));
        let stderr = Region { length: 0, ..stdout };
        let ended = Ended { end, stdout, stderr, changes: None, cpu_us: 1, wall_us: 1 };
        let (stage, task) = (StageId(0), TaskId(task));
        let ballot = Ballot { stage, task, attempt: Attempt::default(), ended: ended.clone(), host: HostId(1) };
        let (value, winners) = (ballot.value(), (0..3).map(LaneId).collect());
        let copies = (1..3).map(|lane| (LaneId(lane), HostId(u32::from(lane) + 1), ended.clone())).collect();
        Verdict { stage, task, value, winners, ballot, copies }
    }

    /// The SM of a job of a hundred tasks.
    pub fn surrogate(host: HostId) -> Surrogate {
        let identity = Identity::of_test(ArmorName::Surrogate(JobId(1)), host);
        let mut surrogate = Surrogate::new(&identity, JobId(1));
        surrogate.ledger = begun("command = [\"x\"]\ntasks = \"0..100\"");
        surrogate
    }

    /// A million tasks leave behind what a few thousand do. The order in which verdicts come is that of lanes that run
    /// side by side.
    #[test]
    fn an_array_of_a_million_tasks_takes_no_more_memory_than_one_of_thousands() {
        let mut ledger = begun("command = [\"x\"]\nfiles = \"none\"\ntasks = \"0..1000000\"");
        let mut most = (0, 0);
        for task in 0..TASKS {
            ledger.apply(&verdict(task ^ 3));
            let pieces = ledger.output.unindexed().len();
            if pieces == 4096 {
                ledger.apply(&SurrogateRecord::IndexGrew(4096, task, HostId(1)));
            }
            let run = ledger.stage.as_ref().unwrap();
            most = (most.0.max(pieces), most.1.max(run.verdicts.len()));
        }
        let run = ledger.stage.as_ref().unwrap();
        assert!(most.0 <= 4096 + 4 && most.1 <= 4, "{most:?}");
        assert_eq!((run.changes.len(), run.decided.ranges(), run.is_settled()), (0, vec![(0, TASKS)], true));
        assert_eq!((ledger.output.position(), ledger.output.since(0).count()), (6 * TASKS, KEPT));
        let failed = run.without_success();
        assert_eq!((failed.len(), failed.first()), (TASKS / 1000, Some(TaskId(0))));
    }

    #[test]
    fn an_sm_that_goes_on_elsewhere_puts_everything_into_an_index_of_its_own() {
        for (host, unindexed) in [(1, 0), (2, 1)] {
            let mut surrogate = surrogate(HostId(host));
            surrogate.apply(&verdict(0));
            surrogate.apply(&SurrogateRecord::IndexGrew(1, 50, HostId(1)));
            let output = &surrogate.ledger.output;
            assert_eq!((output.unindexed().len(), output.indexed()), (unindexed, 50 * (1 - unindexed as u64)));
        }
    }

    #[test]
    fn only_the_ranges_that_are_asked_for_are_waited_for() {
        let mut ledger = begun("command = [\"x\"]\ntasks = \"0..100\"");
        ledger.job.as_mut().unwrap().stages[0].only = vec![(2, 4), (50, 51)];
        ledger.apply(&SurrogateRecord::StageBegan(StageId(0), Millis(0)));
        for (task, released) in [(50, 0), (2, 6), (3, 18)] {
            ledger.apply(&verdict(task));
            assert_eq!(ledger.output.position(), released, "after {task}");
        }
        assert!(ledger.stage.as_ref().unwrap().is_settled());
    }
}
