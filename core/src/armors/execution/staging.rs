//! What a lane must have before its programs start: it says the digest of what is here, and fetches what is not.

use crate::armor::{Effect, Step};
use crate::armors::execution::{Execution, ExecutionRecord};
use crate::message::{ExecutionMessage, FanoutMessage};
use crate::names::{ArmorName, Digest, StageId};
use crate::world::{FileCommand, Input, SlotCommand};

impl Execution {
    /// Whether the job's files are on another host. What is fetched of them must be there before a slot shows it.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.ledger.orders.as_ref().is_some_and(|orders| orders.job.origin.host != self.host)
    }

    pub(super) fn on_fanout(&mut self, message: ExecutionMessage) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match message {
            ExecutionMessage::Stage { stage, input, offer, whereabouts } => match offer {
                Some(offer) => {
                    step.then(Effect::File(FileCommand::Fetch { job: self.job, stage, input, offer, whereabouts }));
                }
                None if whereabouts.origin.host == self.host => {
                    step.then(Effect::File(FileCommand::Digest { job: self.job, stage, input }));
                }
                // It is not known yet that this lane is elsewhere: an offer will follow.
                None => {}
            },
            ExecutionMessage::Feed { upto, end } => {
                if (upto, end) != self.ledger.fed {
                    step.record(self, ExecutionRecord::Fed(upto, end));
                    let (upto, end) = self.ledger.fed;
                    let feed = |(slot, _)| Effect::Slot(SlotCommand::Feed { slot, upto, end });
                    step.then.extend(self.slots.runs().map(feed));
                }
            }
            ExecutionMessage::Configure(_)
            | ExecutionMessage::Run { .. }
            | ExecutionMessage::Stop { .. }
            | ExecutionMessage::StopTask { .. }
            | ExecutionMessage::Allow { .. }
            | ExecutionMessage::Commit { .. }
            | ExecutionMessage::BallotsKept { .. }
            | ExecutionMessage::Voted { .. }
            | ExecutionMessage::PrefixAt { .. }
            | ExecutionMessage::Prepare { .. }
            | ExecutionMessage::StartOnce { .. }
            | ExecutionMessage::LeaseEnded => {}
        }
        step
    }

    /// Tells the Fanout what this lane has of an input.
    pub(super) fn has_staged(
        &mut self,
        stage: StageId,
        input: Input,
        outcome: Result<Digest, String>,
        step: &mut Step<ExecutionRecord>,
    ) {
        // Digests may be done in another order than they were asked for: the longest is the latest.
        let superseded = |kept: &Input| matches!((kept, &input), (Input::Spool(kept), Input::Spool(new)) if kept < new);
        self.staged.retain(|(of, kept), _| *of == stage && !superseded(kept));
        self.staged.insert((stage, input.clone()), outcome.clone());
        let message = FanoutMessage::Staged { stage, lane: self.lane, input, outcome, host: self.host };
        step.send(ArmorName::Fanout(self.job), message);
    }
}
