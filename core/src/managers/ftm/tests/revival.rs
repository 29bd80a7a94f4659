//! Lost hosts, and how they are tried.

use super::*;
use crate::job::OsBytes;
use crate::managers::ftm::record::{Standing, StandingRecord};

const H2: HostId = HostId(2);

fn words(words: &[&str]) -> Vec<OsBytes> {
    words.iter().map(|word| word.as_bytes().to_vec().into()).collect()
}

/// Two hosts, of which the second is lost, and an FTM that has just begun to reign.
fn lost() -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.joins(2, &[]);
    let mut step = FtmStep::none();
    let standing = Standing::Lost { since_unix_ms: reign.now().unix_ms };
    reign.ftm.save(&mut step, FtmRecord::Standing(StandingRecord { host: H2, standing }));
    reign.keep(step);
    let mut reign = reign.dies();
    reign.joins(1, &[]);
    reign
}

fn tries(reign: &mut Reign) -> Vec<Effect> {
    reign.handle(Event::Timer(Timer::Revive(H2)))
}

fn summons(effects: &[Effect]) -> Vec<&ProcessCommand> {
    let summon = effects.iter().filter_map(|effect| match effect {
        Effect::Process(command @ ProcessCommand::Summon { .. }) => Some(command),
        _ => None,
    });
    summon.collect()
}

fn timer(ms: u64) -> Effect {
    Effect::SetTimer { timer: Timer::Revive(H2), after: Millis(ms) }
}

#[test]
fn a_lost_host_is_called_ever_later_and_started_if_a_person_said_how() {
    let mut reign = lost();
    let effects = tries(&mut reign);
    let report = DaemonMessage::Report { term: reign.ftm.term() };
    assert!(effects.contains(&Effect::Send { to: daemon(2), message: report.into() }));
    assert_eq!((summons(&effects), effects.contains(&timer(10_000))), (vec![], true));
    let command = words(&["wake", "h2"]);
    let set = FtmMessage::ReviveBy { host: H2, command: command.clone() };
    let answer = UserMessage::RevivedBy { host: H2, command: command.clone() };
    assert_eq!(to_users(&reign.told(USER, set)), [answer]);
    let effects = tries(&mut reign);
    let text = "h2 is lost; this is try 2".to_owned();
    assert_eq!(summons(&effects), [&ProcessCommand::Summon { host: H2, command, text }]);
    assert!(effects.contains(&timer(20_000)));
    let last = (0..30).map(|_| tries(&mut reign)).filter(|effects| !summons(effects).is_empty()).count();
    assert!(last >= 18, "somebody else counts how often");
}

#[test]
fn who_is_here_again_is_tried_no_more_and_only_the_owner_says_how() {
    let mut reign = lost();
    let effects = reign.joins(2, &[]);
    assert!(effects.contains(&Effect::CancelTimer { timer: Timer::Revive(H2) }));
    assert_eq!(tries(&mut reign), []);
    let set = |host| FtmMessage::ReviveBy { host: HostId(host), command: words(&["wake"]) };
    assert!(reign.refusal(set(9)).contains("there is no host h9"));
    assert!(reign.refusal(set(1)).contains("the FTM's own host"));
    reign.told(USER, FtmMessage::Introduced(crate::principal::Principal::Host(H2)));
    assert!(reign.refusal(set(2)).contains("set there, by its owner"));
}

#[test]
fn what_becomes_of_a_drained_host_is_its_persons_until_they_want_it_used_again() {
    let mut reign = lost();
    reign.told(USER, FtmMessage::Drain { host: H2, drained: true });
    assert_eq!(tries(&mut reign), []);
    let effects = reign.told(USER, FtmMessage::Drain { host: H2, drained: false });
    assert!(effects.contains(&timer(5_000)));
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::SetTimer { timer: Timer::Revive(HostId(1)), .. })));
}
