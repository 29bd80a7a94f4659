//! All lanes get byte-identical input or none does (DESIGN §5): the Fanout lets lanes read only what
//! every lane of the stage has said to have, alike.

use std::collections::BTreeMap;

use chameleon_core::armor::Effect;
use chameleon_core::message::{ExecutionMessage, FanoutMessage, Message, SurrogateMessage};
use chameleon_core::names::{ArmorName, Digest, JobId, LaneId, StageId};
use chameleon_core::shell::Input;
use chameleon_core::world;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct IdenticalInput {
    /// What is to be distributed: the stage that is under way, its lanes and inputs.
    distributed: BTreeMap<JobId, (StageId, Vec<LaneId>, Vec<world::Input>)>,
    /// The stage that reads standard input, and its lanes: with a slow disk they may be let read on when the next stage
    /// has been ordered already.
    spooled: BTreeMap<JobId, (StageId, Vec<LaneId>)>,
    /// What the lanes said to have.
    staged: BTreeMap<(JobId, StageId, world::Input, LaneId), Result<Digest, String>>,
}

impl IdenticalInput {
    fn alike(&self, job: JobId, stage: StageId, lanes: &[LaneId], input: &world::Input) -> Result<(), String> {
        let of = |lane: &LaneId| self.staged.get(&(job, stage, input.clone(), *lane));
        let first = lanes.first().and_then(of);
        let same = lanes.iter().all(|lane| of(lane).is_some_and(Result::is_ok) && of(lane) == first);
        if same { Ok(()) } else { Err(format!("{job} {stage}: {lanes:?} do not all have {input} alike")) }
    }
}

impl Invariant for IdenticalInput {
    fn name(&self) -> &'static str {
        "all lanes get byte-identical input or none does"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { who, effect: Effect::Send { message, .. }, .. } = fact else { return Ok(()) };
        let ArmorName::Fanout(job) = who.name else { return Ok(()) };
        match message {
            Message::Surrogate(SurrogateMessage::InputsReady { stage: ready, lanes, .. }) => {
                let distributed = self.distributed.get(&job).filter(|(stage, ..)| stage == ready);
                let inputs = distributed.into_iter().flat_map(|(.., inputs)| inputs);
                inputs.into_iter().try_for_each(|input| self.alike(job, *ready, lanes, input))
            }
            Message::Execution(ExecutionMessage::Feed { upto, .. }) if *upto > 0 => {
                let Some((stage, lanes)) = self.spooled.get(&job) else { return Ok(()) };
                self.alike(job, *stage, lanes, &world::Input::Spool(*upto))
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        // What was not on disk yet is begun anew: SM and Fanout may be back at an earlier stage.
        if matches!(fact, Fact::PowerLost) {
            self.distributed.clear();
            self.spooled.clear();
        }
        let Fact::Handles { who, input: Input::Message { message: Message::Fanout(message), .. }, .. } = fact else {
            return;
        };
        let ArmorName::Fanout(job) = who.name else { return };
        match message {
            FanoutMessage::Distribute(supply) => {
                if self.distributed.get(&job).is_none_or(|(known, ..)| *known <= supply.stage) {
                    let kept = (supply.stage, supply.lanes.clone(), supply.inputs.clone());
                    self.distributed.insert(job, kept);
                    if supply.spooled {
                        self.spooled.insert(job, (supply.stage, supply.lanes.clone()));
                    }
                }
            }
            FanoutMessage::Staged { stage, lane, input, outcome, .. } => {
                self.staged.insert((job, *stage, input.clone(), *lane), outcome.clone());
            }
            FanoutMessage::Spooled { .. } | FanoutMessage::Commit { .. } => {}
        }
    }
}
