//! Whose a job is, and what others may do with it.

use super::*;
use crate::principal::Principal;

const ANN: ArmorName = ArmorName::User(20);
const BOB: ArmorName = ArmorName::User(30);

fn person(name: &str) -> Principal {
    Principal::User(name.to_owned())
}

/// A job that ann handed in, as bob would call himself; bob is there too.
fn with_anns_job() -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.told(ANN, FtmMessage::Introduced(person("ann")));
    reign.told(BOB, FtmMessage::Introduced(person("bob")));
    let mut job = job(&[]);
    job.needs.user = "bob".to_owned();
    reign.told(ANN, FtmMessage::Submit { request: 5, job: Box::new(job) });
    reign
}

#[test]
fn a_job_is_ended_and_forgotten_by_who_handed_it_in_and_by_the_owner_of_the_home_and_nobody_else() {
    let refused = |reign: &mut Reign, message| match to_users(&reign.told(BOB, message)).pop() {
        Some(UserMessage::Refused { why }) => why.contains("handed in by user/ann"),
        _ => false,
    };
    let cancel = || FtmMessage::Cancel { job: JOB, code: 130 };
    for who in [ANN, USER] {
        let mut reign = with_anns_job();
        assert!(refused(&mut reign, cancel()));
        assert!(refused(&mut reign, FtmMessage::Forget(JOB)));
        assert!(reign.ftm.jobs.get(JOB).unwrap().end.is_none(), "it goes on");
        reign.told(who, cancel());
        assert!(reign.ftm.jobs.get(JOB).unwrap().end.is_some(), "{who} may end it");
    }
}

#[test]
fn shares_go_by_who_it_is_and_not_by_who_it_says_it_is() {
    let reign = with_anns_job();
    assert_eq!(reign.ftm.jobs.get(JOB).unwrap().job.needs.user, "ann");
    let mut reign = reign.dies();
    reign.told(BOB, FtmMessage::Introduced(person("bob")));
    let answer = to_users(&reign.told(BOB, FtmMessage::Cancel { job: JOB, code: 130 }));
    assert!(matches!(answer.last(), Some(UserMessage::Refused { .. })), "the next FTM knows whose it is: {answer:?}");
}
