//! One job with its real SM, Voter, Fanout and Executions: who votes what, what is run, what is decided.
//!
//! The FTM is not there: it gives the SM its job and whatever places it asks for, and keeps the end. Slots
//! run what they are told to, and come to the right result or, if a fault is left, to a wrong one.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::{Effect, Timer};
use chameleon_core::armors::execution::ExecutionRecord;
use chameleon_core::message::{FtmMessage, Message, Outcome, SurrogateMessage, Value, Verdict, VoterMessage};
use chameleon_core::names::{ArmorName, Attempt, Digest, HostId, Incarnation, JobId, LaneId, SlotId, TaskId};
use chameleon_core::shell::{Identity, Input, Saved};
use chameleon_core::world::{End, Ended, FileCommand, FileEvent, Region, SlotCommand, SlotEvent};
use stateright::Property;

use crate::jobs;
use crate::setting::{Fact, Faults, Outside, Setting};
use crate::world::{State, World};

const JOB: JobId = JobId(1);
const HOST: HostId = HostId(1);
const SURROGATE: ArmorName = ArmorName::Surrogate(JOB);
const VOTER: ArmorName = ArmorName::Voter(JOB);
/// Attempts from this one on are repetitions, which are asked for.
const REPETITIONS: Attempt = Attempt(1_000_000);

const NO_REPETITION: &str = "no finished execution is repeated";
const NO_CHANGE: &str = "a verdict never changes";
const QUORUM: &str = "no verdict without a majority of lanes, each with one vote that it cast";
const NO_WRONG: &str = "no wrong result is accepted";
const IT_ENDS: &str = "when all is said and done, the job has ended";

/// The ARMORs of one job.
#[derive(Debug, Clone)]
pub struct Lanes {
    strategy: &'static str,
    lanes: u16,
    tasks: u64,
    faults: Faults,
}

/// What is known of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The life of the SM that was given the job, and the places that it waits for.
    begun: Incarnation,
    wanted: BTreeSet<ArmorName>,
    /// The SM has told the end, and has heard that it is kept.
    ended: bool,
    end_kept: bool,
    result: bool,
    /// Ballots that are in a lane's journal.
    cast: BTreeSet<(LaneId, TaskId)>,
    /// What each lane has said to the Voter, and whether it was right.
    voted: BTreeSet<(LaneId, TaskId, bool)>,
    /// What was decided, and whether it was right.
    decided: BTreeMap<TaskId, bool>,
}

type LanesWorld = World<Lanes>;
type Sentence = Property<LanesWorld>;

impl Lanes {
    /// Two lanes, two tasks: any three processes die.
    #[must_use]
    pub fn takeover() -> Self {
        let faults = Faults { crashes: 3, losses: 1, ..Faults::default() };
        Lanes { strategy: "dual", lanes: 2, tasks: 2, faults }
    }

    /// Three lanes, one task: one result is wrong, a process dies, a link breaks, messages come twice and out of order.
    #[must_use]
    pub fn voting() -> Self {
        let faults = Faults { crashes: 1, losses: 1, duplicates: 1, overtakings: 1, wrong: 1 };
        Lanes { strategy: "tmr", lanes: 3, tasks: 1, faults }
    }

    fn names(&self) -> Vec<ArmorName> {
        let lanes = (0..self.lanes).map(|lane| ArmorName::Execution(JOB, LaneId(lane)));
        [SURROGATE, VOTER, ArmorName::Fanout(JOB)].into_iter().chain(lanes).collect()
    }

    fn says(facts: &mut Facts, from: ArmorName, message: &Message, lanes: u16) -> Result<(), &'static str> {
        match (from, message) {
            (SURROGATE, Message::Ftm(FtmMessage::WantPlaces { names, .. })) => facts.wanted.extend(names),
            (SURROGATE, Message::Ftm(FtmMessage::Ended { outcome, .. })) => {
                facts.ended = true;
                facts.result = matches!(outcome, Outcome::Result { .. });
            }
            (VOTER, Message::Surrogate(SurrogateMessage::Verdicts { verdicts, .. })) => {
                return verdicts.iter().try_for_each(|verdict| Lanes::decides(facts, verdict, lanes));
            }
            (ArmorName::Execution(_, lane), Message::Voter(VoterMessage::Ballots { ballots, .. })) => {
                facts.voted.extend(ballots.iter().map(|ballot| (lane, ballot.task, is_right(&ballot.value()))));
            }
            _ => {}
        }
        Ok(())
    }

    fn decides(facts: &mut Facts, verdict: &Verdict, lanes: u16) -> Result<(), &'static str> {
        let right = is_right(&verdict.value);
        let winners: BTreeSet<LaneId> = verdict.winners.iter().copied().collect();
        let voted = |lane: &LaneId| facts.voted.contains(&(*lane, verdict.task, right));
        if winners.len() * 2 <= usize::from(lanes) || !winners.iter().all(voted) {
            return Err(QUORUM);
        }
        match *facts.decided.entry(verdict.task).or_insert(right) {
            first if first != right => Err(NO_CHANGE),
            _ if !right => Err(NO_WRONG),
            _ => Ok(()),
        }
    }

    fn kept(facts: &mut Facts, lane: LaneId, record: &Saved) {
        if let Ok(ExecutionRecord::Cast(ballot)) = minicbor::decode(&record.bytes) {
            facts.cast.insert((lane, ballot.task));
        }
    }
}

impl Setting for Lanes {
    type Facts = Facts;

    fn cast(&self) -> Vec<Identity> {
        self.names().into_iter().map(|name| jobs::identity(name, HOST)).collect()
    }

    fn faults(&self) -> Faults {
        self.faults
    }

    fn rings(&self, timer: Timer) -> bool {
        matches!(timer, Timer::Flush | Timer::Patience(..) | Timer::Restart(..))
    }

    fn answers(&self, _facts: &mut Facts, _who: ArmorName, effect: &Effect) -> Vec<Vec<Input>> {
        match effect {
            &Effect::Slot(SlotCommand::Open { slot, opening, .. }) => {
                vec![vec![Input::Slot(SlotEvent::Ready { slot, opening })]]
            }
            &Effect::Slot(SlotCommand::Start { slot, execution, .. }) => {
                let end = |byte| Input::Slot(SlotEvent::Ended { slot, execution, ended: ended(slot, byte) });
                vec![vec![end(RIGHT), end(WRONG)]]
            }
            Effect::File(FileCommand::KeepIndex { .. }) => {
                vec![vec![Input::File(FileEvent::IndexKept { outcome: Ok(0) })]]
            }
            _ => Vec::new(),
        }
    }

    fn outside(&self, world: &LanesWorld, state: &State<Facts>) -> Vec<Outside<Facts>> {
        let facts = &state.facts;
        let Some(life) = world.living(state, SURROGATE) else { return Vec::new() };
        let say = |facts: Facts, message: SurrogateMessage| {
            let input = Input::Message { from: ArmorName::Ftm, incarnation: Incarnation(1), message: message.into() };
            Outside { facts, to: Some((SURROGATE, input)), costs: Faults::default() }
        };
        let mut said = Vec::new();
        if facts.begun < life && !facts.end_kept {
            let job = Box::new(jobs::job(self.strategy, self.tasks));
            said.push(say(Facts { begun: life, ..facts.clone() }, SurrogateMessage::Begin(job)));
        }
        if !facts.wanted.is_empty() {
            let granted = facts.wanted.iter().map(|&name| (name, HOST)).collect();
            let granted = SurrogateMessage::Granted(granted);
            said.push(say(Facts { wanted: BTreeSet::new(), ..facts.clone() }, granted));
        }
        if facts.ended && !facts.end_kept {
            said.push(say(Facts { end_kept: true, ..facts.clone() }, SurrogateMessage::EndKept));
        }
        said
    }

    fn look(&self, _world: &LanesWorld, state: &mut State<Facts>, fact: &Fact<'_>) -> Result<(), &'static str> {
        let facts = &mut state.facts;
        match fact {
            Fact::Says { from, message, .. } => Lanes::says(facts, *from, message, self.lanes),
            Fact::Kept { who: ArmorName::Execution(_, lane), records } => {
                records.iter().for_each(|record| Lanes::kept(facts, *lane, record));
                Ok(())
            }
            Fact::Asks {
                who: ArmorName::Execution(_, lane),
                effect: Effect::Slot(SlotCommand::Start { execution, .. }),
            } if execution.attempt < REPETITIONS && facts.cast.contains(&(*lane, execution.task)) => Err(NO_REPETITION),
            Fact::Died { who: SURROGATE } => {
                facts.wanted.clear();
                Ok(())
            }
            Fact::Took { .. } | Fact::Asks { .. } | Fact::Kept { .. } | Fact::Died { .. } => Ok(()),
        }
    }

    fn properties() -> Vec<Property<LanesWorld>> {
        vec![
            Sentence::always(NO_REPETITION, |_, state| state.broken != Some(NO_REPETITION)),
            Sentence::always(NO_CHANGE, |_, state| state.broken != Some(NO_CHANGE)),
            Sentence::always(QUORUM, |_, state| state.broken != Some(QUORUM)),
            Sentence::always(NO_WRONG, |_, state| state.broken != Some(NO_WRONG)),
            Sentence::always(IT_ENDS, |world, state| state.facts.ended || !world.is_calm(state)),
            Sentence::sometimes("the job ends with a result", |_, state| state.facts.end_kept && state.facts.result),
        ]
    }
}

const RIGHT: u8 = 1;
const WRONG: u8 = 2;

fn ended(slot: SlotId, byte: u8) -> Ended {
    let stdout = Region { slot, offset: 0, length: 1, digest: Digest([byte; 32]) };
    Ended { end: End::Exit(0), stdout, stderr: Region::default(), changes: None, cpu_us: 1, wall_us: 1 }
}

fn is_right(value: &Value) -> bool {
    value.stdout == Digest([RIGHT; 32])
}
