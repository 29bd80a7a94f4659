//! A reign that ends by its own will.

use super::*;
use crate::armor::Timer;

/// The FTM of three hosts of which these may have it.
fn with_candidates(candidates: &[u32]) -> Reign {
    let mut reign = Reign::new();
    reign.ftm.elected = true;
    for host in 1..=3 {
        reign.joins(host, &[]);
    }
    for &host in candidates {
        reign.told(daemon(host), FtmMessage::Candidate { host: HostId(host) });
    }
    reign
}

/// Who is told that the reign ends.
fn told_of_its_end(effects: &[Effect]) -> Vec<ArmorName> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message: Message::Daemon(DaemonMessage::StepsDown { .. }) } => Some(*to),
        _ => None,
    });
    told.collect()
}

#[test]
fn other_candidates_are_told_first_and_the_daemon_that_ends_the_ftm_a_beat_later() {
    let mut reign = with_candidates(&[1, 2]);
    let beat = |reign: &mut Reign| told_of_its_end(&reign.handle(Event::Timer(Timer::Reign)));
    assert_eq!(beat(&mut reign), []);
    let step_down = FtmMessage::StepDown { term: reign.ftm.term };
    assert_eq!(told_of_its_end(&reign.told(USER, step_down)), [daemon(2)]);
    assert_eq!(beat(&mut reign), [daemon(1)]);
}

#[test]
fn a_reign_does_not_end_where_nobody_would_have_the_next() {
    let mut reign = with_candidates(&[1]);
    let effects = reign.told(USER, FtmMessage::StepDown { term: reign.ftm.term });
    assert!(matches!(to_users(&effects)[..], [UserMessage::Refused { .. }]), "{effects:?}");
    assert_eq!(told_of_its_end(&reign.handle(Event::Timer(Timer::Reign))), []);
}
