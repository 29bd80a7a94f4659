//! A lost host with many lanes: how they go on elsewhere, a few at a time.

use super::*;
use crate::managers::ftm::record::{Standing, StandingRecord};
use crate::managers::ftm::recovery::AT_ONCE_A_CORE;

const H2: HostId = HostId(2);
/// Lanes that each of two hosts runs.
const EACH: u16 = 8;

fn lane(job: u64, lane: u16) -> ArmorName {
    ArmorName::Execution(JobId(job), LaneId(lane))
}

fn on(reign: &Reign, host: HostId) -> Vec<ArmorName> {
    let lanes = reign.ftm.registry.on_host(host).map(|entry| entry.name);
    lanes.filter(|name| name.kind() == Kind::Execution).collect()
}

/// Two hosts that run the lanes of jobs of these priorities.
fn many_lanes(priorities: &[i32]) -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.joins(2, &[]);
    for (id, &priority) in (1..).zip(priorities) {
        let mut job = job(&[]);
        job.needs.priority = priority;
        reign.told(USER, FtmMessage::Submit { request: id, job: Box::new(job) });
        let sm = ArmorName::Surrogate(JobId(id));
        reign.running(1, sm);
        let names = (0..2 * EACH).map(|number| lane(id, number)).collect();
        let effects = reign.told(sm, FtmMessage::WantPlaces { job: JobId(id), names });
        installs(&effects).into_iter().for_each(|(host, name, _)| drop(reign.running(host, name)));
    }
    assert_eq!(on(&reign, H2).len(), usize::from(EACH) * priorities.len());
    reign
}

fn h2_is_lost(reign: &mut Reign) -> Vec<ArmorName> {
    let mut step = FtmStep::none();
    let standing = Standing::Lost { since_unix_ms: reign.now().unix_ms };
    reign.ftm.save(&mut step, FtmRecord::Standing(StandingRecord { host: H2, standing }));
    reign.ftm.recover(reign.now(), &mut step);
    recovered(&reign.keep(step))
}

/// Lanes that go on on the first host.
fn recovered(effects: &[Effect]) -> Vec<ArmorName> {
    let later = installs(effects).into_iter().filter(|(host, _, life)| (*host, *life) == (1, LIVES + 1));
    later.map(|(_, name, _)| name).collect()
}

fn runs(reign: &mut Reign, name: ArmorName) -> Vec<ArmorName> {
    recovered(&reign.told(daemon(1), FtmMessage::Running(unit(name, LIVES + 1))))
}

fn at_once(reign: &Reign) -> usize {
    usize::from(reign.ftm.cores) * AT_ONCE_A_CORE as usize
}

#[test]
fn lanes_of_a_lost_host_go_on_a_few_at_a_time_and_none_is_forgotten() {
    let mut reign = many_lanes(&[0]);
    let all = on(&reign, H2);
    let first = h2_is_lost(&mut reign);
    assert_eq!(first, all[..at_once(&reign)]);
    match reign.ask(Query::Job(JOB)) {
        UserMessage::Jobs(rows) => {
            let waits = format!(
                "for {} of {} lanes: their hosts are lost, and {} other lanes go on elsewhere first",
                all.len() - first.len(),
                2 * EACH,
                first.len()
            );
            assert_eq!(rows[0].waits_for, Some(waits));
        }
        other => panic!("{other:?}"),
    }
    let mut on_their_way = std::collections::VecDeque::from(first.clone());
    let mut went = first;
    while let Some(name) = on_their_way.pop_front() {
        let next = runs(&mut reign, name);
        assert!(next.len() <= 1, "one that runs makes room for one");
        on_their_way.extend(&next);
        went.extend(next);
    }
    assert_eq!(went, all);
}

#[test]
fn one_that_is_given_up_makes_room_too_and_so_does_the_end_of_a_job() {
    let mut reign = many_lanes(&[0, 0]);
    let first = h2_is_lost(&mut reign);
    let next = recovered(&reign.lost(1, first[0], LIVES + 1));
    assert_eq!((next.len(), reign.state(first[0])), (1, ArmorState::Lost));
    let next = recovered(&reign.ended(DONE));
    assert_eq!(next.iter().map(|name| name.job()).collect::<Vec<_>>(), vec![Some(JobId(2)); at_once(&reign)]);
}

#[test]
fn lanes_of_the_more_urgent_job_go_first() {
    let mut reign = many_lanes(&[0, 5]);
    let first = h2_is_lost(&mut reign);
    assert!(first.iter().all(|name| name.job() == Some(JobId(2))), "{first:?}");
}

#[test]
fn who_waits_when_its_host_is_here_again_goes_on_there() {
    let mut reign = many_lanes(&[0]);
    let first = h2_is_lost(&mut reign);
    let waiting: Vec<ArmorName> = on(&reign, H2);
    assert!(!waiting.is_empty());
    let effects = reign.joins(2, &[first.clone(), waiting.clone()].concat());
    assert_eq!(installs(&effects).iter().filter(|(_, name, _)| waiting.contains(name)).count(), 0);
    assert!(waiting.iter().all(|&name| reign.state(name) == ArmorState::Running));
    assert!(first.iter().all(|&name| retires(&effects).contains(&(2, name))), "those that went on are fenced");
}

#[test]
fn the_next_ftm_lets_those_go_on_that_wait() {
    let mut reign = many_lanes(&[0]);
    let first = h2_is_lost(&mut reign);
    let next = on(&reign, H2)[0];
    let mut reign = reign.dies();
    let effects = reign.joins(1, &[]);
    let anew: Vec<ArmorName> = recovered(&effects).into_iter().filter(|name| !first.contains(name)).collect();
    assert_eq!(anew, [], "those that are on their way count");
    assert_eq!(runs(&mut reign, first[0]), [next]);
}
