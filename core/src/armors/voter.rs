//! Voter: decides what the result of each task is, from the ballots of the lanes.
//!
//! It journals ballots and derives verdicts from them, so that a Voter restored from its records
//! decides as the dead one did; what it lacks, the lanes say again. A task stays open until every
//! lane has voted alike, or the stage is over: late ballots count for evidence and change nothing.

mod lives;
mod telling;

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Event, LinkEvent, Moment, Progress, Step};
use crate::armors::voter::lives::Numbers;
use crate::elements::inbox::Inbox;
use crate::elements::outbox::Outbox;
use crate::elements::seal::is_genuine;
use crate::elements::task_set::TaskSet;
use crate::message::{Ballot, ExecutionMessage, Rule, Story, SurrogateMessage, Verdict, VoterMessage};
use crate::names::{ArmorName, Attempt, Incarnation, JobId, LaneId, StageId, TaskId};
use crate::vote::open::{Open, RunMark};
use crate::vote::prefix::{Decided, Standing};
use crate::vote::{Tally, tally};
use crate::world::Region;

/// Most verdicts in one message.
const VERDICTS_AT_ONCE: usize = 512;

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum VoterRecord {
    #[n(0)]
    Convened(#[n(0)] StageId, #[n(1)] Rule, #[n(2)] bool),
    #[n(1)]
    Extended(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] Rule),
    /// The lane will not vote on this task, or on none of the stage.
    #[n(2)]
    Absent(#[n(0)] StageId, #[n(1)] LaneId, #[n(2)] Option<TaskId>),
    /// The next ballot of this lane.
    #[n(3)]
    Cast(#[n(0)] LaneId, #[n(1)] Box<Ballot>),
    #[n(4)]
    VerdictsKept(#[n(0)] u64),
    #[n(5)]
    PrefixDecided(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] Vec<(LaneId, Region)>),
    /// The lane has the decided prefix, or it does not.
    #[n(6)]
    PrefixChecked(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] LaneId, #[n(3)] bool),
    /// The lane's output of this task is that of this run from now on.
    #[n(7)]
    Began(#[n(0)] StageId, #[n(1)] TaskId, #[n(2)] LaneId, #[n(3)] RunMark),
    /// A new life of this lane speaks, and numbers its ballots from here.
    #[n(60)]
    Lives(#[n(0)] LaneId, #[n(1)] Incarnation, #[n(2)] u64),
    /// A ballot without a number: of an earlier life of this lane, or under a number that was counted before.
    #[n(61)]
    CastUnnumbered(#[n(0)] LaneId, #[n(1)] Box<Ballot>),
    /// This lane remembers nothing of its earlier lives, and can be asked nothing about them.
    #[n(62)]
    Forgot(#[n(0)] LaneId),
}

/// The Voter of one job.
#[derive(Debug)]
pub struct Voter {
    job: JobId,
    incarnation: Incarnation,
    /// The stage being decided; earlier ones are over.
    stage: Option<StageVote>,
    ballots: Inbox<LaneId>,
    /// The life that each lane is in.
    lives: BTreeMap<LaneId, Incarnation>,
    /// Lanes that asked what they did in earlier lives; they are told again when the link comes up.
    recalling: BTreeSet<LaneId>,
    verdicts: Outbox<Verdict>,
    stories: Outbox<Story>,
    /// Disputes to be told, of open tasks.
    disputed: BTreeSet<TaskId>,
    /// Ballots of a stage that was not convened yet; not acknowledged, so that nothing is lost with them.
    early: Vec<(LaneId, Incarnation, Numbers, Vec<Ballot>)>,
    done: u64,
}

/// How a stage stands.
#[derive(Debug)]
struct StageVote {
    stage: StageId,
    rule: Rule,
    stream: bool,
    /// Lanes that will not vote on any further task.
    absent: BTreeSet<LaneId>,
    open: BTreeMap<TaskId, Open>,
    /// Decided, and every lane agreed.
    settled: TaskSet,
}

impl Voter {
    #[must_use]
    pub fn new(job: JobId, incarnation: Incarnation) -> Self {
        Voter {
            job,
            incarnation,
            stage: None,
            ballots: Inbox::default(),
            lives: BTreeMap::new(),
            recalling: BTreeSet::new(),
            verdicts: Outbox::default(),
            stories: Outbox::default(),
            disputed: BTreeSet::new(),
            early: Vec::new(),
            done: 0,
        }
    }

    fn surrogate(&self) -> ArmorName {
        ArmorName::Surrogate(self.job)
    }

    fn execution(&self, lane: LaneId) -> ArmorName {
        ArmorName::Execution(self.job, lane)
    }

    /// The open vote on a task of the current stage; `None` for what is over.
    fn open(&mut self, stage: StageId, task: TaskId) -> Option<&mut Open> {
        let vote = self.stage.as_mut().filter(|vote| vote.stage == stage && !vote.settled.contains(task))?;
        Some(vote.open.entry(task).or_default())
    }

    fn cast(&mut self, lane: LaneId, ballot: &Ballot) {
        self.done += 1;
        let (stage, task) = (ballot.stage, ballot.task);
        let Some(open) = self.open(stage, task) else { return };
        match open.known(lane) {
            Some(earlier) if earlier.value() == ballot.value() => return,
            Some(_) => {
                open.voided.insert(lane);
                self.stories.push(Story::VoteVoided { stage, task, lane });
            }
            None => open.receive(lane, ballot),
        }
        self.decide(stage, task);
    }

    fn check_prefix(&mut self, stage: StageId, task: TaskId, lane: LaneId, has_it: bool) {
        let Some(open) = self.open(stage, task) else { return };
        let Some(decided) = open.prefixes.decided().cloned() else { return };
        if open.check(lane, &decided, has_it) {
            self.stories.push(Story::PrefixContradicted { stage, task, lane, released: decided.offset });
        }
        self.decide(stage, task);
    }

    /// Derives what follows from the ballots of a task: a verdict, a dispute, the end of the vote.
    fn decide(&mut self, stage: StageId, task: TaskId) {
        let Some(vote) = self.stage.as_mut().filter(|vote| vote.stage == stage) else { return };
        let Some(open) = vote.open.get_mut(&task) else { return };
        let rule = open.rule.unwrap_or(vote.rule);
        let votes = open.votes(&vote.absent);
        match tally(rule, &votes) {
            Tally::Pending => return,
            Tally::Lost => {
                if open.verdict.is_none() {
                    self.disputed.insert(task);
                }
                return;
            }
            Tally::Won(value) if open.verdict.is_none() => {
                let winners: Vec<LaneId> = open.lanes_for(value).collect();
                let ballot = open.ballots[&winners[0]].clone();
                let mut hosts = BTreeSet::from([ballot.host]);
                let others = winners[1..].iter().map(|lane| (*lane, &open.ballots[lane]));
                let elsewhere = others.filter(|(_, other)| hosts.insert(other.host));
                let copies = elsewhere.map(|(lane, other)| (lane, other.host, other.ended.clone())).collect();
                let verdict = Verdict { stage, task, value, winners, ballot, copies };
                open.settle(verdict.clone());
                self.verdicts.push(verdict);
            }
            Tally::Won(_) => {}
        }
        let Some(verdict) = &open.verdict else { return };
        if open.has_dissent(verdict) {
            self.disputed.insert(task);
        } else if open.votes(&vote.absent).len() >= usize::from(rule.lanes) && open.voided.is_empty() {
            vote.open.remove(&task);
            vote.settled.insert(task);
            self.disputed.remove(&task);
        }
    }

    /// Whether the lane has not voted on the task of this ballot, on which there is a vote.
    fn is_news(&self, lane: LaneId, ballot: &Ballot) -> bool {
        let vote = self.stage.as_ref().filter(|vote| vote.stage == ballot.stage);
        let vote = vote.filter(|vote| !vote.settled.contains(ballot.task));
        vote.is_some_and(|vote| vote.open.get(&ballot.task).is_none_or(|open| open.known(lane).is_none()))
    }

    fn take_prefix(
        &mut self,
        lane: LaneId,
        stage: StageId,
        task: TaskId,
        attempt: Attempt,
        so_far: Region,
    ) -> Step<VoterRecord> {
        let mut step = Step::none();
        let Some(vote) = self.stage.as_ref().filter(|vote| vote.stage == stage && vote.stream) else { return step };
        let rule = vote.rule;
        let Some(open) = self.open(stage, task) else { return step };
        if open.verdict.is_some() || open.voided.contains(&lane) {
            return step;
        }
        let run = RunMark::of(attempt, so_far);
        if open.runs.get(&lane) != Some(&run) {
            step.record(self, VoterRecord::Began(stage, task, lane, run));
        }
        let Some(open) = self.open(stage, task) else { return step };
        let was = open.prefixes.standing(lane);
        open.places.insert(lane, so_far);
        match open.prefixes.mark(lane, so_far.length, so_far.digest) {
            Standing::Contradicts => step.record(self, VoterRecord::PrefixChecked(stage, task, lane, false)),
            Standing::Confirmed if was != Standing::Confirmed => {
                step.record(self, VoterRecord::PrefixChecked(stage, task, lane, true));
            }
            Standing::Confirmed | Standing::Unknown(_) => {}
        }
        self.decide_prefix(stage, task, rule, &mut step);
        self.ask_for_prefixes(stage, task, &mut step);
        let news = self.disputed.iter().copied().filter(|disputed| *disputed == task).collect();
        self.report(&news, &mut step);
        step
    }

    fn decide_prefix(&mut self, stage: StageId, task: TaskId, rule: Rule, step: &mut Step<VoterRecord>) {
        let Some(open) = self.open(stage, task) else { return };
        let quorum = open.rule.unwrap_or(rule).quorum;
        let Some(decided) = open.prefixes.agreed(quorum) else { return };
        let Decided { offset: length, digest, lanes } = decided;
        let place = |lane| Region { length, digest, ..open.places.get(&lane).copied().unwrap_or_default() };
        let holders: Vec<(LaneId, Region)> = lanes.into_iter().map(|lane| (lane, place(lane))).collect();
        // It is released, and binds the lanes for good.
        step.record_on_disk(self, VoterRecord::PrefixDecided(stage, task, holders.clone()));
        step.send(self.surrogate(), SurrogateMessage::Prefix { stage, task, holders });
    }

    fn ask_for_prefixes(&mut self, stage: StageId, task: TaskId, step: &mut Step<VoterRecord>) {
        let Some(vote) = self.stage.as_mut().filter(|vote| vote.stage == stage) else { return };
        let Some(open) = vote.open.get_mut(&task) else { return };
        let mut questions = open.prefixes.ask(open.rule.unwrap_or(vote.rule).quorum);
        let decided = open.prefixes.decided().map(|decided| decided.offset);
        questions.extend(open.unchecked.keys().filter_map(|&lane| Some((lane, decided?))));
        for (lane, offset) in questions {
            step.send(self.execution(lane), ExecutionMessage::PrefixAt { stage, task, offset });
        }
    }

    /// Says all that the SM may not have heard.
    fn say_again(&mut self) -> Step<VoterRecord> {
        let mut step = Step::none();
        self.verdicts.repeat();
        self.stories.repeat();
        let disputed = self.disputed.clone();
        self.report(&disputed, &mut step);
        self.say_prefixes(&mut step);
        step
    }

    /// The prefixes that are decided, of tasks that are not.
    fn say_prefixes(&self, step: &mut Step<VoterRecord>) {
        let Some(vote) = &self.stage else { return };
        for (&task, open) in vote.open.iter().filter(|(_, open)| open.verdict.is_none()) {
            if !open.holders.is_empty() {
                let (stage, holders) = (vote.stage, open.holders.clone());
                step.send(self.surrogate(), SurrogateMessage::Prefix { stage, task, holders });
            }
        }
    }

    /// The link to a lane came up: what it was asked may be lost.
    fn ask_again(&mut self, lane: LaneId) -> Step<VoterRecord> {
        let mut step = Step::none();
        let Some(vote) = self.stage.as_mut() else { return step };
        let stage = vote.stage;
        let tasks: Vec<TaskId> = vote.open.keys().copied().collect();
        for task in tasks {
            if let Some(open) = self.open(stage, task) {
                open.prefixes.ask_again(lane);
            }
            self.ask_for_prefixes(stage, task, &mut step);
        }
        step
    }

    fn convene(&mut self, stage: StageId, rule: Rule, stream: bool) -> Step<VoterRecord> {
        let known = self.stage.as_ref().map(|vote| vote.stage);
        if known == Some(stage) {
            // An SM that comes to a stage anew, by loss of power, took nothing of what it was told of it.
            return self.say_again();
        }
        let mut step = Step::none();
        if known < Some(stage) {
            step.record(self, VoterRecord::Convened(stage, rule, stream));
            for (lane, life, numbers, ballots) in std::mem::take(&mut self.early) {
                step.append(self.take_ballots(lane, life, numbers, ballots));
            }
        }
        step
    }

    fn on_surrogate(&mut self, message: VoterMessage) -> Step<VoterRecord> {
        let mut step = Step::none();
        let disputed_before = self.disputed.clone();
        match message {
            VoterMessage::Convene { stage, rule, stream } => return self.convene(stage, rule, stream),
            VoterMessage::Extend { stage, tasks, rule } => {
                for task in tasks {
                    step.record(self, VoterRecord::Extended(stage, task, rule));
                }
            }
            VoterMessage::Absent { stage, lane, tasks } if tasks.is_empty() => {
                step.record(self, VoterRecord::Absent(stage, lane, None));
            }
            VoterMessage::Absent { stage, lane, tasks } => {
                for task in tasks {
                    step.record(self, VoterRecord::Absent(stage, lane, Some(task)));
                }
            }
            VoterMessage::VerdictsKept { life, .. } if life != self.incarnation => {}
            VoterMessage::VerdictsKept { below, .. } => step.record(self, VoterRecord::VerdictsKept(below)),
            // Whatever is decided or in dispute was said when its ballot came, on this link, which keeps the order.
            VoterMessage::Recount { stage, number } => {
                step.send(self.surrogate(), SurrogateMessage::Recounted { stage, number });
            }
            VoterMessage::Ballots { .. } | VoterMessage::Prefix { .. } | VoterMessage::Recall { .. } => {}
        }
        let news = self.disputed.difference(&disputed_before).copied().collect();
        self.report(&news, &mut step);
        step
    }

    fn on_lane(&mut self, lane: LaneId, message: VoterMessage) -> Step<VoterRecord> {
        match message {
            VoterMessage::Ballots { lane: claimed, life, oldest, first, ballots, witness, seal }
                if claimed == lane && is_genuine(&seal, lane, first, &witness, &ballots) =>
            {
                self.take_ballots(lane, life, Numbers { oldest, first }, ballots)
            }
            VoterMessage::Recall { lane: claimed } if claimed == lane => self.recall(lane),
            VoterMessage::Prefix { lane: claimed, stage, task, attempt, so_far } if claimed == lane => {
                self.take_prefix(lane, stage, task, attempt, so_far)
            }
            // A lane speaks for itself alone, and does not manage the vote.
            VoterMessage::Ballots { .. }
            | VoterMessage::Recall { .. }
            | VoterMessage::Prefix { .. }
            | VoterMessage::Convene { .. }
            | VoterMessage::Extend { .. }
            | VoterMessage::Absent { .. }
            | VoterMessage::Recount { .. }
            | VoterMessage::VerdictsKept { .. } => Step::none(),
        }
    }
}

impl Armor for Voter {
    type Message = VoterMessage;
    type Record = VoterRecord;

    fn apply(&mut self, record: &VoterRecord) {
        match record {
            VoterRecord::Convened(stage, rule, stream) => {
                self.disputed.clear();
                self.stage = Some(StageVote {
                    stage: *stage,
                    rule: *rule,
                    stream: *stream,
                    absent: BTreeSet::new(),
                    open: BTreeMap::new(),
                    settled: TaskSet::default(),
                });
            }
            VoterRecord::Extended(stage, task, rule) => {
                if let Some(open) = self.open(*stage, *task) {
                    open.rule = Some(*rule);
                    self.disputed.remove(task);
                    self.decide(*stage, *task);
                }
            }
            VoterRecord::Absent(stage, lane, Some(task)) => {
                if let Some(open) = self.open(*stage, *task) {
                    open.absent.insert(*lane);
                    self.decide(*stage, *task);
                }
            }
            VoterRecord::Absent(stage, lane, None) => {
                let Some(vote) = self.stage.as_mut().filter(|vote| vote.stage == *stage) else { return };
                vote.absent.insert(*lane);
                let tasks: Vec<TaskId> = vote.open.keys().copied().collect();
                tasks.into_iter().for_each(|task| self.decide(*stage, task));
            }
            VoterRecord::Cast(lane, ballot) => {
                self.ballots.take(*lane);
                self.cast(*lane, ballot);
            }
            VoterRecord::CastUnnumbered(lane, ballot) => self.cast(*lane, ballot),
            VoterRecord::Lives(lane, life, first) => {
                self.lives.insert(*lane, *life);
                self.ballots.restart(*lane, *first);
            }
            VoterRecord::Forgot(lane) => {
                for open in self.stage.iter_mut().flat_map(|vote| vote.open.values_mut()) {
                    open.unchecked.remove(lane);
                }
            }
            VoterRecord::VerdictsKept(below) => self.verdicts.kept(*below),
            VoterRecord::PrefixDecided(stage, task, holders) => {
                let (Some(open), Some((_, region))) = (self.open(*stage, *task), holders.first()) else { return };
                let lanes = holders.iter().map(|(lane, _)| *lane).collect();
                open.prefixes.decide(Decided { offset: region.length, digest: region.digest, lanes });
                open.holders.clone_from(holders);
            }
            VoterRecord::PrefixChecked(stage, task, lane, has_it) => self.check_prefix(*stage, *task, *lane, *has_it),
            VoterRecord::Began(stage, task, lane, run) => {
                if let Some(open) = self.open(*stage, *task) {
                    open.runs.insert(*lane, *run);
                    open.prefixes.restart(*lane);
                }
            }
        }
    }

    fn handle(&mut self, _now: Moment, event: Event<VoterMessage>) -> Step<VoterRecord> {
        match event {
            Event::Message { from, message } if from == self.surrogate() => self.on_surrogate(message),
            Event::Message { from: ArmorName::Execution(job, lane), message } if job == self.job => {
                self.on_lane(lane, message)
            }
            Event::Link(LinkEvent::Up { peer, .. }) if peer == self.surrogate() => self.say_again(),
            Event::Link(LinkEvent::Up { peer: ArmorName::Execution(job, lane), .. }) if job == self.job => {
                let mut step = self.ask_again(lane);
                if self.recalling.contains(&lane) {
                    step.append(self.recall(lane));
                }
                self.say_kept(lane, &mut step);
                step
            }
            Event::Message { .. }
            | Event::Link(_)
            | Event::Timer(_)
            | Event::Slot(_)
            | Event::Process(_)
            | Event::File(_)
            | Event::Datagram { .. } => Step::none(),
        }
    }

    /// The life before may have died before it said what follows from its ballots, and nobody dials the SM
    /// but a Voter that speaks to it.
    fn resume(&mut self, _now: Moment) -> Step<VoterRecord> {
        self.say_again()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, pending: 0 }
    }
}
