//! One vote a lane (DESIGN D10): the first complete ballot of a lane takes its vote; a later one never
//! adds one.
//!
//! Seen from outside: a verdict names each winning lane once, and each of them has cast a ballot for
//! exactly the value that won.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::message::{Message, SurrogateMessage, Value, Verdict, VoterMessage};
use chameleon_core::names::{ArmorName, JobId, LaneId, StageId, TaskId};
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OneVoteALane {
    /// All that reached a Voter.
    cast: BTreeMap<(JobId, StageId, TaskId, LaneId), BTreeSet<Value>>,
}

/// The verdicts that a Voter reports.
pub(super) fn verdicts<'a>(fact: &Fact<'a>) -> Option<(JobId, &'a [Verdict])> {
    match fact {
        Fact::Asks {
            who,
            effect: Effect::Send { message: Message::Surrogate(SurrogateMessage::Verdicts { verdicts, .. }), .. },
            ..
        } => Some((who.name.job()?, verdicts)),
        _ => None,
    }
}

impl Invariant for OneVoteALane {
    fn name(&self) -> &'static str {
        "one vote a lane"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((job, verdicts)) = verdicts(fact) else { return Ok(()) };
        for verdict in verdicts {
            let lanes: BTreeSet<LaneId> = verdict.winners.iter().copied().collect();
            if lanes.len() != verdict.winners.len() {
                return Err(format!("{job} {}: a lane won twice: {:?}", verdict.task, verdict.winners));
            }
            for lane in lanes {
                let cast = self.cast.get(&(job, verdict.stage, verdict.task, lane));
                if !cast.is_some_and(|values| values.contains(&verdict.value)) {
                    return Err(format!("{job} {}: lane {lane} won with a ballot it never cast", verdict.task));
                }
            }
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        let Fact::Handles { input: Input::Message { from, message, .. }, .. } = fact else { return };
        let (ArmorName::Execution(job, lane), Message::Voter(VoterMessage::Ballots { ballots, .. })) = (from, message)
        else {
            return;
        };
        for ballot in ballots {
            self.cast.entry((*job, ballot.stage, ballot.task, *lane)).or_default().insert(ballot.value());
        }
    }
}
