//! A store that was put back as it was.

use super::*;
use crate::job::Promise;
use crate::managers::ftm::enrolment::{MemberRecord, TokenRecord};
use crate::managers::ftm::restoration::{OpenJobs, Past, Restoration, Restored, restore};
use crate::principal::{Principal, Role};

const TAKEN: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn how(later_ms: u64, open_jobs: OpenJobs) -> Restoration {
    Restoration { known_until_unix_ms: TAKEN, now_unix_ms: TAKEN + later_ms, open_jobs }
}

fn records(reign: &Reign) -> Vec<FtmRecord> {
    reign.store.values().map(|bytes| minicbor::decode(bytes).unwrap()).collect()
}

/// An FTM with one job that runs on its host, as it is put back a day later.
fn with_a_job() -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.told(USER, FtmMessage::Submit { request: 9, job: Box::new(job(&[])) });
    assert!(reign.ftm.registry.get(SM).is_some());
    reign
}

/// The FTM that goes on with a store that was put back.
fn over(restored: &Restored) -> Reign {
    let mut store = BTreeMap::new();
    for record in &restored.records {
        let Place::Put(key) = record.place() else { panic!("{record:?}") };
        store.insert(key, minicbor::to_vec(record).unwrap());
    }
    Reign::resumed(store, Millis(DAY_MS), 1)
}

fn numbers(restored: &Restored) -> (u64, u64, u64, u32, u32) {
    let reign = over(restored);
    let Past { last_host, lives, .. } = reign.ftm.past;
    (restored.term.0, reign.ftm.jobs.last().0, reign.ftm.events.next(), last_host.0, lives)
}

#[test]
fn numbers_go_on_beyond_all_that_can_have_been_given_since() {
    let reign = |term: u64, last_job: u64| FtmRecord::Reign {
        term: Term(term),
        last_job: JobId(last_job),
        next_event: 5,
        last_token: 3,
    };
    let past = [reign(7, 30)];
    // Put back at once, a day later, with a clock that was set back, and over a store that had gone further.
    let at_once = numbers(&restore(&past, &[], how(0, OpenJobs::End)));
    assert_eq!(at_once, (1_000_007, 1_000_030, 20_000_005, 1_000, 1_000_000));
    let day = numbers(&restore(&past, &[], how(DAY_MS, OpenJobs::End)));
    assert_eq!(day, (1_086_407, 1_000_030 + DAY_MS, 20_000_005 + 20 * DAY_MS, 87_400, 1_864_000));
    let set_back = Restoration { now_unix_ms: TAKEN - DAY_MS, ..how(0, OpenJobs::End) };
    assert_eq!(numbers(&restore(&past, &[], set_back)), at_once);
    let further = restore(&past, &[reign(2_000_000, 9_000_000)], how(0, OpenJobs::End));
    assert_eq!((further.term.0, numbers(&further).1), (3_000_000, 10_000_000));
    assert_eq!(over(&further).ftm.jobs.last_token(), 1_000_003);
    // The same backup twice, each time into a home that knows nothing: what the first gave out in between is not repeated.
    let second = numbers(&restore(&past, &[], how(DAY_MS + 60_000, OpenJobs::End)));
    assert!(second.0 >= day.0 + 60 && second.1 >= day.1 + 60_000 && second.3 >= day.3 + 60, "{second:?}");
}

#[test]
fn an_open_job_ends_with_an_old_store_and_what_serves_it_is_retired() {
    let restored = restore(&records(&with_a_job()), &[], how(DAY_MS, OpenJobs::End));
    assert_eq!(restored.ended, [JOB]);
    let mut reign = over(&restored);
    let end = reign.ftm.jobs.get(JOB).and_then(|record| record.end.clone()).map(|end| end.outcome);
    assert!(matches!(end, Some(Outcome::Failed { .. })), "{end:?}");
    assert!(reign.ftm.events.tells_end_of(JOB));
    let effects = reign.joins(1, &[SM]);
    let retire = DaemonMessage::Retire { term: reign.ftm.term, name: SM };
    let is_retired = |effect: &Effect| *effect == Effect::Send { to: daemon(1), message: retire.clone().into() };
    assert!(effects.iter().any(is_retired), "{effects:?}");
    let later = reign.told(USER, FtmMessage::Submit { request: 10, job: Box::new(job(&[])) });
    let [UserMessage::Accepted { job: later, .. }] = to_users(&later)[..] else { panic!("{later:?}") };
    assert!(later.0 > DAY_MS, "its number was never given: {later}");
}

#[test]
fn an_open_job_goes_on_with_a_store_that_lost_its_last_moments_and_nothing_is_given_a_life_twice() {
    let restored = restore(&records(&with_a_job()), &[], how(0, OpenJobs::GoOn));
    assert_eq!(restored.ended, []);
    let reign = over(&restored);
    assert!(reign.ftm.jobs.running(JOB).is_some());
    let entry = reign.ftm.registry.get(SM).unwrap();
    let Decided::Installing { incarnation, .. } = entry.decided else { panic!("{entry:?}") };
    assert_eq!(incarnation, Incarnation(1), "it may run, and is not ended for a later life");
    let Decided::Installing { incarnation, .. } = entry.installing(HostId(2)).decided else { panic!() };
    assert!(incarnation.0 > 1_000_000, "{incarnation}");
}

#[test]
fn what_may_be_started_at_most_once_is_unknown_however_little_was_lost() {
    let mut reign = Reign::new();
    let mut once = job(&[]);
    once.stages[0].promise = Promise::AtMostOnce;
    once.strategy.redundancy = Redundancy { replicas: 1, quorum: 1, order: Order::Space };
    once.strategy.restart.limit = 0;
    once.strategy.repeats = 0;
    once.strategy.extend_to = 1;
    let accepted = reign.told(USER, FtmMessage::Submit { request: 9, job: Box::new(once) });
    assert!(matches!(to_users(&accepted)[..], [UserMessage::Accepted { .. }]), "{accepted:?}");
    for open_jobs in [OpenJobs::End, OpenJobs::GoOn] {
        let restored = over(&restore(&records(&reign), &[], how(0, open_jobs)));
        assert!(restored.ftm.jobs.get(JOB).unwrap().is_unresolved(), "{open_jobs:?}");
    }
}

#[test]
fn what_came_after_the_store_is_not_taken_up() {
    let member = |host| {
        let (name, address, key) = (format!("h{host}"), "10.0.0.1:7".to_owned(), Digest([host; 32]));
        let member = Principal::Host(HostId(host.into()));
        FtmRecord::Member(MemberRecord { member, role: Role::Ftm, name, address, key, is_revoked: false })
    };
    let token = |byte, used_by| {
        let (digest, role, good_until_unix_ms) = (Digest([byte; 32]), Role::Host, TAKEN + DAY_MS);
        FtmRecord::Token(TokenRecord { digest, role, good_until_unix_ms, used_by })
    };
    let used = token(2, Some(Principal::Host(HostId(2))));
    let restored = restore(&[member(1), token(1, None), used.clone()], &[], how(0, OpenJobs::End));
    assert!(restored.records.contains(&used));
    assert!(!restored.records.contains(&token(1, None)), "somebody may have come in with it");
    let mut reign = over(&restored);
    reign.joins(1, &[]);
    reign.joins(5, &[]);
    assert!(!reign.ftm.hosts.contains_key(&HostId(5)), "it was let in after the store was as it is");
    let why = reign.told(USER, FtmMessage::Await(JobId(400)));
    let [UserMessage::Refused { why }] = &to_users(&why)[..] else { panic!("{why:?}") };
    assert!(why.contains("may have been accepted after"), "{why}");
}

#[test]
fn a_backup_is_for_the_owner_of_the_home_alone() {
    let mut reign = Reign::new();
    let back_up = FtmMessage::BackUp { number: 3, keys: true };
    let written = Effect::Process(ProcessCommand::BackUp { to: USER, number: 3, keys: true });
    assert!(reign.told(USER, back_up.clone()).contains(&written));
    reign.told(USER, FtmMessage::Introduced(Principal::User("ann".to_owned())));
    let effects = reign.told(USER, back_up);
    assert!(matches!(to_users(&effects)[..], [UserMessage::Refused { .. }]), "{effects:?}");
    assert!(!effects.contains(&written));
}
