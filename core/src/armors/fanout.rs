//! Fanout: all lanes receive byte-identical input, or none starts.
//!
//! Inputs are staged everywhere, each lane says the digest of what it has, and only when all agree is
//! the input committed: paths once per stage, the spool of standard input again and again as it
//! grows, one step in flight at a time, so that a fast writer makes long steps and a slow one short
//! ones.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step};
use crate::elements::seal::root;
use crate::message::{ExecutionMessage, FanoutMessage, SurrogateMessage};
use crate::names::{ArmorName, Digest, HostId, JobId, LaneId, StageId};
use crate::world::Input;

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FanoutRecord {
    #[n(0)]
    Distributing(
        #[n(0)] StageId,
        #[n(1)] Vec<LaneId>,
        #[n(2)] Vec<Input>,
        #[n(3)] bool,
        /// Where the lanes live.
        #[n(60)]
        Vec<HostId>,
    ),
    /// All lanes had this much of the spool with this digest, and were told so.
    #[n(1)]
    Fed(#[n(0)] u64, #[n(1)] Digest, #[n(2)] bool),
}

/// The Fanout of one job.
#[derive(Debug)]
pub struct Fanout {
    job: JobId,
    stage: Option<Distribution>,
    /// What the user's command has spooled, and whether that is all.
    spooled: (u64, bool),
    fed: Fed,
    done: u64,
}

/// The spooled input that was committed.
#[derive(Debug, Default)]
struct Fed {
    upto: u64,
    digest: Digest,
    end: bool,
}

/// The inputs of the stage that is under way.
#[derive(Debug)]
struct Distribution {
    stage: StageId,
    lanes: BTreeMap<LaneId, HostId>,
    paths: Vec<Input>,
    spooled: bool,
    /// What lanes said to have, and on which host.
    staged: BTreeMap<(LaneId, Input), (HostId, Result<Digest, String>)>,
    /// The step of the spool that is in flight.
    spool_step: Option<u64>,
}

impl Fanout {
    #[must_use]
    pub fn new(job: JobId) -> Self {
        Fanout { job, stage: None, spooled: (0, false), fed: Fed::default(), done: 0 }
    }

    fn surrogate(&self) -> ArmorName {
        ArmorName::Surrogate(self.job)
    }

    fn execution(&self, lane: LaneId) -> ArmorName {
        ArmorName::Execution(self.job, lane)
    }

    fn distribute(&mut self, record: FanoutRecord) -> Step<FanoutRecord> {
        let mut step = Step::none();
        step.record(self, record);
        let lanes: Vec<LaneId> = self.stage.iter().flat_map(|stage| stage.lanes.keys().copied()).collect();
        for lane in lanes {
            self.ask(lane, &mut step);
        }
        self.conclude(&mut step);
        self.advance_spool(&mut step);
        step
    }

    /// Asks a lane for what it has not yet said of the stage's inputs.
    fn ask(&self, lane: LaneId, step: &mut Step<FanoutRecord>) {
        let Some(distribution) = self.stage.as_ref().filter(|stage| stage.lanes.contains_key(&lane)) else { return };
        let stage = distribution.stage;
        let spool = distribution.spool_step.map(Input::Spool);
        for input in distribution.paths.iter().cloned().chain(spool) {
            if distribution.said(lane, &input).is_none() {
                step.send(self.execution(lane), ExecutionMessage::Stage { stage, input });
            }
        }
    }

    fn staged(
        &mut self,
        lane: LaneId,
        host: HostId,
        input: Input,
        outcome: Result<Digest, String>,
    ) -> Step<FanoutRecord> {
        let mut step = Step::none();
        let Some(distribution) = &mut self.stage else { return step };
        self.done += 1;
        let is_spool = matches!(input, Input::Spool(_));
        distribution.staged.insert((lane, input), (host, outcome));
        if is_spool {
            self.commit_spool(&mut step);
        } else {
            self.conclude(&mut step);
        }
        step
    }

    /// Tells the SM, once every lane has said what it has of every path.
    fn conclude(&mut self, step: &mut Step<FanoutRecord>) {
        let Some(distribution) = &self.stage else { return };
        let stage = distribution.stage;
        let agreed = distribution.paths.iter().map(|path| distribution.agreed(path));
        let Some(outcomes) = agreed.collect::<Option<Vec<_>>>() else { return };
        let message = match outcomes.into_iter().collect::<Result<Vec<Digest>, String>>() {
            Err(why) => SurrogateMessage::InputsRefused { stage, why },
            Ok(digests) => SurrogateMessage::InputsReady {
                stage,
                lanes: distribution.lanes.keys().copied().collect(),
                digest: if digests.is_empty() { Digest::default() } else { root(digests) },
            },
        };
        step.send(self.surrogate(), message);
    }

    /// Begins the next step of the spool, if there is more of it and none is in flight.
    fn advance_spool(&mut self, step: &mut Step<FanoutRecord>) {
        let (length, end) = self.spooled;
        let Some(distribution) = self.stage.as_mut().filter(|stage| stage.spooled) else { return };
        let new_lane = |lane: &LaneId| distribution.said(*lane, &Input::Spool(self.fed.upto)).is_none();
        let behind = self.fed.upto > 0 && distribution.lanes.keys().any(new_lane);
        let goal = if behind { self.fed.upto } else { length };
        // What was fed once is never taken back, even if the spool is said to be shorter now.
        let is_news = length > self.fed.upto || (length == self.fed.upto && end && !self.fed.end);
        if distribution.spool_step.is_some() || (!behind && !is_news) {
            return;
        }
        distribution.spool_step = Some(goal);
        let lanes: Vec<LaneId> = distribution.lanes.keys().copied().collect();
        for lane in lanes {
            self.ask(lane, step);
        }
        // Nothing to ask when everybody has already said it: only the end is new.
        self.commit_spool(step);
    }

    /// Lets the lanes read the step in flight, once they all have it alike.
    fn commit_spool(&mut self, step: &mut Step<FanoutRecord>) {
        let Some(distribution) = &mut self.stage else { return };
        let Some(upto) = distribution.spool_step else { return };
        let Some(outcome) = distribution.agreed(&Input::Spool(upto)) else { return };
        let stage = distribution.stage;
        distribution.spool_step = None;
        distribution.staged.retain(|(_, input), _| !matches!(input, Input::Spool(earlier) if *earlier < upto));
        let (length, end) = self.spooled;
        match outcome {
            Ok(digest) if upto != self.fed.upto || self.fed.upto == 0 || digest == self.fed.digest => {
                let end = end && upto == length;
                step.record(self, FanoutRecord::Fed(upto, digest, end || self.fed.end));
                self.feed_all(step);
                self.advance_spool(step);
            }
            Ok(_) => self.refuse(stage, "the spooled standard input changed after it was read".to_owned(), step),
            Err(why) => self.refuse(stage, why, step),
        }
    }

    fn refuse(&self, stage: StageId, why: String, step: &mut Step<FanoutRecord>) {
        step.send(self.surrogate(), SurrogateMessage::InputsRefused { stage, why });
    }

    fn feed_all(&self, step: &mut Step<FanoutRecord>) {
        let lanes = self.stage.iter().flat_map(|stage| stage.lanes.keys().copied());
        lanes.for_each(|lane| self.feed(lane, step));
    }

    fn feed(&self, lane: LaneId, step: &mut Step<FanoutRecord>) {
        if self.stage.as_ref().is_some_and(|stage| stage.spooled) {
            let (upto, end) = (self.fed.upto, self.fed.end);
            step.send(self.execution(lane), ExecutionMessage::Feed { upto, end });
        }
    }
}

impl Distribution {
    /// What a lane said to have of an input where it lives now.
    fn said(&self, lane: LaneId, input: &Input) -> Option<&Result<Digest, String>> {
        let (host, outcome) = self.staged.get(&(lane, input.clone()))?;
        (self.lanes.get(&lane) == Some(host)).then_some(outcome)
    }

    /// What all lanes have of an input; `None` while one has not said it.
    fn agreed(&self, input: &Input) -> Option<Result<Digest, String>> {
        let mut outcome: Option<Result<Digest, String>> = None;
        for lane in self.lanes.keys() {
            let staged = self.said(*lane, input)?;
            outcome = Some(match (outcome, staged) {
                (Some(Err(why)), _) => Err(why),
                (_, Err(why)) => Err(why.clone()),
                (None, Ok(digest)) => Ok(*digest),
                (Some(Ok(first)), Ok(digest)) if first == *digest => Ok(first),
                (Some(Ok(_)), Ok(_)) => Err(format!("lane {lane} has other bytes of {input} than the lanes before it")),
            });
        }
        outcome
    }
}

impl Armor for Fanout {
    type Message = FanoutMessage;
    type Record = FanoutRecord;

    fn apply(&mut self, record: &FanoutRecord) {
        match record {
            FanoutRecord::Distributing(stage, lanes, paths, spooled, hosts) => {
                let same = self.stage.take().filter(|known| known.stage == *stage);
                self.stage = Some(Distribution {
                    stage: *stage,
                    lanes: lanes.iter().copied().zip(hosts.iter().copied()).collect(),
                    paths: paths.clone(),
                    spooled: *spooled,
                    spool_step: None,
                    staged: same.map(|known| known.staged).unwrap_or_default(),
                });
            }
            FanoutRecord::Fed(upto, digest, end) => self.fed = Fed { upto: *upto, digest: *digest, end: *end },
        }
    }

    fn handle(&mut self, _now: Moment, event: Event<FanoutMessage>) -> Step<FanoutRecord> {
        match event {
            Event::Message { from, message: FanoutMessage::Distribute { stage, lanes, inputs, spooled, places } } => {
                if from != self.surrogate() || self.stage.as_ref().is_some_and(|known| known.stage > stage) {
                    return Step::none();
                }
                let mut step = Step::none();
                let place =
                    |lane: &LaneId| places.iter().find(|(name, _)| *name == ArmorName::Execution(self.job, *lane));
                let hosts = lanes.iter().map(|lane| place(lane).map(|(_, host)| *host).unwrap_or_default()).collect();
                places.into_iter().for_each(|(name, host)| step.then(Effect::Locate { name, host }));
                step.append(self.distribute(FanoutRecord::Distributing(stage, lanes, inputs, spooled, hosts)));
                step
            }
            Event::Message {
                from: ArmorName::Execution(job, sender),
                message: FanoutMessage::Staged { stage, lane, input, outcome, host },
            } if job == self.job && sender == lane && self.stage.as_ref().is_some_and(|known| known.stage == stage) => {
                self.staged(lane, host, input, outcome)
            }
            Event::Message { from: ArmorName::User(_), message: FanoutMessage::Spooled { length, end } } => {
                let mut step = Step::none();
                self.spooled = (self.spooled.0.max(length), self.spooled.1 || end);
                self.advance_spool(&mut step);
                step
            }
            Event::Link(LinkEvent::Up { peer, .. }) if peer == self.surrogate() => {
                let mut step = Step::none();
                self.conclude(&mut step);
                step
            }
            Event::Link(LinkEvent::Up { peer: ArmorName::Execution(job, lane), .. }) if job == self.job => {
                let mut step = Step::none();
                self.ask(lane, &mut step);
                let has_it = |stage: &Distribution| stage.said(lane, &Input::Spool(self.fed.upto)).is_some();
                if self.stage.as_ref().is_some_and(has_it) {
                    self.feed(lane, &mut step);
                }
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

    fn resume(&mut self, _now: Moment) -> Step<FanoutRecord> {
        let mut step = Step::none();
        let lanes: Vec<LaneId> = self.stage.iter().flat_map(|stage| stage.lanes.keys().copied()).collect();
        for lane in lanes {
            self.ask(lane, &mut step);
        }
        self.advance_spool(&mut step);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, pending: 0 }
    }
}
