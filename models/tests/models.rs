//! The models hold as far as a small bound, and each notices an ARMOR that does what it is there to forbid.

use chameleon_core::armor::{Effect, Moment};
use chameleon_core::armors::raise;
use chameleon_core::message::{DaemonMessage, FtmMessage, Message, VoterMessage};
use chameleon_core::names::{ArmorName, Kind};
use chameleon_core::shell::{BadRecord, Identity, Input, Output, Running};
use chameleon_models::candidacy::{self, Candidates};
use chameleon_models::lives::Raise;
use chameleon_models::{MODELS, Model};

const VISITS: usize = 20_000;
/// As far as each model goes for one that it must notice.
const TO_NOTICE: usize = 900_000;

/// What is wrong with an ARMOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A daemon says that an ARMOR is gone as soon as it is to go.
    Premature,
    /// It remembers nothing of its earlier lives.
    Forgetful(Kind),
    /// A Voter is content with one vote.
    Content,
}

#[derive(Debug)]
struct Saboteur {
    inner: Box<dyn Running>,
    fault: Fault,
}

fn sabotage(identity: Identity, fault: Fault) -> Option<Box<dyn Running>> {
    Some(Box::new(Saboteur { inner: raise(identity)?, fault }))
}

impl Running for Saboteur {
    fn restore(&mut self, records: &[Vec<u8>]) -> Result<(), BadRecord> {
        match self.fault {
            Fault::Forgetful(kind) if kind == self.identity().name.kind() => Ok(()),
            Fault::Forgetful(_) | Fault::Premature | Fault::Content => self.inner.restore(records),
        }
    }

    fn resume(&mut self, now: Moment) -> Output {
        self.inner.resume(now)
    }

    fn handle(&mut self, now: Moment, mut input: Input) -> Output {
        let retired = match &mut input {
            Input::Message { message: Message::Daemon(DaemonMessage::Retire { name, .. }), .. } => Some(*name),
            Input::Message { message: Message::Voter(VoterMessage::Convene { rule, .. }), .. }
                if self.fault == Fault::Content =>
            {
                rule.quorum = 1;
                None
            }
            _ => None,
        };
        let mut output = self.inner.handle(now, input);
        if let Some(name) = retired.filter(|_| self.fault == Fault::Premature) {
            output.effects.push(Effect::Send { to: ArmorName::Ftm, message: FtmMessage::Gone { name }.into() });
        }
        output
    }

    fn identity(&self) -> &Identity {
        self.inner.identity()
    }
}

fn model(name: &str) -> &'static Model {
    MODELS.iter().find(|model| model.name == name).expect("there is a model of this name")
}

#[test]
fn every_model_holds_as_far_as_the_bound() {
    for Model { name, explore, .. } in MODELS {
        let report = explore(raise, VISITS);
        assert!(report.broken.is_empty(), "{name}: {report}");
        assert!(report.visits >= VISITS, "{name} has more states than that: {report}");
    }
}

#[test]
fn every_model_notices_an_armor_that_does_what_it_forbids() {
    let table: [(&str, Raise, &str); 5] = [
        ("retirement", |identity| sabotage(identity, Fault::Premature), "retired means gone"),
        ("retirement", |identity| sabotage(identity, Fault::Forgetful(Kind::Daemon)), "one life at a time"),
        ("reign", |identity| sabotage(identity, Fault::Forgetful(Kind::Ftm)), "one FTM a term"),
        ("takeover", |identity| sabotage(identity, Fault::Content), "without a majority"),
        ("lanes", |identity| sabotage(identity, Fault::Content), "without a majority"),
    ];
    for (name, raise, expected) in table {
        let report = (model(name).explore)(raise, TO_NOTICE);
        let found: Vec<&str> = report.broken.iter().map(|(sentence, _)| *sentence).collect();
        assert!(found.iter().any(|sentence| sentence.contains(expected)), "{name}: {expected}: {found:?}");
    }
}

#[test]
fn a_store_that_compares_nothing_is_noticed() {
    let lax = Candidates { store_compares: false, ..Candidates::default() };
    let report = candidacy::explore(lax, TO_NOTICE);
    let found: Vec<&str> = report.broken.iter().map(|(sentence, _)| *sentence).collect();
    assert!(found.iter().any(|sentence| sentence.contains("one reign a term")), "{found:?}");
}
