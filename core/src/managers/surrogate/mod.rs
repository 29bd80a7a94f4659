//! Surrogate manager (SM): runs one job. Asks the FTM for places, configures the job's ARMORs,
//! climbs the ladder when a vote is lost, and tells what matters.
//!
//! The SM is level-triggered: whatever happened, [`Surrogate::advance`] looks at how the job stands
//! and does what follows from that. A restored SM therefore needs no special recovery: it asks for
//! its places again, says again what its peers must know, and advances.

mod dispute;
mod endings;
mod ladder;
mod ledger;
mod once;
mod orders;
mod output;
mod recovery;
mod stage;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step, Timer};
use crate::job::Job;
use crate::message::{FtmMessage, Occurrence, Outcome, Story, SurrogateMessage};
use crate::names::{ArmorName, HostId, JobId, LaneId, Millis, StageId, TaskId};
use crate::shell::Identity;
use crate::world::{FileEvent, Region};

pub use ladder::Rung;
pub use ledger::{Ledger, SurrogateRecord};
use stage::StageRun;
use verdicts::{Heard, Numbers};

/// Most occurrences in one message to the FTM.
const OCCURRENCES_AT_ONCE: usize = 256;
/// How long a lane may be held back by our own quota before the slowest other lane is dropped.
const BACKPRESSURE_LIMIT: Millis = Millis(10_000);

/// The SM of one job.
#[derive(Debug)]
pub struct Surrogate {
    id: JobId,
    host: HostId,
    ledger: Ledger,
    of_voter: Heard,
    /// ARMORs that run and can be spoken to, as the FTM said; it says so again.
    granted: BTreeSet<ArmorName>,
    /// Places asked for in this life.
    asked: BTreeSet<ArmorName>,
    /// Lanes of which something was decided while it was not known here where they run.
    unplaced: BTreeSet<ArmorName>,
    followers: BTreeMap<ArmorName, Follower>,
    lanes: BTreeMap<LaneId, LanePulse>,
    /// Output that lanes were last allowed to produce of the current task.
    allowed: u64,
    waiting_for_patience: bool,
    recount: Recount,
    waiting_for_pressure: bool,
    blocked_paths: BTreeSet<Vec<u8>>,
    /// Hosts that do not keep programs from them, told already.
    unconfined: BTreeSet<HostId>,
    /// What is being put into the index.
    index_asked: Option<endings::IndexAsked>,
    /// The index could not be written before the end of the job.
    index_fails: bool,
    done: u64,
}

/// A user's command that follows the job.
#[derive(Debug, Default)]
struct Follower {
    /// Number of the next release to tell.
    next: u64,
    consumed: u64,
    paced: bool,
}

/// How a lane fares, for people and for back-pressure; nothing durable depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LanePulse {
    finished: u64,
    running: Option<(TaskId, u64)>,
    paused: bool,
    /// Begun so far, and their CPU in microseconds.
    executions: u64,
    cpu_us: u64,
    /// When it was last seen to have moved.
    moved: Millis,
}

/// What the Voter was asked to tell in full. A lane says to the SM that it is done, and the Voter says that its
/// ballot dissents: two links, of which either may be the faster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Recount {
    /// How often a lane said that it is done.
    done: u64,
    /// `done` at the last question, and at the last answer.
    asked: u64,
    answered: u64,
}

impl Surrogate {
    #[must_use]
    pub fn new(identity: &Identity, id: JobId) -> Self {
        Surrogate {
            id,
            host: identity.host,
            ledger: Ledger::default(),
            of_voter: Heard::default(),
            granted: BTreeSet::new(),
            asked: BTreeSet::new(),
            unplaced: BTreeSet::new(),
            followers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            allowed: 0,
            waiting_for_patience: false,
            recount: Recount::default(),
            waiting_for_pressure: false,
            blocked_paths: BTreeSet::new(),
            unconfined: BTreeSet::new(),
            index_asked: None,
            index_fails: false,
            done: 0,
        }
    }

    fn voter(&self) -> ArmorName {
        ArmorName::Voter(self.id)
    }

    fn fanout(&self) -> ArmorName {
        ArmorName::Fanout(self.id)
    }

    fn execution(&self, lane: LaneId) -> ArmorName {
        ArmorName::Execution(self.id, lane)
    }

    fn run_of(&mut self, stage: StageId) -> Option<&mut StageRun> {
        self.ledger.stage.as_mut().filter(|run| run.stage == stage)
    }

    fn is_over(&self) -> bool {
        self.ledger.outcome.is_some()
    }

    // ---- what others say ----

    fn on_ftm(&mut self, now: Moment, message: SurrogateMessage, step: &mut Step<SurrogateRecord>) {
        match message {
            SurrogateMessage::Begin(job) if self.ledger.job.is_none() => {
                self.begin(now, job, step);
            }
            SurrogateMessage::Granted(places) => {
                let mut lanes_placed = false;
                for &(name, host) in &places {
                    self.granted.insert(name);
                    step.then(Effect::Locate { name, host });
                    let before = self.ledger.hosts.get(&name).copied();
                    if before != Some(host) {
                        step.record(self, SurrogateRecord::Placed(name, host));
                        lanes_placed |= self.placed(name);
                    }
                    if before.is_some_and(|before| before != host) {
                        step.then(Effect::Renew { peer: name });
                    }
                }
                let awaited = places.iter().any(|(name, _)| self.unplaced.remove(name));
                let is_told = places.iter().any(|(name, _)| *name == self.fanout());
                places.into_iter().for_each(|(name, _)| self.say_all(name, step));
                if lanes_placed && !is_told && !self.is_over() {
                    self.say_to_fanout(step);
                }
                if awaited {
                    self.say_all(self.voter(), step);
                }
            }
            SurrogateMessage::Unavailable { name, why } => self.unavailable(now, name, why, step),
            SurrogateMessage::Told { below } if !self.ledger.occurrences.is_empty() => {
                step.record(self, SurrogateRecord::Told(below));
            }
            SurrogateMessage::EndKept => self.end_kept(step),
            SurrogateMessage::Cancel { code } => self.end(now, Outcome::Cancelled { code }, step),
            _ => {}
        }
    }

    /// An ARMOR has a new place; whether it is a lane, which must have its inputs there. One that is not on the job's
    /// origin has none before they are fetched.
    fn placed(&mut self, name: ArmorName) -> bool {
        let ArmorName::Execution(_, lane) = name else { return false };
        let elsewhere = self.elsewhere(lane).is_some();
        if let Some(run) = self.ledger.stage.as_mut().filter(|_| elsewhere) {
            run.supplied.remove(&lane);
        }
        true
    }

    fn begin(&mut self, now: Moment, job: Box<Job>, step: &mut Step<SurrogateRecord>) {
        let masks: Vec<String> = job.masks.iter().map(|mask| mask.name.clone()).collect();
        step.record(self, SurrogateRecord::Begun(job, now.boot, Some(self.host)));
        self.set_deadline(now, step);
        for mask in masks {
            self.tell(now, Story::Masked(mask), step);
        }
    }

    fn set_deadline(&self, now: Moment, step: &mut Step<SurrogateRecord>) {
        if let Some(deadline) = self.ledger.job.as_ref().and_then(|job| job.deadline) {
            let passed = now.boot.since(self.ledger.began);
            step.timer(Timer::Deadline, Millis(deadline.0.saturating_sub(passed.0)));
        }
    }

    fn on_voter(&mut self, now: Moment, message: SurrogateMessage, step: &mut Step<SurrogateRecord>) {
        match message {
            // What is decided later changes nothing: how much was released is part of the end.
            SurrogateMessage::Verdicts { .. } | SurrogateMessage::Disputes(_) | SurrogateMessage::Prefix { .. }
                if self.is_over() => {}
            SurrogateMessage::Verdicts { first, verdicts, life, oldest } => {
                self.take_verdicts(Numbers { life, oldest, first }, verdicts, step);
            }
            SurrogateMessage::Disputes(disputes) => {
                for dispute in disputes {
                    self.disputed(now, dispute, step);
                }
            }
            SurrogateMessage::Prefix { stage, task, holders } => self.prefix(stage, task, holders, step),
            SurrogateMessage::Recounted { stage, number } if self.run_of(stage).is_some() => {
                self.recount.answered = number.max(self.recount.answered);
            }
            SurrogateMessage::Noted { first, stories } => self.heard(now, self.voter(), first, stories, step),
            _ => {}
        }
    }

    fn prefix(
        &mut self,
        stage: StageId,
        task: TaskId,
        holders: Vec<(LaneId, Region)>,
        step: &mut Step<SurrogateRecord>,
    ) {
        if self.can_take(stage, holders.first().map(|(lane, _)| lane))
            && self.run_of(stage).is_some_and(|run| run.is_open(task))
        {
            step.record(self, SurrogateRecord::Prefix(stage, task, holders));
        }
    }

    /// Whether what the Voter decided can be used: the stage has begun here, and it is known where the output
    /// lies. An SM that forgot by loss of power may not be that far; it convenes the Voter again when it is,
    /// and is told again what it has not taken.
    fn can_take(&mut self, stage: StageId, holder: Option<&LaneId>) -> bool {
        let Some(run) = self.ledger.stage.as_ref().filter(|run| stage <= run.stage) else { return false };
        let name = holder.map(|lane| self.execution(*lane)).filter(|_| stage == run.stage);
        let unplaced = name.filter(|name| !self.ledger.hosts.contains_key(name));
        self.unplaced.extend(unplaced);
        unplaced.is_none()
    }

    fn on_lane(&mut self, now: Moment, lane: LaneId, message: SurrogateMessage, step: &mut Step<SurrogateRecord>) {
        match message {
            SurrogateMessage::Noted { first, stories } => self.heard(now, self.execution(lane), first, stories, step),
            SurrogateMessage::CannotRun { stage, why, .. } => self.cannot_run(now, lane, stage, why, step),
            SurrogateMessage::LaneProgress { stage, finished, running, cpu_us, executions, paused, .. } => {
                let pulse = LanePulse { finished, running, paused, executions, cpu_us, moved: now.boot };
                self.lane_progress(now, lane, stage, pulse, step);
            }
            SurrogateMessage::LaneDone { stage, executions, cpu_us, .. } => {
                if self.ledger.spent.get(&lane) != Some(&(executions, cpu_us)) {
                    step.record(self, SurrogateRecord::Spent(lane, executions, cpu_us));
                }
                if let Some(run) = self.run_of(stage) {
                    run.done.insert(lane);
                    self.recount.done += 1;
                }
            }
            SurrogateMessage::Repeated { stage, task, purpose, value, .. } => {
                self.repeated(lane, stage, task, purpose, value, step);
            }
            SurrogateMessage::Committed { stage, outcome } => self.committed(now, stage, outcome, step),
            SurrogateMessage::Prepared { stage, ranges, .. } => self.prepared(lane, stage, &ranges),
            SurrogateMessage::Unclear { stage, task, why, .. } => self.unclear(now, lane, stage, task, why, step),
            _ => {}
        }
    }

    fn on_fanout(&mut self, now: Moment, message: SurrogateMessage, step: &mut Step<SurrogateRecord>) {
        match message {
            SurrogateMessage::InputsReady { stage, lanes, digest, elsewhere, left_out } => {
                let place = |lane: &LaneId| elsewhere.iter().find(|(away, _)| away == lane).map(|(_, host)| *host);
                let lanes: Vec<LaneId> =
                    lanes.into_iter().filter(|lane| place(lane) == self.elsewhere(*lane)).collect();
                let first = self.run_of(stage).is_some_and(|run| run.supplied.is_empty());
                for why in left_out.into_iter().filter(|_| first) {
                    self.tell(now, Story::LeftOut { stage, why }, step);
                }
                if let Some(run) = self.run_of(stage) {
                    run.supplied.extend(lanes);
                    run.input = digest;
                }
            }
            SurrogateMessage::InputsRefused { stage, why } => {
                self.tell(now, Story::InputRefused { stage, why: why.clone() }, step);
                self.end(now, Outcome::Failed { why }, step);
            }
            SurrogateMessage::Committed { stage, outcome } => self.committed(now, stage, outcome, step),
            _ => {}
        }
    }

    fn on_user(&mut self, user: ArmorName, message: SurrogateMessage, step: &mut Step<SurrogateRecord>) {
        match message {
            SurrogateMessage::Follow { from, paced } => {
                let next = self.ledger.output.number_at(from);
                self.followers.insert(user, Follower { next, consumed: from, paced });
                self.say_releases(step);
                self.say_end(user, step);
            }
            SurrogateMessage::Consumed { upto } => {
                if let Some(follower) = self.followers.get_mut(&user) {
                    follower.consumed = follower.consumed.max(upto);
                }
            }
            _ => {}
        }
    }

    /// Stories of another ARMOR, to be told on.
    fn heard(
        &mut self,
        now: Moment,
        from: ArmorName,
        first: u64,
        stories: Vec<Story>,
        step: &mut Step<SurrogateRecord>,
    ) {
        let Some(skip) = self.ledger.heard.skip(from, first) else { return };
        for story in stories.into_iter().skip(skip) {
            step.record(self, SurrogateRecord::Heard(from));
            let is_new = match &story {
                Story::Blocked { path, .. } => self.blocked_paths.insert(path.to_vec()),
                Story::Unconfined(host, _) => self.unconfined.insert(*host),
                _ => true,
            };
            if !is_new {
                continue;
            }
            self.tell_of(now, from, story, step);
        }
    }

    // ---- telling ----

    fn tell(&mut self, now: Moment, story: Story, step: &mut Step<SurrogateRecord>) {
        self.tell_of(now, ArmorName::Surrogate(self.id), story, step);
    }

    fn tell_of(&mut self, now: Moment, noticed_by: ArmorName, story: Story, step: &mut Step<SurrogateRecord>) {
        let occurrence = Occurrence { unix_ms: now.unix_ms, boot: now.boot, noticed_by, story };
        step.record(self, SurrogateRecord::Happened(occurrence));
    }

    /// Tells what happened. The last of it waits for the index, as the end does, so that the FTM keeps both in one go.
    fn say_occurrences(&mut self, step: &mut Step<SurrogateRecord>) {
        if self.is_over() && !self.ledger.index_kept {
            return;
        }
        while let Some((first, occurrences)) = self.ledger.occurrences.say(OCCURRENCES_AT_ONCE) {
            step.send(ArmorName::Ftm, FtmMessage::Happened { job: self.id, first, occurrences });
        }
    }

    // ---- how the job stands, and what follows ----

    /// Does whatever follows from how things stand.
    fn advance(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        if !self.is_over() && self.ledger.job.is_some() {
            self.advance_stage(now, step);
        }
        self.keep_index(step);
        self.say_releases(step);
        self.say_occurrences(step);
    }

    fn advance_stage(&mut self, now: Moment, step: &mut Step<SurrogateRecord>) {
        if self.ledger.stage.is_none() {
            self.begin_stage(now, StageId(0), step);
        }
        self.advance_inquiries(now, step);
        if self.is_over() {
            return;
        }
        self.want_places(step);
        self.start_lanes(step);
        self.allow_output(step);
        self.finish_stage(now, step);
    }

    fn begin_stage(&mut self, now: Moment, stage: StageId, step: &mut Step<SurrogateRecord>) {
        step.record(self, SurrogateRecord::StageBegan(stage, now.boot));
        self.allowed = 0;
        self.waiting_for_patience = false;
        let Some(run) = &self.ledger.stage else { return };
        let story = Story::StageBegan { stage, lanes: run.active_lanes().collect(), quorum: run.rule.quorum };
        self.tell(now, story, step);
        let granted = self.granted.clone();
        granted.into_iter().for_each(|name| self.say_all(name, step));
    }

    /// Asks for the ARMORs that the job needs now, each once a life.
    fn want_places(&mut self, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let lanes = run.active_lanes().map(|lane| ArmorName::Execution(self.id, lane));
        let all = [self.voter(), self.fanout()].into_iter().chain(lanes);
        let names: Vec<ArmorName> = all.filter(|name| !self.asked.contains(name)).collect();
        if !names.is_empty() {
            self.asked.extend(names.iter().copied());
            step.send(ArmorName::Ftm, FtmMessage::WantPlaces { job: self.id, names });
            self.say_all(self.fanout(), step);
        }
    }

    /// Lets lanes that have the inputs run what is due; the first lanes all together or none.
    fn start_lanes(&mut self, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let ready = |lane: &LaneId| run.supplied.contains(lane) && self.granted.contains(&self.execution(*lane));
        let lanes: Vec<LaneId> = run.active_lanes().collect();
        if run.started.is_empty() && !lanes.iter().all(ready) {
            return;
        }
        let due: Vec<(LaneId, Vec<(u64, u64)>)> =
            lanes.into_iter().filter(ready).map(|lane| (lane, run.due(lane).ranges())).collect();
        for (lane, ranges) in due.into_iter().filter(|(_, ranges)| !ranges.is_empty()) {
            if self.is_at_most_once() {
                self.grant_once(lane, ranges, step);
            } else {
                step.record(self, SurrogateRecord::LaneStarted(lane, ranges.clone()));
                self.say_run(lane, ranges, step);
            }
        }
    }
}

impl Armor for Surrogate {
    type Message = SurrogateMessage;
    type Record = SurrogateRecord;

    fn apply(&mut self, record: &SurrogateRecord) {
        // What an earlier life put into an index on another host goes into one here, too.
        if !matches!(record, SurrogateRecord::IndexGrew(.., host) if *host != self.host) {
            self.ledger.apply(record);
        }
    }

    fn handle(&mut self, now: Moment, event: Event<SurrogateMessage>) -> Step<SurrogateRecord> {
        let mut step = Step::none();
        match event {
            Event::Message { from: ArmorName::Ftm, message } => self.on_ftm(now, message, &mut step),
            Event::Message { from, message } if from == self.voter() => self.on_voter(now, message, &mut step),
            Event::Message { from, message } if from == self.fanout() => self.on_fanout(now, message, &mut step),
            Event::Message { from: ArmorName::Execution(job, lane), message } if job == self.id => {
                self.on_lane(now, lane, message, &mut step);
            }
            Event::Message { from: from @ ArmorName::User(_), message } => self.on_user(from, message, &mut step),
            Event::Message { .. } | Event::Slot(_) | Event::Process(_) | Event::Datagram { .. } => return step,
            Event::Timer(timer) => self.timer(now, timer, &mut step),
            Event::File(FileEvent::IndexKept { outcome }) => self.index_kept(now, outcome, &mut step),
            Event::File(_) => return step,
            Event::Link(LinkEvent::Up { peer, .. }) => self.link_up(peer, &mut step),
            Event::Link(LinkEvent::Down { peer: peer @ ArmorName::User(_) }) => {
                self.followers.remove(&peer);
                step.then(Effect::Forget { peer });
            }
            Event::Link(LinkEvent::Down { .. }) => return step,
        }
        self.advance(now, &mut step);
        step
    }

    fn resume(&mut self, now: Moment) -> Step<SurrogateRecord> {
        let mut step = Step::none();
        if self.ledger.host.is_some_and(|host| host != self.host) {
            step.record(self, SurrogateRecord::Moved(self.host, now.boot));
        }
        self.set_deadline(now, &mut step);
        self.ledger.hosts.iter().for_each(|(&name, &host)| step.then(Effect::Locate { name, host }));
        // Whatever was said may have been lost with the life before.
        self.ledger.occurrences.repeat();
        step.send(ArmorName::Ftm, FtmMessage::Happened { job: self.id, first: 0, occurrences: Vec::new() });
        self.advance(now, &mut step);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, pending: 0 }
    }
}
