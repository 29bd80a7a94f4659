//! Killing a manager or a voter repeats no finished execution (DESIGN D8): once a lane has cast its
//! ballot on a task, it runs the task again only if it is asked for a repetition.
//!
//! A loss of power may repeat what was not synced, and the death of the Execution itself what it had
//! not saved; a ballot that was cast was saved.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::message::{ExecutionMessage, Message, Purpose, VoterMessage};
use chameleon_core::names::{ArmorName, JobId, LaneId, StageId, TaskId};
use chameleon_core::shell::Input;
use chameleon_core::world::SlotCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

type Lot = (JobId, LaneId, StageId, TaskId);

#[derive(Default)]
pub struct NoRepetition {
    cast: BTreeSet<Lot>,
    /// Tasks of which a repetition was asked for, which may itself be started again.
    repeated: BTreeMap<(JobId, LaneId, StageId), Vec<(u64, u64)>>,
}

impl NoRepetition {
    fn may_repeat(&self, (job, lane, stage, task): Lot) -> bool {
        let ranges = self.repeated.get(&(job, lane, stage)).map(Vec::as_slice).unwrap_or_default();
        ranges.iter().any(|(from, to)| (*from..*to).contains(&task.0))
    }
}

impl Invariant for NoRepetition {
    fn name(&self) -> &'static str {
        "no finished execution is repeated unless that is asked for"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { who, effect: Effect::Slot(SlotCommand::Start { execution, .. }), .. } = fact else {
            return Ok(());
        };
        let ArmorName::Execution(job, lane) = who.name else { return Ok(()) };
        let lot = (job, lane, execution.stage, execution.task);
        if self.cast.contains(&lot) && !self.may_repeat(lot) {
            return Err(format!("{} runs {execution} again after it had cast its ballot", who.name));
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Asks {
                who,
                effect: Effect::Send { message: Message::Voter(VoterMessage::Ballots { ballots, .. }), .. },
                ..
            } => {
                let ArmorName::Execution(job, lane) = who.name else { return };
                self.cast.extend(ballots.iter().map(|ballot| (job, lane, ballot.stage, ballot.task)));
            }
            Fact::Handles { who, input: Input::Message { message: Message::Execution(message), .. }, .. } => {
                let (ArmorName::Execution(job, lane), ExecutionMessage::Run { stage, ranges, purpose, .. }) =
                    (who.name, message)
                else {
                    return;
                };
                if matches!(purpose, Purpose::Repeat(_)) {
                    self.repeated.entry((job, lane, *stage)).or_default().extend(ranges);
                }
            }
            Fact::PowerLost => self.cast.clear(),
            _ => {}
        }
    }
}
