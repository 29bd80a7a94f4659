//! What a lane must have before its programs start: it says the digest of what is here, and fetches what is not.

use crate::armor::{Effect, Step};
use crate::armors::execution::{Execution, ExecutionRecord};
use crate::message::{ExecutionMessage, FanoutMessage};
use crate::names::{ArmorName, Digest, StageId};
use crate::world::{FileCommand, Input, SlotCommand};

impl Execution {
    /// Whether the lane sees copies of the job's files. What is fetched of them must be there before a slot shows it.
    pub(super) fn is_mirrored(&self) -> bool {
        self.ledger.orders.as_ref().is_some_and(|orders| orders.job.is_mirrored_on(self.host))
    }

    pub(super) fn on_fanout(&mut self, message: ExecutionMessage) -> Step<ExecutionRecord> {
        let mut step = Step::none();
        match message {
            ExecutionMessage::Stage { stage, input, offer, whereabouts } => match offer {
                // It is offered again until the Fanout has heard that it is here.
                Some(offer) if self.fetching.insert((stage, input.clone()), offer) == Some(offer) => {}
                Some(offer) => {
                    step.then(Effect::File(FileCommand::Fetch { job: self.job, stage, input, offer, whereabouts }));
                }
                None if whereabouts.origin.host == self.host && !self.is_mirrored() => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::armor::{Armor, Event, Moment};
    use crate::job::Origin;
    use crate::names::{HostId, JobId, LaneId, Millis};
    use crate::shell::Identity;
    use crate::world::{FileEvent, Offer, Whereabouts};

    #[test]
    fn what_is_on_its_way_is_not_asked_for_again() {
        let (job, lane, stage) = (JobId(1), LaneId(0), StageId(0));
        let identity = Identity::of_test(ArmorName::Execution(job, lane), HostId(2));
        let mut execution = Execution::new(&identity, job, lane);
        let input = Input::Path(b"/in".to_vec().into());
        let nothing = || Vec::new().into();
        let whereabouts = Whereabouts { origin: Origin::default(), directory: nothing(), search: nothing() };
        let mut fetches = |event| {
            let now = Moment { boot: Millis(1), unix_ms: 1 };
            let effects = execution.handle(now, event).then;
            effects.iter().filter(|effect| matches!(effect, Effect::File(FileCommand::Fetch { .. }))).count()
        };
        let offered = |digest: u8| {
            let offer = Some(Offer { digest: Digest([digest; 32]), listing: None });
            let (input, whereabouts) = (input.clone(), whereabouts.clone());
            let message = ExecutionMessage::Stage { stage, input, offer, whereabouts };
            Event::Message { from: ArmorName::Fanout(job), message }
        };
        let fetched = Event::File(FileEvent::Fetched { stage, input: input.clone(), outcome: Ok(Digest([1; 32])) });
        let asked = [offered(1), offered(1), offered(2), fetched, offered(2)].map(&mut fetches);
        assert_eq!(asked, [1, 0, 1, 0, 1]);
    }
}
