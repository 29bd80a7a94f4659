//! Hosts that a person drains, and ARMORs that a person moves.

use super::*;
use crate::message::HostState;

const FANOUT: ArmorName = ArmorName::Fanout(JOB);
const MIRROR: ArmorName = ArmorName::Mirror(JOB);

/// Two hosts; a job of which the SM, the Fanout and a lane are on the first, and the Mirror and another lane on the second.
fn spread() -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.joins(2, &[]);
    reign.submit(5);
    reign.running(2, MIRROR);
    reign.running(1, SM);
    let names = [FANOUT, LANE_0, LANE_1];
    for (host, name, _) in installs(&reign.want(&names)) {
        if names.contains(&name) {
            reign.running(host, name);
        }
    }
    reign
}

fn host_of(reign: &Reign, name: ArmorName) -> u32 {
    reign.ftm.registry.get(name).and_then(|entry| entry.decided.host()).map_or(0, |host| host.0)
}

fn drain(reign: &mut Reign, host: u32, drained: bool) -> (Vec<Effect>, UserMessage) {
    let effects = reign.told(USER, FtmMessage::Drain { host: HostId(host), drained });
    let answer = to_users(&effects).pop().expect("an answer");
    (effects, answer)
}

#[test]
fn a_drained_host_loses_its_lanes_and_gets_no_more() {
    let mut reign = spread();
    let lane = if host_of(&reign, LANE_0) == 2 { LANE_0 } else { LANE_1 };
    let (effects, answer) = drain(&mut reign, 2, true);
    let (host, moved, stays) = (HostId(2), vec![(lane, HostId(1)), (MIRROR, HostId(1))], vec![]);
    assert_eq!(answer, UserMessage::Drained { host, drained: true, moved, stays });
    assert!(retires(&effects).contains(&(2, lane)), "it ends where it was");
    assert!(installs(&effects).contains(&(1, lane, LIVES + 1)), "with lives above all earlier ones");
    let (effects, answer) = drain(&mut reign, 2, true);
    assert!(matches!(answer, UserMessage::Drained { moved, .. } if moved.is_empty()), "said twice is done once");
    assert_eq!((installs(&effects), retires(&effects)), (vec![], vec![]));
    let mut reign = reign.dies();
    reign.joins(1, &[SM, FANOUT]);
    reign.joins(2, &[]);
    match reign.ask(Query::Hosts) {
        UserMessage::Hosts(rows) => assert_eq!(rows[1].state, HostState::Drained, "the next FTM knows"),
        other => panic!("{other:?}"),
    }
    let (_, answer) = drain(&mut reign, 2, false);
    assert!(matches!(answer, UserMessage::Drained { drained: false, .. }));
}

#[test]
fn what_cannot_leave_its_host_is_told_with_its_reason() {
    let mut reign = spread();
    let (_, answer) = drain(&mut reign, 1, true);
    let UserMessage::Drained { stays, .. } = answer else { panic!("{answer:?}") };
    let why = |name| stays.iter().find(|(stays, _)| *stays == name).map_or("", |(_, why)| why.as_str());
    assert_eq!(why(FANOUT), "the files of its job are there");
    assert_eq!((host_of(&reign, LANE_0), host_of(&reign, LANE_1)), (2, 2), "lanes share a host rather than stay");
    assert_eq!((why(SM), host_of(&reign, SM)), ("", 2), "what it knows is on the other host, too");
    let (_, answer) = drain(&mut reign, 2, true);
    let UserMessage::Drained { stays, .. } = answer else { panic!("{answer:?}") };
    assert!(stays.contains(&(MIRROR, "its job may depend on what it has".to_owned())), "{stays:?}");
}

#[test]
fn an_sm_that_began_with_one_host_stays() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.submit(5);
    reign.running(1, SM);
    reign.joins(2, &[]);
    let why = reign.refusal(FtmMessage::Move { name: SM, to: HostId(2) });
    assert_eq!(why, "what it knows is kept there");
}

#[test]
fn an_armor_is_moved_where_a_person_wants_it_or_the_answer_says_why_not() {
    let mut reign = spread();
    let lane = if host_of(&reign, LANE_0) == 2 { LANE_0 } else { LANE_1 };
    let to = |name, host| FtmMessage::Move { name, to: HostId(host) };
    let table = [
        (to(lane, 2), "is on h2 already"),
        (to(lane, 9), "there is no host h9"),
        (to(VOTER, 1), "is no ARMOR of a job that runs"),
        (to(ArmorName::Heartbeat(HostId(1)), 2), "is no ARMOR of a job that runs"),
        (to(FANOUT, 2), "the files of its job are there"),
    ];
    for (message, expected) in table {
        let why = reign.refusal(message);
        assert!(why.contains(expected), "{why}");
    }
    let answer = to_users(&reign.told(USER, to(lane, 1)));
    assert_eq!(answer, [UserMessage::Moving { name: lane, from: HostId(2), to: HostId(1) }]);
    drain(&mut reign, 2, true);
    assert!(reign.refusal(to(lane, 2)).contains("h2 is drained"));
}
