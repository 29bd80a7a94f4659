//! Execution: one lane's road through a job. Runs its copy of every task in its slots, starts again
//! what ended abnormally, and keeps every result until the job is retired.
//!
//! The ballot and the output it speaks of are saved before the ballot is sent, so that the death of
//! anyone else repeats no finished execution (D8).

mod faults;
mod ledger;
mod once;
mod orders;
mod results;
mod slots;
mod staging;
mod telling;
mod votes;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step, Timer};
use crate::job::{InjectionKind, Stage, Stdin, determinism};
use crate::message::{ExecutionMessage, LaneOrders, Purpose, Story, SurrogateMessage};
use crate::names::{
    ArmorName, Digest, ExecutionId, HostId, Incarnation, JobId, LaneId, Millis, SlotId, StageId, TaskId,
};
use crate::shell::Identity;
use crate::world::{CommitOutcome, FileCommand, FileEvent, Input, Offer, Region, SlotCommand, SlotPlan};

pub use ledger::{Cause, ExecutionRecord, Ledger};
use slots::{Run, SlotState, Slots};

/// Most ballots in one message.
const BALLOTS_AT_ONCE: usize = 256;
/// How long after the last ballots further ones wait for company: signing, checking and saving cost nearly as much
/// for one as for many.
const FLUSH_AFTER: Millis = Millis(50);
/// How often the slots are looked at.
const BEAT: Millis = Millis(500);
/// Attempts at a task that may die by its surroundings' doing before the lane gives it up.
const SURROUNDINGS_LIMIT: u32 = 8;
/// Slots that may die in a row before the lane gives up.
const SLOT_LOSSES_LIMIT: u32 = 8;

/// The Execution of one lane.
#[derive(Debug)]
pub struct Execution {
    host: HostId,
    incarnation: Incarnation,
    job: JobId,
    lane: LaneId,
    cores: u16,
    key: SigningKey,
    /// Of the stage's program and of its inputs, once they are known.
    program: Digest,
    input: Digest,
    ledger: Ledger,
    slots: Slots,
    /// Tasks that wait for their restart, with the time of their death.
    waiting: BTreeMap<(StageId, TaskId), (Purpose, Millis)>,
    /// Answers that are said again when a link comes up: a commit's, and what was staged.
    committed: Option<(StageId, CommitOutcome)>,
    staged: BTreeMap<(StageId, Input), Result<Digest, String>>,
    /// What is on its way here, by what was offered.
    fetching: BTreeMap<(StageId, Input), Offer>,
    /// The last word on the output of what runs.
    said: BTreeMap<ExecutionId, Region>,
    /// The lane cannot run its stage, and said so.
    given_up: Option<(StageId, String)>,
    beating: bool,
    /// Whether it was told in this life that programs are not kept from this host.
    is_unconfined: bool,
    /// Ballots were sent a moment ago.
    flushing: bool,
    done: u64,
}

impl Execution {
    #[must_use]
    pub fn new(identity: &Identity, job: JobId, lane: LaneId) -> Self {
        Execution {
            host: identity.host,
            incarnation: identity.incarnation,
            job,
            lane,
            cores: identity.cores,
            key: SigningKey::from_bytes(&identity.seed),
            program: Digest::default(),
            input: Digest::default(),
            ledger: Ledger::default(),
            slots: Slots::default(),
            waiting: BTreeMap::new(),
            committed: None,
            staged: BTreeMap::new(),
            fetching: BTreeMap::new(),
            said: BTreeMap::new(),
            given_up: None,
            beating: false,
            is_unconfined: false,
            flushing: false,
            done: 0,
        }
    }

    fn surrogate(&self) -> ArmorName {
        ArmorName::Surrogate(self.job)
    }

    fn voter(&self) -> ArmorName {
        ArmorName::Voter(self.job)
    }

    // ---- orders ----

    fn on_surrogate(&mut self, now: Moment, message: ExecutionMessage) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match message {
            ExecutionMessage::Configure(orders) => self.configure(orders, &mut step),
            // What may be started at most once is not run on such an order, nor again to see how it goes.
            ExecutionMessage::Run { stage, .. } if self.is_at_most_once(stage) => {}
            ExecutionMessage::Prepare { stage, ranges, input } => {
                self.input = input;
                self.prepare(stage, ranges, &mut step);
            }
            ExecutionMessage::StartOnce { stage, ranges, input } => {
                self.input = input;
                self.granted(stage, ranges, &mut step);
                self.work(now, &mut step);
            }
            ExecutionMessage::Run { stage, ranges, purpose, input } => {
                self.input = input;
                self.assign(now, stage, ranges, purpose, &mut step);
            }
            ExecutionMessage::Stop { stage } => self.stop(stage, None, &mut step),
            ExecutionMessage::StopTask { stage, task } => self.stop(stage, Some(task), &mut step),
            ExecutionMessage::Allow { stage, task, upto } => self.allow(stage, task, upto, &mut step),
            ExecutionMessage::Commit { stage, changes } => {
                let Some(orders) = &self.ledger.orders else { return step };
                // The view of the files must not be in use while the files under it change.
                let pass = orders.job.origin.pass;
                self.slots.close(&mut step.then);
                step.then(Effect::File(FileCommand::Commit { job: self.job, stage, pass, changes }));
            }
            ExecutionMessage::BallotsKept { .. }
            | ExecutionMessage::Voted { .. }
            | ExecutionMessage::PrefixAt { .. }
            | ExecutionMessage::Stage { .. }
            | ExecutionMessage::Feed { .. }
            | ExecutionMessage::LeaseEnded => {}
        }
        step
    }

    fn assign(
        &mut self,
        now: Moment,
        stage: StageId,
        ranges: Vec<(u64, u64)>,
        purpose: Purpose,
        step: &mut Step<ExecutionRecord>,
    ) {
        if self.ledger.stopped.contains(&stage) && purpose == Purpose::Vote {
            return self.tell_done(stage, step);
        }
        step.record(self, ExecutionRecord::Assigned(stage, ranges.clone(), purpose));
        self.say_repeated(stage, &ranges, purpose, step);
        if let Some((given_up, why)) = &self.given_up
            && *given_up == stage
        {
            let message = SurrogateMessage::CannotRun { lane: self.lane, stage, why: why.clone() };
            return step.send(self.surrogate(), message);
        }
        if self.ledger.assigned.keys().any(|(assigned, _)| *assigned == stage) {
            self.open_slots(stage, step);
            self.work(now, step);
        }
        self.tell_done(stage, step);
    }

    /// A repetition that was finished before is answered from the ledger.
    fn say_repeated(
        &mut self,
        stage: StageId,
        ranges: &[(u64, u64)],
        purpose: Purpose,
        step: &mut Step<ExecutionRecord>,
    ) {
        let Purpose::Repeat(number) = purpose else { return };
        for task in ranges.iter().flat_map(|&(from, to)| (from..to).map(TaskId)) {
            if let Some(value) = self.ledger.repeated.get(&(stage, task, number)).copied() {
                step.send(
                    self.surrogate(),
                    SurrogateMessage::Repeated { lane: self.lane, stage, task, purpose, value },
                );
            }
        }
    }

    fn stop(&mut self, stage: StageId, task: Option<TaskId>, step: &mut Step<ExecutionRecord>) {
        step.record(self, ExecutionRecord::Stopped(stage, task));
        let concerned = |at: StageId, which: TaskId| at == stage && task.is_none_or(|task| task == which);
        self.waiting.retain(|&(at, which), _| !concerned(at, which));
        for (slot, run) in self.slots.runs_mut() {
            if concerned(run.execution.stage, run.execution.task) {
                run.unwanted = true;
                step.then(Effect::Slot(SlotCommand::Kill { slot }));
            }
        }
        self.tell_done(stage, step);
    }

    fn allow(&mut self, stage: StageId, task: TaskId, upto: u64, step: &mut Step<ExecutionRecord>) {
        for (slot, run) in self.slots.runs_mut() {
            if run.execution.stage == stage && run.execution.task == task && upto > run.allowed {
                run.allowed = upto;
                step.then(Effect::Slot(SlotCommand::Allow { slot, upto }));
            }
        }
    }

    // ---- running ----

    fn plan(&self, number: StageId) -> Option<SlotPlan> {
        let job = &self.ledger.orders.as_ref()?.job;
        let stage = job.stages.get(usize::from(number.0))?;
        Some(SlotPlan {
            job: self.job,
            origin: job.origin,
            mirrored: job.is_mirrored_on(self.host),
            stage: number,
            lane: self.lane,
            directory: job.directory.clone(),
            program: stage.command.first().cloned().unwrap_or_else(|| Vec::new().into()),
            files: stage.files,
            inputs: stage.inputs.iter().chain(&stage.bundle).cloned().collect(),
            outputs: stage.outputs.clone(),
            net: job.net,
            environment: determinism::environment(job),
            umask: job.umask,
            masks: job.masks.clone(),
        })
    }

    fn open_slots(&mut self, stage: StageId, step: &mut Step<ExecutionRecord>) {
        let (Some(orders), Some(plan)) = (&self.ledger.orders, self.plan(stage)) else { return };
        let tasks: u64 = orders.job.stages[usize::from(stage.0)].task_ranges().iter().map(|(from, to)| to - from).sum();
        // One more than its share of the cores, so that none is idle while a slot goes from one program to the next.
        let share = self.cores / orders.sharing.max(1) + 1;
        let count = u16::try_from(tasks).unwrap_or(u16::MAX).clamp(1, share);
        let is_new = self.slots.stage() != Some(stage);
        self.slots.open(stage, count, &plan, &mut step.then);
        if is_new {
            // It is looked up where the slots look it up, so that comes behind their opening.
            let input = Input::Program(plan.program);
            step.then(Effect::File(FileCommand::Digest { job: self.job, stage, input }));
        }
        self.beat(step);
    }

    fn beat(&mut self, step: &mut Step<ExecutionRecord>) {
        if !self.beating {
            self.beating = true;
            step.timer(Timer::Beat, BEAT);
        }
    }

    /// Starts what can be started.
    fn work(&mut self, now: Moment, step: &mut Step<ExecutionRecord>) {
        let Some(stage) = self.slots.stage() else { return };
        while let Some(slot) = self.slots.idle() {
            let Some((task, purpose)) = self.next_task(stage) else { break };
            self.start(now, slot, stage, task, purpose, step);
        }
    }

    fn next_task(&self, stage: StageId) -> Option<(TaskId, Purpose)> {
        let busy = |task: &TaskId| {
            self.waiting.contains_key(&(stage, *task)) || self.slots.runs().any(|(_, run)| run.execution.task == *task)
        };
        let purposes = (stage, Purpose::Vote)..=(stage, Purpose::Repeat(u16::MAX));
        // Somebody waits for a repetition before anything else goes on.
        self.ledger.assigned.range(purposes).rev().find_map(|(&(_, purpose), tasks)| {
            if self.ledger.is_fresh && purpose == Purpose::Vote {
                return None;
            }
            let task = tasks.iter().find(|task| !busy(task))?;
            Some((task, purpose))
        })
    }

    fn start(
        &mut self,
        now: Moment,
        slot: SlotId,
        stage: StageId,
        task: TaskId,
        purpose: Purpose,
        step: &mut Step<ExecutionRecord>,
    ) {
        let Some(orders) = &self.ledger.orders else { return };
        let execution = ExecutionId { stage, task, attempt: self.ledger.next_attempt(stage, task, purpose) };
        let fault = injected(orders, execution).filter(|kind| *kind != InjectionKind::Lie);
        let stage_of_job = &orders.job.stages[usize::from(stage.0)];
        // Only a stream is paced: there the SM allows more as it is decided. All else is held to its end.
        let is_paced = orders.job.streams(stage) && purpose == Purpose::Vote;
        let quota = if is_paced { orders.job.spool_quota } else { u64::MAX };
        let stdin = if stage.0 == 0 && stage_of_job.tasks.is_none() { orders.job.stdin.clone() } else { Stdin::Null };
        let handed = orders.handed_to(stage, task);
        let feed = (stdin == Stdin::Spool).then_some(self.ledger.fed);
        let command = stage_of_job.command_for(task);
        if let Some(kind) = fault {
            let story = Story::Injected { lane: self.lane, execution, kind };
            step.record(self, ExecutionRecord::Noted(story));
            self.say_stories(step);
        }
        if self.is_at_most_once(stage) {
            step.record_on_disk(self, ExecutionRecord::Begun(stage, task));
        }
        step.then(Effect::Slot(SlotCommand::Start { slot, execution, command, stdin, handed, fault }));
        step.then(Effect::Slot(SlotCommand::Allow { slot, upto: quota }));
        if let Some((upto, end)) = feed {
            step.then(Effect::Slot(SlotCommand::Feed { slot, upto, end }));
        }
        let run = Run {
            execution,
            purpose,
            since: now.boot,
            length: 0,
            allowed: quota,
            unwanted: false,
            killed_for: None,
            was_stopped: false,
        };
        self.slots.set(slot, SlotState::Running(run));
    }

    fn file(&mut self, event: FileEvent) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match event {
            FileEvent::Committed { stage, outcome } => {
                self.committed = Some((stage, outcome.clone()));
                step.send(self.surrogate(), SurrogateMessage::Committed { stage, outcome });
            }
            FileEvent::Digested { input: Input::Program(_), outcome, .. } => self.program = outcome.unwrap_or_default(),
            FileEvent::Digested { stage, input, outcome } | FileEvent::Fetched { stage, input, outcome } => {
                self.fetching.remove(&(stage, input.clone()));
                self.has_staged(stage, input, outcome, &mut step);
            }
            FileEvent::Prefix { execution, so_far } => self.say_prefix(execution, so_far, &mut step),
            FileEvent::Offered { .. } | FileEvent::IndexKept { .. } => {}
        }
        step
    }

    fn timer(&mut self, now: Moment, timer: Timer) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match timer {
            Timer::Flush => {
                self.flushing = false;
                if self.ledger.ballots.unsaid() > 0 {
                    self.flush_soon(&mut step);
                }
            }
            Timer::Beat => {
                self.slots.sample(&mut step.then);
                step.timer(Timer::Beat, BEAT);
                if let Some(stage) = self.slots.stage() {
                    self.tell_progress(stage, &mut step);
                }
            }
            Timer::Restart(stage, task) => {
                self.waiting.remove(&(stage, task));
                self.work(now, &mut step);
            }
            Timer::Deadline
            | Timer::Patience(..)
            | Timer::Backpressure
            | Timer::Restore(_)
            | Timer::Remind
            | Timer::Guard
            | Timer::Judge(_)
            | Timer::Profile
            | Timer::Reign
            | Timer::Parole(_)
            | Timer::Revive(_) => {}
        }
        step
    }
}

/// The fault that is put into this execution, if one is.
fn injected(orders: &LaneOrders, execution: ExecutionId) -> Option<InjectionKind> {
    let ranges = orders.job.stages.first().map(Stage::task_ranges).unwrap_or_default();
    let first = ranges.first().map_or(TaskId(0), |(from, _)| TaskId(*from));
    let due = orders.injections().find(|injection| injection.is_due(execution, first));
    due.map(|injection| injection.kind)
}

impl Armor for Execution {
    type Message = ExecutionMessage;
    type Record = ExecutionRecord;

    fn apply(&mut self, record: &ExecutionRecord) {
        self.ledger.apply(record);
    }

    fn handle(&mut self, now: Moment, event: Event<ExecutionMessage>) -> Step<ExecutionRecord> {
        match event {
            Event::Message { from, message } if from == self.surrogate() => self.on_surrogate(now, message),
            Event::Message { from, message } if from == self.voter() => self.on_voter(now, message),
            Event::Message { from: ArmorName::Fanout(job), message } if job == self.job => self.on_fanout(message),
            Event::Message { from: ArmorName::Daemon(host), message } if host == self.host => self.on_daemon(&message),
            Event::Message { .. } | Event::Process(_) | Event::Datagram { .. } => Step::none(),
            Event::Timer(timer) => self.timer(now, timer),
            Event::Slot(event) => self.slot(now, event),
            Event::File(event) => self.file(event),
            Event::Link(LinkEvent::Up { peer, .. }) => self.link_up(peer),
            Event::Link(LinkEvent::Down { .. }) => Step::none(),
        }
    }

    fn resume(&mut self, now: Moment) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        self.locate_peers(&mut step);
        if self.ledger.is_fresh {
            self.say_recall(&mut step);
        }
        let stage = self.ledger.assigned.keys().next().map(|(stage, _)| *stage);
        let fresh = self.ledger.orders.is_some() && self.ledger.counts.is_empty() && !self.is_mirrored();
        if let Some(stage) = stage.or(fresh.then_some(StageId(0))) {
            self.open_slots(stage, &mut step);
        }
        self.own_up(&mut step);
        self.say_ballots(&mut step);
        self.say_stories(&mut step);
        self.work(now, &mut step);
        step
    }

    fn progress(&self) -> Progress {
        let stage = self.slots.stage().filter(|_| self.slots.idle().is_some());
        let startable = stage.and_then(|stage| self.next_task(stage)).is_some();
        Progress { done: self.done, pending: u64::from(startable) }
    }
}
