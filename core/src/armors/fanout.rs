//! Fanout: all lanes receive byte-identical input, or none starts.
//!
//! Inputs are staged everywhere, each lane says the digest of what it has, and only when all agree is
//! the input committed: paths once per stage, the spool of standard input again and again as it
//! grows, one step in flight at a time, so that a fast writer makes long steps and a slow one short
//! ones.
//!
//! It lives on the job's origin. A lane on the same host reads what is there; what a lane on another host
//! needs is offered once, by digest, and fetched by that lane. Of a job that is built where it runs, every lane
//! fetches.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step};
use crate::elements::seal::root;
use crate::message::{ExecutionMessage, FanoutMessage, Supply, SurrogateMessage};
use crate::names::{ArmorName, Digest, HostId, JobId, LaneId, StageId};
use crate::shell::Identity;
use crate::world::{FileCommand, FileEvent, Input, Offer};

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FanoutRecord {
    #[n(0)]
    Distributing(#[n(0)] Box<Supply>),
    /// All lanes had this much of the spool with this digest, and were told so.
    #[n(1)]
    Fed(#[n(0)] u64, #[n(1)] Digest, #[n(2)] bool),
}

/// The Fanout of one job.
#[derive(Debug)]
pub struct Fanout {
    job: JobId,
    host: HostId,
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
    supply: Supply,
    /// What lanes said to have, and on which host.
    staged: BTreeMap<(LaneId, Input), (HostId, Result<Digest, String>)>,
    /// What was asked for to be offered, and what came of it.
    offers: BTreeMap<Input, Option<Result<Offer, String>>>,
    /// The step of the spool that is in flight.
    spool_step: Option<u64>,
}

impl Fanout {
    #[must_use]
    pub fn new(identity: &Identity, job: JobId) -> Self {
        Fanout { job, host: identity.host, stage: None, spooled: (0, false), fed: Fed::default(), done: 0 }
    }

    fn surrogate(&self) -> ArmorName {
        ArmorName::Surrogate(self.job)
    }

    fn execution(&self, lane: LaneId) -> ArmorName {
        ArmorName::Execution(self.job, lane)
    }

    fn lanes(&self) -> Vec<LaneId> {
        self.stage.iter().flat_map(|stage| stage.supply.lanes.iter().copied()).collect()
    }

    fn distribute(&mut self, record: FanoutRecord) -> Step<FanoutRecord> {
        let mut step = Step::none();
        step.record(self, record);
        self.ask_all(&mut step);
        self.conclude(&mut step);
        // What was said of the step in flight before the lane's place was known counts from now on.
        self.commit_spool(&mut step);
        self.advance_spool(&mut step);
        step
    }

    fn ask_all(&mut self, step: &mut Step<FanoutRecord>) {
        self.lanes().into_iter().for_each(|lane| self.ask(lane, step));
    }

    /// Asks a lane for what it has not yet said of the stage's inputs; what it must fetch is offered first.
    fn ask(&mut self, lane: LaneId, step: &mut Step<FanoutRecord>) {
        let (job, execution, is_origin) = (self.job, self.execution(lane), self.is_origin());
        let Some(distribution) = self.stage.as_mut().filter(|stage| stage.supply.lanes.contains(&lane)) else { return };
        let (stage, whereabouts) = (distribution.supply.stage, distribution.supply.whereabouts.clone());
        for input in distribution.needed_by(lane) {
            if distribution.said(lane, &input).is_some() {
                continue;
            }
            let offer = match distribution.is_elsewhere(lane) {
                false => None,
                true => match distribution.offers.get(&input) {
                    Some(Some(Ok(offer))) => Some(*offer),
                    Some(_) => continue,
                    None if !is_origin => {
                        let why = format!("{input} is on {}, which is not there", whereabouts.origin.host);
                        distribution.offers.insert(input, Some(Err(why)));
                        continue;
                    }
                    None => {
                        distribution.offers.insert(input.clone(), None);
                        let whereabouts = whereabouts.clone();
                        step.then(Effect::File(FileCommand::Offer { job, stage, input, whereabouts }));
                        continue;
                    }
                },
            };
            step.send(execution, ExecutionMessage::Stage { stage, input, offer, whereabouts: whereabouts.clone() });
        }
    }

    /// Whether this is the host where the job's files are.
    fn is_origin(&self) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.supply.whereabouts.origin.host == self.host)
    }

    fn offered(&mut self, stage: StageId, input: Input, outcome: Result<Offer, String>) -> Step<FanoutRecord> {
        let mut step = Step::none();
        let Some(distribution) = self.stage.as_mut().filter(|known| known.supply.stage == stage) else { return step };
        self.done += 1;
        distribution.offers.insert(input, Some(outcome));
        self.ask_all(&mut step);
        self.conclude(&mut step);
        self.commit_spool(&mut step);
        step
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
        let supply = &distribution.supply;
        let stage = supply.stage;
        let (inputs, bundle) = (distribution.all_agreed(&supply.inputs), distribution.all_agreed(&supply.bundle));
        let Some((inputs, bundle)) = inputs.zip(bundle) else { return };
        let message = match bundle.and(inputs) {
            Err(why) => SurrogateMessage::InputsRefused { stage, why },
            Ok(digests) => SurrogateMessage::InputsReady {
                stage,
                lanes: supply.lanes.clone(),
                digest: if digests.is_empty() { Digest::default() } else { root(digests) },
                elsewhere: supply.elsewhere.clone(),
                left_out: distribution.left_out(),
            },
        };
        step.send(self.surrogate(), message);
    }

    /// Begins the next step of the spool, if there is more of it and none is in flight.
    fn advance_spool(&mut self, step: &mut Step<FanoutRecord>) {
        let (length, end) = self.spooled;
        let Some(distribution) = self.stage.as_mut().filter(|stage| stage.supply.spooled) else { return };
        let new_lane = |lane: &LaneId| distribution.said(*lane, &Input::Spool(self.fed.upto)).is_none();
        let behind = self.fed.upto > 0 && distribution.supply.lanes.iter().any(new_lane);
        let goal = if behind { self.fed.upto } else { length };
        // What was fed once is never taken back, even if the spool is said to be shorter now.
        let is_news = length > self.fed.upto || (length == self.fed.upto && end && !self.fed.end);
        if distribution.spool_step.is_some() || (!behind && !is_news) {
            return;
        }
        distribution.spool_step = Some(goal);
        self.ask_all(step);
        // Nothing to ask when everybody has already said it: only the end is new.
        self.commit_spool(step);
    }

    /// Lets the lanes read the step in flight, once they all have it alike.
    fn commit_spool(&mut self, step: &mut Step<FanoutRecord>) {
        let Some(distribution) = &mut self.stage else { return };
        let Some(upto) = distribution.spool_step else { return };
        let outcome = match distribution.agreed(&Input::Spool(upto)) {
            Agreement::Pending | Agreement::Needless => return,
            Agreement::Reached(digest) => Ok(digest),
            Agreement::Refused(why) => Err(why),
        };
        let stage = distribution.supply.stage;
        distribution.spool_step = None;
        let is_earlier = |input: &Input| matches!(input, Input::Spool(earlier) if *earlier < upto);
        distribution.staged.retain(|(_, input), _| !is_earlier(input));
        distribution.offers.retain(|input, _| !is_earlier(input));
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
        self.lanes().into_iter().for_each(|lane| self.feed(lane, step));
    }

    fn feed(&self, lane: LaneId, step: &mut Step<FanoutRecord>) {
        if self.stage.as_ref().is_some_and(|stage| stage.supply.spooled) {
            let (upto, end) = (self.fed.upto, self.fed.end);
            step.send(self.execution(lane), ExecutionMessage::Feed { upto, end });
        }
    }

    /// Where the ARMORs of the job are now. A host that is frozen or cut off closes no link: what is said on one to a lane
    /// that has moved, or of which the place was not known yet, would be said to the life that was left behind.
    fn locate(&self, supply: &Supply, step: &mut Step<FanoutRecord>) {
        let known = self.stage.as_ref().map(|known| &known.supply.places);
        for &(name, host) in &supply.places {
            step.then(Effect::Locate { name, host });
            if known.is_some_and(|known| !known.contains(&(name, host))) {
                step.then(Effect::Renew { peer: name });
            }
        }
    }

    fn on_surrogate(&mut self, message: FanoutMessage) -> Step<FanoutRecord> {
        let mut step = Step::none();
        match message {
            FanoutMessage::Distribute(supply) => {
                if self.stage.as_ref().is_none_or(|known| known.supply.stage <= supply.stage) {
                    self.locate(&supply, &mut step);
                    step.append(self.distribute(FanoutRecord::Distributing(supply)));
                }
            }
            FanoutMessage::Commit { stage, pass, changes } => {
                step.then(Effect::File(FileCommand::Commit { job: self.job, stage, pass, changes }));
            }
            FanoutMessage::Staged { .. } | FanoutMessage::Spooled { .. } => {}
        }
        step
    }

    fn file(&mut self, event: FileEvent) -> Step<FanoutRecord> {
        let mut step = Step::none();
        match event {
            FileEvent::Offered { stage, input, outcome } => return self.offered(stage, input, outcome),
            FileEvent::Committed { stage, outcome } => {
                step.send(self.surrogate(), SurrogateMessage::Committed { stage, outcome });
            }
            FileEvent::Digested { .. }
            | FileEvent::Fetched { .. }
            | FileEvent::Prefix { .. }
            | FileEvent::IndexKept { .. } => {}
        }
        step
    }

    fn link_up(&mut self, peer: ArmorName) -> Step<FanoutRecord> {
        let mut step = Step::none();
        match peer {
            ArmorName::Surrogate(job) if job == self.job => {
                self.conclude(&mut step);
                // A refusal of what is spooled is said again.
                self.advance_spool(&mut step);
            }
            ArmorName::Execution(job, lane) if job == self.job => {
                self.ask(lane, &mut step);
                let has_it = |stage: &Distribution| stage.said(lane, &Input::Spool(self.fed.upto)).is_some();
                if self.stage.as_ref().is_some_and(has_it) {
                    self.feed(lane, &mut step);
                }
            }
            _ => {}
        }
        step
    }
}

impl Distribution {
    fn is_elsewhere(&self, lane: LaneId) -> bool {
        self.supply.elsewhere.iter().any(|(away, _)| *away == lane)
    }

    fn needed_by(&self, lane: LaneId) -> Vec<Input> {
        let bundle = if self.is_elsewhere(lane) { self.supply.bundle.as_slice() } else { &[] };
        self.supply.inputs.iter().chain(bundle).cloned().chain(self.spool_step.map(Input::Spool)).collect()
    }

    /// The digests of all these inputs, once every lane has said what it has.
    fn all_agreed(&self, inputs: &[Input]) -> Option<Result<Vec<Digest>, String>> {
        let mut all = Ok(Vec::new());
        for input in inputs {
            match self.agreed(input) {
                Agreement::Pending => return None,
                Agreement::Needless => {}
                Agreement::Reached(digest) => all = all.map(|digests| [digests, vec![digest]].concat()),
                Agreement::Refused(why) => all = all.and(Err(why)),
            }
        }
        Some(all)
    }

    fn agreed(&self, input: &Input) -> Agreement {
        let for_all = !self.supply.bundle.contains(input) || self.supply.inputs.contains(input);
        match self.offers.get(input) {
            Some(Some(Err(_))) if can_do_without(input) => return Agreement::Needless,
            Some(Some(Err(why))) => return Agreement::Refused(why.clone()),
            Some(Some(Ok(_)) | None) | None => {}
        }
        let mut agreement = Agreement::Needless;
        for lane in self.supply.lanes.iter().filter(|lane| for_all || self.is_elsewhere(**lane)) {
            let Some(staged) = self.said(*lane, input) else { return Agreement::Pending };
            agreement = match (agreement, staged) {
                (Agreement::Refused(why), _) => Agreement::Refused(why),
                (_, Err(why)) => Agreement::Refused(why.clone()),
                (Agreement::Reached(first), Ok(digest)) if first != *digest => {
                    Agreement::Refused(format!("lane {lane} has other bytes of {input} than the lanes before it"))
                }
                (_, Ok(digest)) => Agreement::Reached(*digest),
            };
        }
        agreement
    }

    /// What lanes elsewhere have to do without.
    fn left_out(&self) -> Vec<String> {
        let failed = |(input, outcome): (&Input, &Option<Result<Offer, String>>)| match (input, outcome) {
            (Input::Directory(_), Some(Err(why))) => Some(why.clone()),
            _ => None,
        };
        self.offers.iter().filter_map(failed).collect()
    }

    /// What a lane said to have of an input where it lives now.
    fn said(&self, lane: LaneId, input: &Input) -> Option<&Result<Digest, String>> {
        let is_lane = |name: &ArmorName| matches!(name, ArmorName::Execution(_, of) if *of == lane);
        let place = self.supply.places.iter().find(|(name, _)| is_lane(name)).map(|(_, host)| host);
        let (host, outcome) = self.staged.get(&(lane, input.clone()))?;
        (place == Some(host)).then_some(outcome)
    }

    /// What was said and offered in this stage stays true, and the step of the spool stays in flight.
    fn renewed(supply: &Supply, earlier: Option<Distribution>) -> Distribution {
        match earlier.filter(|known| known.supply.stage == supply.stage) {
            Some(known) => Distribution { supply: supply.clone(), ..known },
            None => Distribution {
                supply: supply.clone(),
                staged: BTreeMap::new(),
                offers: BTreeMap::new(),
                spool_step: None,
            },
        }
    }
}

/// What all lanes that need an input have of it.
#[derive(Debug)]
enum Agreement {
    /// One has not said it.
    Pending,
    /// Nobody needs it, or those who would can do without.
    Needless,
    Reached(Digest),
    Refused(String),
}

/// A program that the origin does not have need not travel: each host says so itself. Neither need a run directory of
/// which nothing was declared.
fn can_do_without(input: &Input) -> bool {
    match input {
        Input::Program(_) | Input::Directory(_) => true,
        Input::Spool(_) | Input::Path(_) | Input::Build(_) => false,
    }
}

impl Armor for Fanout {
    type Message = FanoutMessage;
    type Record = FanoutRecord;

    fn apply(&mut self, record: &FanoutRecord) {
        match record {
            FanoutRecord::Distributing(supply) => {
                let mut supply = (**supply).clone();
                let lanes: BTreeSet<LaneId> = supply.lanes.into_iter().collect();
                supply.lanes = lanes.into_iter().collect();
                self.stage = Some(Distribution::renewed(&supply, self.stage.take()));
            }
            FanoutRecord::Fed(upto, digest, end) => self.fed = Fed { upto: *upto, digest: *digest, end: *end },
        }
    }

    fn handle(&mut self, _now: Moment, event: Event<FanoutMessage>) -> Step<FanoutRecord> {
        match event {
            Event::Message { from, message } if from == self.surrogate() => self.on_surrogate(message),
            Event::Message {
                from: ArmorName::Execution(job, sender),
                message: FanoutMessage::Staged { stage, lane, input, outcome, host },
            } if job == self.job
                && sender == lane
                && self.stage.as_ref().is_some_and(|known| known.supply.stage == stage) =>
            {
                self.staged(lane, host, input, outcome)
            }
            Event::Message { from: ArmorName::User(_), message: FanoutMessage::Spooled { length, end } } => {
                let mut step = Step::none();
                self.spooled = (self.spooled.0.max(length), self.spooled.1 || end);
                self.advance_spool(&mut step);
                step
            }
            Event::Link(LinkEvent::Up { peer, .. }) => self.link_up(peer),
            Event::File(event) => self.file(event),
            Event::Message { .. }
            | Event::Link(_)
            | Event::Timer(_)
            | Event::Slot(_)
            | Event::Process(_)
            | Event::Datagram { .. } => Step::none(),
        }
    }

    fn resume(&mut self, _now: Moment) -> Step<FanoutRecord> {
        let mut step = Step::none();
        self.ask_all(&mut step);
        self.advance_spool(&mut step);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, pending: 0 }
    }
}

#[cfg(test)]
mod tests;
