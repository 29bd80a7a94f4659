//! Init: has a joining host looked over, reports what was found to the FTM, and is retired. On a host that is to be
//! trusted again it does test tasks before.
//!
//! The machine is asked for everything but its clock. That is compared with the FTM's by a few
//! questions: an answer that took `t` to come was given at most `t` after the question, so that the
//! clocks are apart by what they show, give or take half of `t`. The quickest answer counts.
//!
//! Nothing of this is saved: an Init that died asks again.

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step, Timer};
use crate::message::{FtmMessage, InitMessage};
use crate::names::{ArmorName, HostId, Millis};
use crate::profile::{Clock, Profile};
use crate::test_task;
use crate::world::{ProcessCommand, ProcessEvent};

/// Answers that are wanted before the clocks are compared.
const ANSWERS: u32 = 5;
/// A question that is not answered for so long is asked anew: until the FTM has a link to here, its
/// answers vanish.
const ASK_AGAIN: Millis = Millis(50);
/// Both clocks are read in whole milliseconds.
const RESOLUTION_MS: u64 = 1;

/// The Init of one host.
#[derive(Debug)]
pub struct Init {
    host: HostId,
    found: Option<Box<Profile>>,
    /// Number of the last question, and when it was asked.
    question: (u64, Moment),
    answers: u32,
    clock: Option<Clock>,
}

impl Init {
    #[must_use]
    pub fn new(host: HostId) -> Self {
        Init { host, found: None, question: (0, Moment::default()), answers: 0, clock: None }
    }

    fn ask(&mut self, now: Moment, step: &mut Step<()>) {
        let number = self.question.0 + 1;
        self.question = (number, now);
        step.send(ArmorName::Ftm, FtmMessage::AskTime { host: self.host, number });
        step.timer(Timer::Remind, ASK_AGAIN);
    }

    fn told_time(&mut self, now: Moment, number: u64, unix_ms: u64, step: &mut Step<()>) {
        let (asked, when) = self.question;
        if number != asked || self.answers >= ANSWERS {
            return;
        }
        self.answers += 1;
        let took = now.boot.since(when.boot);
        let clock = Clock {
            offset_ms: now.unix_ms.saturating_sub(took.0 / 2).cast_signed() - unix_ms.cast_signed(),
            bound_ms: took.0.div_ceil(2) + RESOLUTION_MS,
        };
        if self.clock.is_none_or(|known| clock.bound_ms < known.bound_ms) {
            self.clock = Some(clock);
        }
        if self.answers < ANSWERS {
            return self.ask(now, step);
        }
        self.report(step);
    }

    /// Says what was found, once all of it was.
    fn report(&mut self, step: &mut Step<()>) {
        if let Some(found) = self.found.as_ref().filter(|_| self.answers >= ANSWERS) {
            let profile = Box::new(Profile { clock: self.clock, ..(**found).clone() });
            step.send(ArmorName::Ftm, FtmMessage::Profiled { host: self.host, profile });
        }
    }
}

impl Armor for Init {
    type Message = InitMessage;
    type Record = ();

    fn apply(&mut self, (): &()) {}

    fn handle(&mut self, now: Moment, event: Event<InitMessage>) -> Step<()> {
        let mut step = Step::none();
        match event {
            Event::Message { from: ArmorName::Ftm, message: InitMessage::Time { number, unix_ms } } => {
                self.told_time(now, number, unix_ms, &mut step);
            }
            Event::Message { from: from @ ArmorName::Ftm, message: InitMessage::Test { number } } => {
                step.send(from, FtmMessage::Tested { host: self.host, number, answer: test_task::run(number) });
            }
            Event::Timer(Timer::Remind) if self.answers < ANSWERS => self.ask(now, &mut step),
            Event::Link(LinkEvent::Up { peer: ArmorName::Ftm, .. }) => self.report(&mut step),
            Event::Process(ProcessEvent::Profiled(profile)) => {
                self.found = Some(profile);
                self.report(&mut step);
            }
            Event::Message { .. }
            | Event::Link(_)
            | Event::Process(_)
            | Event::Timer(_)
            | Event::Slot(_)
            | Event::File(_)
            | Event::Datagram { .. } => {}
        }
        step
    }

    fn resume(&mut self, now: Moment) -> Step<()> {
        let mut step = Step::none();
        step.then(Effect::Process(ProcessCommand::Profile));
        // Makes the link.
        self.ask(now, &mut step);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.answers.into(), pending: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::names::Incarnation;

    const HOST: HostId = HostId(2);

    fn at(boot: u64, unix_ms: u64) -> Moment {
        Moment { boot: Millis(boot), unix_ms }
    }

    fn said(step: Step<()>) -> Vec<FtmMessage> {
        let said = step.then.into_iter().filter_map(|effect| match effect {
            Effect::Send { to: ArmorName::Ftm, message: Message::Ftm(message) } => Some(message),
            _ => None,
        });
        said.collect()
    }

    fn time(number: u64, unix_ms: u64) -> Event<InitMessage> {
        Event::Message { from: ArmorName::Ftm, message: InitMessage::Time { number, unix_ms } }
    }

    #[test]
    fn the_quickest_answer_tells_the_clocks_apart() {
        let mut init = Init::new(HOST);
        let _vanishes = init.resume(at(0, 5_000));
        let asked = said(init.handle(at(50, 5_050), Event::Timer(Timer::Remind)));
        assert_eq!(asked, [FtmMessage::AskTime { host: HOST, number: 2 }]);
        let _slow = init.handle(at(90, 5_090), time(2, 1_046));
        for number in 3..=5 {
            let _quick = init.handle(at(94, 5_094), time(number, 1_070));
        }
        let found = Event::Process(ProcessEvent::Profiled(Box::default()));
        assert_eq!(said(init.handle(at(94, 5_094), found)), [], "the time was not told often enough");
        let last = said(init.handle(at(94, 5_094), time(6, 1_070)));
        let clock = Some(Clock { offset_ms: 4_024, bound_ms: 1 });
        let profile = Box::new(Profile { clock, ..Profile::default() });
        let report = FtmMessage::Profiled { host: HOST, profile };
        assert_eq!(last, std::slice::from_ref(&report));
        let up = LinkEvent::Up { peer: ArmorName::Ftm, incarnation: Incarnation(1) };
        assert_eq!(said(init.handle(at(99, 5_099), Event::Link(up))), [report], "said again until it is retired");
    }

    #[test]
    fn an_answer_to_an_earlier_question_says_nothing() {
        let mut init = Init::new(HOST);
        let _begun = init.resume(at(0, 5_000));
        let _asked_again = init.handle(at(50, 5_050), Event::Timer(Timer::Remind));
        assert_eq!(said(init.handle(at(51, 5_051), time(1, 5_000))), []);
        assert_eq!(init.clock, None);
    }
}
