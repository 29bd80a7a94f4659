//! Mirrors: where they are, and what it means to those whose copy they have that one is installed anew.

use super::*;
use crate::message::Unmirrored;
use crate::world::SecondHome;

const MIRROR: ArmorName = ArmorName::Mirror(JOB);
const ANEW: u32 = LIVES + 1;

/// The ARMORs that are installed with a Mirror: their lives, and where that is.
fn mirrored(effects: &[Effect]) -> Vec<(ArmorName, u32, SecondHome)> {
    let installs = sent(effects).into_iter().filter_map(|(_, message)| match message {
        DaemonMessage::Install { name, incarnation, mirror, .. } => Some((name, incarnation.0, mirror?)),
        _ => None,
    });
    installs.collect()
}

fn at(host: u32, moved: bool) -> SecondHome {
    SecondHome { host: HostId(host), moved }
}

/// A job whose SM runs on h1 and whose Mirror on h2, and a host more.
fn with_mirror() -> Reign {
    let mut reign = Reign::new();
    (1..=3).for_each(|host| drop(reign.joins(host, &[])));
    let effects = reign.submit(1);
    assert_eq!(installs(&effects), [(2, MIRROR, 1), (1, SM, 1)]);
    assert_eq!(mirrored(&effects), [(SM, 1, at(2, false))]);
    reign.running(2, MIRROR);
    reign.running(1, SM);
    reign
}

#[test]
fn with_one_host_a_job_has_no_mirror() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    let effects = reign.submit(1);
    assert_eq!(installs(&effects), [(1, SM, 1)]);
    assert_eq!(mirrored(&effects), []);
}

#[test]
fn a_new_mirror_is_filled_by_new_lives_in_place() {
    let mut reign = with_mirror();
    let effects = reign.lost(2, MIRROR, 1);
    assert_eq!(installs(&effects), [(3, MIRROR, ANEW)]);
    let effects = reign.told(daemon(3), FtmMessage::Running(unit(MIRROR, ANEW)));
    assert_eq!(installs(&effects), [(1, SM, ANEW)], "once there is one to speak to");
    assert_eq!(mirrored(&effects), [(SM, ANEW, at(3, false))]);
    assert_eq!(reign.state(SM), ArmorState::Installing, "its earlier life counts no more");
    reign.running(1, SM);
    assert_eq!(reign.state(SM), ArmorState::Installing, "nor if its daemon speaks of that again");
    reign.told(daemon(1), FtmMessage::Running(unit(SM, ANEW)));
    assert_eq!(reign.state(SM), ArmorState::Running);
}

#[test]
fn an_sm_moves_with_what_its_mirror_has() {
    let mut reign = with_mirror();
    let effects = reign.lost(1, SM, 1);
    assert_eq!(installs(&effects), [(3, SM, ANEW)], "not where the copy is, if there is another");
    assert_eq!(mirrored(&effects), [(SM, ANEW, at(2, false))], "the first Mirror has all that there ever was");
    reign.lost(2, MIRROR, 1);
    let effects = reign.told(daemon(1), FtmMessage::Running(unit(MIRROR, ANEW)));
    assert_eq!(mirrored(&effects), [(SM, 2 * LIVES + 1, at(1, true))], "a later one may lack it");
}

#[test]
fn a_job_goes_on_without_a_mirror_that_no_host_accepts_unless_it_needs_it() {
    for needs_it in [false, true] {
        let mut reign = with_mirror();
        if needs_it {
            reign.lost(1, SM, 1);
        }
        reign.lost(2, MIRROR, 1);
        let first = if needs_it { 1 } else { 3 };
        reign.lost(first, MIRROR, ANEW);
        let effects = reign.lost(4 - first, MIRROR, 2 * LIVES + 1);
        assert_eq!(mirrored(&effects), []);
        assert_eq!(reign.ftm.jobs.running(JOB).is_none(), needs_it);
        assert_eq!(installs(&effects).iter().any(|(_, name, _)| *name == SM), !needs_it);
    }
}

#[test]
fn a_copy_that_is_behind_means_another_life_and_one_that_is_gone_the_end() {
    let mut reign = with_mirror();
    let unmirrored = |incarnation, why| FtmMessage::Unmirrored { name: SM, incarnation: Incarnation(incarnation), why };
    assert_eq!(installs(&reign.told(SM, unmirrored(1, Unmirrored::Behind))), [(1, SM, ANEW)]);
    assert_eq!(installs(&reign.told(SM, unmirrored(1, Unmirrored::Behind))), [], "an earlier life says so again");
    reign.told(SM, unmirrored(1, Unmirrored::Forgotten));
    assert!(reign.ftm.jobs.running(JOB).is_some());
    reign.told(SM, unmirrored(ANEW, Unmirrored::Forgotten));
    assert!(reign.ftm.jobs.running(JOB).is_none());
}

#[test]
fn the_mirror_is_retired_last() {
    let mut reign = with_mirror();
    assert_eq!(retires(&reign.ended(DONE)), [(1, SM)]);
    assert_eq!(retires(&reign.gone(1, SM)), [(2, MIRROR)]);
}
