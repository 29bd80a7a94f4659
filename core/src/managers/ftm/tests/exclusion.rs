//! Mutual exclusion: who gets a mutex, when, and with which token.

use super::*;
use crate::managers::ftm::exclusion::TOKEN;

const FIRST: ArmorName = ArmorName::Surrogate(JobId(1));
const SECOND: ArmorName = ArmorName::Surrogate(JobId(2));

impl Reign {
    fn submit_with(&mut self, request: u64, mutex: &str) -> Vec<ArmorName> {
        let mut job = job(&[]);
        job.needs.mutex = Some(mutex.to_owned());
        job.environment.push(format!("{TOKEN}=of-an-earlier-job").into_bytes().into());
        begun(&self.told(USER, FtmMessage::Submit { request, job: Box::new(job) }))
    }

    /// What a job's programs find in their environment.
    fn token(&self, job: u64) -> Vec<String> {
        let variables = self.ftm.jobs.get(JobId(job)).unwrap().job.environment.iter();
        let all = variables.map(|variable| String::from_utf8(variable.to_vec()).unwrap());
        all.filter_map(|variable| variable.strip_prefix(TOKEN)?.strip_prefix('=').map(str::to_owned)).collect()
    }

    fn end_of(&mut self, surrogate: ArmorName) -> Vec<ArmorName> {
        let job = surrogate.job().unwrap();
        begun(&self.told(surrogate, FtmMessage::Ended { job, outcome: DONE, length: 12 }))
    }

    fn waits_for(&mut self, job: u64) -> Option<String> {
        match self.ask(Query::Jobs { all: false }) {
            UserMessage::Jobs(rows) => rows.into_iter().find(|row| row.job == JobId(job)).unwrap().waits_for,
            other => panic!("{other:?}"),
        }
    }
}

fn begun(effects: &[Effect]) -> Vec<ArmorName> {
    installs(effects).into_iter().map(|(_, name, _)| name).collect()
}

#[test]
fn the_next_job_gets_a_mutex_when_no_armor_of_its_holder_is_left() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    assert_eq!(reign.submit_with(1, "m"), [FIRST]);
    assert_eq!(reign.submit_with(2, "m"), []);
    assert_eq!(reign.submit_with(3, "other"), [ArmorName::Surrogate(JobId(3))], "nobody waits for it");
    assert_eq!(reign.waits_for(2), Some("for the mutex \"m\", which j1 holds".to_owned()));
    reign.running(1, FIRST);
    assert_eq!(reign.end_of(FIRST), [], "its SM is still there");
    assert_eq!(begun(&reign.gone(1, FIRST)), [SECOND]);
}

#[test]
fn each_holder_has_a_higher_token_also_after_the_ftm_died_and_the_earlier_job_is_forgotten() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.submit_with(1, "m");
    assert_eq!(reign.token(1), ["1"], "and only that");
    reign.end_of(FIRST);
    reign.gone(1, FIRST);
    reign.told(USER, FtmMessage::Forget(JobId(1)));
    assert!(reign.ftm.jobs.get(JobId(1)).is_none());
    let mut reign = reign.dies();
    reign.joins(1, &[]);
    reign.submit_with(2, "m");
    assert_eq!(reign.token(2), ["2"]);
    let mut reign = reign.dies();
    reign.joins(1, &[]);
    assert_eq!(reign.token(2), ["2"], "it keeps it");
}
