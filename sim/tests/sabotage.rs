//! The invariants notice what they are there for: ARMORs with one fault built in are let loose, and
//! each must be caught by the invariant that forbids what it does.

use chameleon_core::armor::{Effect, Moment};
use chameleon_core::armors::execution::ExecutionRecord;
use chameleon_core::armors::raise;
use chameleon_core::message::{Message, SurrogateMessage, UserMessage};
use chameleon_core::names::Kind;
use chameleon_core::shell::{BadRecord, Identity, Input, Output, Running};
use chameleon_core::world::{End, ProcessCommand};
use chameleon_sim::liveness::{Power, campaign};
use chameleon_sim::trace::Detail;
use chameleon_sim::world::Raise;

/// What is wrong with an ARMOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It speaks before it has saved.
    Hasty,
    /// It remembers nothing of its earlier lives.
    Forgetful(Kind),
    /// It reports another result than it decided.
    Lying(Kind),
    /// It does nothing about most of what it is told.
    Lazy(Kind),
    /// An Execution that forgets that it may have started something.
    Unscrupulous,
    /// It deletes what it was not told to delete.
    Destructive,
}

#[derive(Debug)]
struct Saboteur {
    inner: Box<dyn Running>,
    fault: Fault,
    handled: u64,
}

fn sabotage(identity: Identity, fault: Fault) -> Option<Box<dyn Running>> {
    let inner = raise(identity)?;
    Some(Box::new(Saboteur { inner, fault, handled: 0 }))
}

impl Saboteur {
    fn is(&self, kind: Kind) -> bool {
        self.inner.identity().name.kind() == kind
    }

    fn hurry(&mut self, now: Moment, mut output: Output) -> Output {
        if let Some(request) = &output.save {
            output.effects.extend(self.inner.handle(now, Input::Saved(request.number)).effects);
        }
        output
    }

    fn twist(&self, output: &mut Output) {
        for effect in &mut output.effects {
            match effect {
                Effect::Send { message: Message::Surrogate(SurrogateMessage::Verdicts { verdicts, .. }), .. } => {
                    verdicts.iter_mut().for_each(|verdict| verdict.winners.truncate(1));
                }
                Effect::Send { message: Message::User(UserMessage::Ended { outcome, .. }), .. } => {
                    *outcome = chameleon_core::message::Outcome::Result { end: End::Exit(77) };
                }
                _ => {}
            }
        }
    }

    fn destroy(&self, output: &mut Output) {
        let clean = |effect: &Effect| match effect {
            Effect::Process(ProcessCommand::Assign { name, .. }) => Some(*name),
            _ => None,
        };
        let names: Vec<_> = output.effects.iter().filter_map(clean).collect();
        let delete = |name| Effect::Process(ProcessCommand::Clean { name: Some(name), job: None });
        output.effects.extend(names.into_iter().map(delete));
    }
}

impl Running for Saboteur {
    fn restore(&mut self, records: &[Vec<u8>]) -> Result<(), BadRecord> {
        match self.fault {
            Fault::Forgetful(kind) if self.is(kind) => Ok(()),
            Fault::Unscrupulous if self.is(Kind::Execution) => {
                let is_intent =
                    |bytes: &[u8]| matches!(minicbor::decode::<ExecutionRecord>(bytes), Ok(ExecutionRecord::Begun(..)));
                let kept: Vec<Vec<u8>> = records.iter().filter(|bytes| !is_intent(bytes)).cloned().collect();
                self.inner.restore(&kept)
            }
            _ => self.inner.restore(records),
        }
    }

    fn resume(&mut self, now: Moment) -> Output {
        self.inner.resume(now)
    }

    fn handle(&mut self, now: Moment, input: Input) -> Output {
        self.handled += 1;
        if let Fault::Lazy(kind) = self.fault
            && self.is(kind)
            && matches!(input, Input::Message { .. })
            && self.handled > 12
        {
            return Output::default();
        }
        let mut output = self.inner.handle(now, input);
        match self.fault {
            Fault::Hasty => self.hurry(now, output),
            Fault::Lying(kind) if self.is(kind) => {
                self.twist(&mut output);
                output
            }
            Fault::Destructive if self.is(Kind::Daemon) => {
                self.destroy(&mut output);
                output
            }
            Fault::Lying(_) | Fault::Lazy(_) | Fault::Forgetful(_) | Fault::Unscrupulous | Fault::Destructive => output,
        }
    }

    fn identity(&self) -> &Identity {
        self.inner.identity()
    }
}

#[test]
fn an_armor_with_a_fault_is_caught_by_the_invariant_that_forbids_it() {
    let table: [(&str, Raise, &str); 9] = [
        ("hasty", |identity| sabotage(identity, Fault::Hasty), "no effect is released before"),
        ("forgetful FTM", |identity| sabotage(identity, Fault::Forgetful(Kind::Ftm)), "one FTM a term"),
        (
            "forgetful Execution",
            |identity| sabotage(identity, Fault::Forgetful(Kind::Execution)),
            "no finished execution",
        ),
        ("forgetful SM", |identity| sabotage(identity, Fault::Forgetful(Kind::Surrogate)), "every accepted job ends"),
        ("lying Voter", |identity| sabotage(identity, Fault::Lying(Kind::Voter)), "no verdict without its quorum"),
        ("lying FTM", |identity| sabotage(identity, Fault::Lying(Kind::Ftm)), "no wrong result is accepted"),
        ("lazy Voter", |identity| sabotage(identity, Fault::Lazy(Kind::Voter)), "is called hung"),
        (
            "unscrupulous Execution",
            |identity| sabotage(identity, Fault::Unscrupulous),
            "what may be started at most once",
        ),
        ("destructive daemon", |identity| sabotage(identity, Fault::Destructive), "only the FTM retires"),
    ];
    for (what, raise, expected) in table {
        let runs = (0..2_000).map(|seed| campaign(seed, Power::Lasts, raise, Detail::Digest));
        let mut caught = runs.filter_map(|run| run.violation).map(|violation| violation.invariant);
        assert!(caught.any(|name| name.contains(expected)), "{what} is not caught");
    }
}
