//! The lease of a host, and what ends with it.

use super::*;
use crate::lease::LEASE;
use crate::message::ExecutionMessage;

const LANE: ArmorName = ArmorName::Execution(JobId(1), LaneId(0));

fn heartbeat(host: u32) -> ArmorName {
    ArmorName::Heartbeat(HostId(host))
}

/// A host on which a lane runs, and whose links are up.
fn host() -> Host {
    let mut host = Host::plain();
    host.ftm_up();
    host.wait(LEASE.0);
    host.handle(Event::Timer(Timer::Beat));
    host.run(LANE, 9);
    host
}

/// Whether the lane is told within a second that the lease has ended.
fn ends(host: &mut Host) -> bool {
    let told = Effect::Send { to: LANE, message: ExecutionMessage::LeaseEnded.into() };
    let mut beat = || {
        host.wait(BEAT.0);
        host.handle(Event::Timer(Timer::Beat)).contains(&told)
    };
    (0..10).any(|_| beat())
}

#[test]
fn a_lease_ends_also_if_only_the_way_out_is_cut() {
    let mut host = host();
    let mut is_ended = |from, silent| {
        host.told(from, DaemonMessage::Unheard { silent });
        ends(&mut host)
    };
    let long = Millis(LEASE.0 - BEAT.0);
    assert!(!is_ended(heartbeat(2), Millis(LEASE.0 / 2)));
    assert!(!is_ended(heartbeat(3), long), "another host is not this one");
    assert!(is_ended(heartbeat(2), long), "a beat comes after the word");
    assert!(!is_ended(heartbeat(2), Millis(0)), "it is heard again");
}

#[test]
fn the_next_life_of_the_daemon_knows_that_nobody_heard_the_last() {
    let mut host = host();
    host.told(heartbeat(2), DaemonMessage::Unheard { silent: Millis(LEASE.0 / 2) });
    assert!(!ends(&mut host));
    let (mut host, _) = host.dies();
    host.wait(LEASE.0 / 2);
    let process = host.mark(1_001);
    host.told(LANE, DaemonMessage::Ready { name: LANE, incarnation: Incarnation(1), process });
    host.handle(Event::Timer(Timer::Beat));
    assert!(ends(&mut host));
    host.ftm_up();
    assert!(!ends(&mut host), "the link to the FTM is up again");
}
