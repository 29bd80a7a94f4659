//! Killing a manager or a voter repeats no finished execution (DESIGN D8): once a lane has cast its
//! ballot on a task, it runs the task again only if it is asked for a repetition.
//!
//! A loss of power may repeat what was not synced, and the death of the Execution itself what it had
//! not saved; a ballot that was cast was saved. A lane whose host is lost remembers nothing on the next
//! one, and runs again only what the Voter says it has no ballot of.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::message::{Ballot, ExecutionMessage, Message, Purpose, VoterMessage};
use chameleon_core::names::{ArmorName, HostId, JobId, LaneId, StageId, TaskId};
use chameleon_core::shell::Input;
use chameleon_core::world::SlotCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

type Lot = (JobId, LaneId, StageId, TaskId);
/// Tasks, first to before last.
type Ranges = Vec<(u64, u64)>;

#[derive(Default)]
pub struct NoRepetition {
    cast: BTreeSet<(HostId, Lot)>,
    /// What the Voter had of earlier lives of a lane, by the host that was told so.
    voted: BTreeMap<(HostId, JobId, LaneId, StageId), Ranges>,
    /// Tasks of which a repetition was asked for, which may itself be started again.
    repeated: BTreeMap<(JobId, LaneId, StageId), Ranges>,
}

impl NoRepetition {
    fn may_repeat(&self, (job, lane, stage, task): Lot) -> bool {
        has(self.repeated.get(&(job, lane, stage)), task)
    }

    fn is_finished(&self, host: HostId, lot: Lot) -> bool {
        let (job, lane, stage, task) = lot;
        self.cast.contains(&(host, lot)) || has(self.voted.get(&(host, job, lane, stage)), task)
    }
}

fn has(ranges: Option<&Ranges>, task: TaskId) -> bool {
    ranges.into_iter().flatten().any(|(from, to)| (*from..*to).contains(&task.0))
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
        if self.is_finished(who.host, lot) && !self.may_repeat(lot) {
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
                let lot = |ballot: &Ballot| (who.host, (job, lane, ballot.stage, ballot.task));
                self.cast.extend(ballots.iter().map(lot));
            }
            Fact::Handles { who, input: Input::Message { message: Message::Execution(message), .. }, .. } => {
                let ArmorName::Execution(job, lane) = who.name else { return };
                match message {
                    ExecutionMessage::Run { stage, ranges, purpose: Purpose::Repeat(_), .. } => {
                        self.repeated.entry((job, lane, *stage)).or_default().extend(ranges);
                    }
                    ExecutionMessage::Voted { stage: Some(stage), ranges, .. } => {
                        self.voted.entry((who.host, job, lane, *stage)).or_default().extend(ranges);
                    }
                    _ => {}
                }
            }
            Fact::PowerLost => {
                self.cast.clear();
                self.voted.clear();
            }
            _ => {}
        }
    }
}
