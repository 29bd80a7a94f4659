//! The host's own policy, and a daemon that keeps to it.

use super::*;
use crate::message::Bid;

fn reads(text: &str) -> Event<DaemonMessage> {
    Event::Process(ProcessEvent::PolicyRead(Ok(Some(text.as_bytes().to_vec()))))
}

fn bid(user: &str) -> Option<Box<Bid>> {
    Some(Box::new(Bid { user: user.to_owned(), memory: None, net: false, paths: vec![] }))
}

/// Why an ARMOR is refused, if it is.
fn asks(host: &mut Host, name: ArmorName, bid: Option<Box<Bid>>) -> Option<String> {
    let (incarnation, granted) = (Incarnation(1), Incarnation(9));
    let install = DaemonMessage::Install { term: Term(1), name, incarnation, granted, bid, mirror: None };
    let effects = host.told(ArmorName::Ftm, install);
    effects.into_iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Ftm(FtmMessage::Lost { why, .. }), .. } => Some(why),
        _ => None,
    })
}

#[test]
fn what_the_policy_forbids_is_refused_with_the_reason_and_never_started() {
    let mut host = Host::plain();
    host.handle(reads("users = [\"ada\"]"));
    let why = asks(&mut host, VOTER, bid("bob"));
    assert_eq!(why.as_deref(), Some("the policy of h2 accepts nothing of \"bob\""));
    assert!(host.daemon.charges().is_empty());
    assert!(asks(&mut host, VOTER, None).is_some(), "an FTM that does not say for whom finds no way around it");
    assert_eq!(asks(&mut host, VOTER, bid("ada")), None);
}

#[test]
fn a_policy_with_a_slip_lets_nothing_in_and_what_runs_runs_on() {
    let mut host = Host::plain();
    assert_eq!(asks(&mut host, VOTER, bid("ada")), None, "there is no policy");
    host.handle(reads("accept = nothing"));
    let why = asks(&mut host, FANOUT, bid("ada"));
    assert_eq!(why.as_deref(), Some("the policy of h2 cannot be read, so that nothing is accepted"));
    assert_eq!(asks(&mut host, VOTER, bid("ada")), None, "it is here already");
    host.handle(Event::Process(ProcessEvent::PolicyRead(Ok(None))));
    assert_eq!(asks(&mut host, FANOUT, bid("bob")), None);
}
