//! Hosts that fail again and again, and what they must do to be trusted again.

use super::*;
use crate::message::{Conduct, Diagnosis, HostState, Incident, InitMessage};
use crate::names::Attempt;
use crate::profile::Profile;
use crate::test_task;

const INIT_2: ArmorName = ArmorName::Init(HostId(2));

fn conduct(reign: &Reign, host: u32) -> &Conduct {
    &reign.ftm.hosts[&HostId(host)].conduct
}

/// The daemon of the host is replaced.
fn daemon_dies(reign: &mut Reign, host: u32) -> Vec<Effect> {
    let life = Incarnation(reign.ftm.hosts[&HostId(host)].record.daemon.0 + 1);
    let units = vec![Unit { incarnation: life, ..unit(daemon(host), life.0) }];
    reign.told(daemon(host), FtmMessage::Joined { host: HostId(host), units })
}

/// Two hosts, of which the second was just quarantined.
fn flaky() -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.joins(2, &[]);
    (0..2).for_each(|_| drop(daemon_dies(&mut reign, 2)));
    assert!(conduct(&reign, 2).is_trusted(), "twice is an accident");
    let effects = daemon_dies(&mut reign, 2);
    assert!(effects.contains(&Effect::SetTimer { timer: Timer::Parole(HostId(2)), after: Millis(10_000) }));
    reign
}

/// The quarantine is over, and an Init has come.
fn on_parole() -> Reign {
    let mut reign = flaky();
    reign.boot = reign.boot + Millis(10_000);
    let installed = installs(&reign.handle(Event::Timer(Timer::Parole(HostId(2)))));
    assert_eq!(installed, [(2, INIT_2, 5 * LIVES + 1)], "with lives that were never used");
    let asked = reign.told(INIT_2, FtmMessage::Profiled { host: HostId(2), profile: Box::<Profile>::default() });
    assert!(is_asked(&asked, 0), "{asked:?}");
    reign
}

fn is_asked(effects: &[Effect], number: u32) -> bool {
    effects.contains(&Effect::Send { to: INIT_2, message: InitMessage::Test { number }.into() })
}

fn answers(reign: &mut Reign, number: u32, answer: Digest) -> Vec<Effect> {
    reign.told(INIT_2, FtmMessage::Tested { host: HostId(2), number, answer })
}

#[test]
fn a_host_in_quarantine_gets_no_lanes_and_the_next_ftm_knows() {
    let reign = flaky();
    let mut reign = reign.dies();
    reign.joins(1, &[]);
    let life = conduct(&reign, 2).clone();
    let units = vec![Unit { incarnation: reign.ftm.hosts[&HostId(2)].record.daemon, ..unit(daemon(2), 4) }];
    reign.told(daemon(2), FtmMessage::Joined { host: HostId(2), units });
    assert_eq!(conduct(&reign, 2), &life, "the same life again is no incident");
    match reign.ask(Query::Hosts) {
        UserMessage::Hosts(rows) => assert_eq!(rows[1].state, HostState::Away, "its link is not up"),
        other => panic!("{other:?}"),
    }
    reign.submit(5);
    reign.running(1, SM);
    let lanes = installs(&reign.want(&[LANE_0, LANE_1]));
    assert!(lanes.iter().all(|(host, ..)| *host == 1), "{lanes:?}");
    let moved = reign.refusal(FtmMessage::Move { name: LANE_0, to: HostId(2) });
    assert_eq!(moved, "h2 is quarantined");
}

#[test]
fn known_tasks_done_right_end_a_quarantine() {
    let mut reign = on_parole();
    assert_eq!(answers(&mut reign, 1, test_task::run(1)), [], "it was not asked for that");
    for number in 0..test_task::TASKS {
        let effects = answers(&mut reign, number, test_task::run(number));
        let last = number + 1 == test_task::TASKS;
        assert_eq!((is_asked(&effects, number + 1), retires(&effects).contains(&(2, INIT_2))), (!last, last));
    }
    assert!(conduct(&reign, 2).is_trusted());
    reign.gone(2, INIT_2);
    reign.boot = reign.boot + Millis(1);
    (0..2).for_each(|_| drop(daemon_dies(&mut reign, 2)));
    assert!(conduct(&reign, 2).is_trusted(), "what was before counts no more");
    let effects = daemon_dies(&mut reign, 2);
    assert!(effects.contains(&Effect::SetTimer { timer: Timer::Parole(HostId(2)), after: Millis(20_000) }), "longer");
}

#[test]
fn a_test_task_done_wrong_or_not_at_all_is_the_next_quarantine() {
    type Failing = fn(&mut Reign) -> Vec<Effect>;
    let fails: [(&str, Failing); 3] = [
        ("wrong", |reign| answers(reign, 0, Digest([1; 32]))),
        ("late", |reign| reign.handle(Event::Timer(Timer::Parole(HostId(2))))),
        ("its daemon dies", |reign| daemon_dies(reign, 2)),
    ];
    for (what, fails) in fails {
        let mut reign = on_parole();
        fails(&mut reign);
        let quarantine = conduct(&reign, 2).quarantine.expect(what);
        assert_eq!((quarantine.wait, quarantine.parole, conduct(&reign, 2).times), (Millis(20_000), None, 2), "{what}");
        assert_eq!(reign.ftm.registry.state(INIT_2), ArmorState::Retiring, "{what}");
    }
}

#[test]
fn a_person_pardons_and_what_happens_on_a_drained_host_is_theirs() {
    let mut reign = flaky();
    let pardon = |reign: &mut Reign, host| to_users(&reign.told(USER, FtmMessage::Pardon { host: HostId(host) }));
    let answer = |was_quarantined| UserMessage::Pardoned { host: HostId(2), was_quarantined };
    assert_eq!(pardon(&mut reign, 2), [answer(true)]);
    assert_eq!(pardon(&mut reign, 2), [answer(false)]);
    assert_eq!(reign.refusal(FtmMessage::Pardon { host: HostId(9) }), "there is no host h9; expected h1 or h2");
    reign.told(USER, FtmMessage::Drain { host: HostId(2), drained: true });
    (0..5).for_each(|_| drop(daemon_dies(&mut reign, 2)));
    assert!(conduct(&reign, 2).is_trusted());
}

#[test]
fn the_last_host_is_trusted_whatever_happens_there() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    (0..5).for_each(|_| drop(daemon_dies(&mut reign, 1)));
    assert!(conduct(&reign, 1).is_trusted());
    assert_eq!(conduct(&reign, 1).incidents.len(), 5, "it is on record all the same");
}

#[test]
fn a_wrong_value_that_a_lane_repeats_speaks_against_its_host() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.joins(2, &[]);
    reign.submit(5);
    reign.running(1, SM);
    reign.want(&[LANE_0]);
    let host = reign.ftm.registry.get(LANE_0).and_then(Entry::placed).unwrap();
    let diagnosis = Diagnosis::LaneFaulty { lane: LaneId(0), attempts: Attempt(2) };
    let story = Story::Diagnosed { stage: StageId(0), task: crate::names::TaskId(0), diagnosis };
    let now = reign.now();
    let occurrence = Occurrence { unix_ms: now.unix_ms, boot: now.boot, noticed_by: SM, story };
    let occurrences = vec![occurrence.clone(), occurrence];
    reign.told(SM, FtmMessage::Happened { job: JOB, first: 0, occurrences });
    assert_eq!(conduct(&reign, host.0).incidents, [(now.unix_ms, Incident::Blamed(JOB))]);
}
