//! Mutual exclusion (issue 4, 7): of the jobs that name the same mutex, the programs of one at a time run, on all hosts that
//! can be heard; and each holder has a higher fencing token than those before it.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::job::Job;
use chameleon_core::managers::ftm::exclusion::TOKEN;
use chameleon_core::message::Story;
use chameleon_core::names::{ArmorName, ExecutionId, HostId, JobId, LaneId};
use chameleon_core::shell::Identity;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OneHolder {
    /// The mutex and the token of a job.
    jobs: BTreeMap<JobId, (String, u64)>,
    running: BTreeSet<(JobId, HostId, LaneId, ExecutionId)>,
    /// The last holder that started something.
    last: BTreeMap<String, (u64, JobId)>,
    /// Hosts that were lost or shut out: nobody waits for what runs there.
    unheard: BTreeSet<HostId>,
}

impl OneHolder {
    /// Another job with the same mutex of which a program runs where it could be ended.
    fn intruder(&self, job: JobId, mutex: &str) -> Option<JobId> {
        let others = self.running.iter().filter(|(other, host, ..)| *other != job && !self.unheard.contains(host));
        others.map(|(other, ..)| *other).find(|other| self.jobs.get(other).is_some_and(|(held, _)| held == mutex))
    }

    fn hear(&mut self, story: &Story) {
        match story {
            Story::HostLost { host, .. } => drop(self.unheard.insert(*host)),
            Story::Revoked { member, .. } => self.unheard.extend(member.host()),
            _ => {}
        }
    }
}

/// The token in a job's environment.
fn token(job: &Job) -> u64 {
    let value =
        |variable: &[u8]| std::str::from_utf8(variable).ok()?.strip_prefix(TOKEN)?.strip_prefix('=')?.parse().ok();
    job.environment.iter().find_map(|variable| value(variable)).unwrap_or_default()
}

impl Invariant for OneHolder {
    fn name(&self) -> &'static str {
        "one job at a time holds a mutex, each with a higher token"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Started { host, job, .. } = fact else { return Ok(()) };
        let Some((mutex, token)) = self.jobs.get(job).filter(|_| !self.unheard.contains(host)) else { return Ok(()) };
        if let Some(other) = self.intruder(*job, mutex) {
            return Err(format!("{job} starts a program on {host} while one of {other} runs, which holds {mutex:?}"));
        }
        match self.last.get(mutex) {
            Some((last, other)) if other != job && last >= token => {
                Err(format!("{job} starts a program under {mutex:?} with token {token}; {other} had {last}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((Identity { name: ArmorName::Execution(id, _), .. }, job)) = fact.configures()
            && let Some(mutex) = &job.needs.mutex
        {
            self.jobs.insert(*id, (mutex.clone(), token(job)));
        }
        fact.stories().for_each(|story| self.hear(&story));
        match fact {
            Fact::Started { host, job, lane, execution } => {
                if let Some((mutex, token)) = self.jobs.get(job) {
                    self.running.insert((*job, *host, *lane, *execution));
                    let last = self.last.entry(mutex.clone()).or_insert((*token, *job));
                    *last = (*last).max((*token, *job));
                }
            }
            Fact::Ended { host, job, lane, execution, .. } => {
                self.running.remove(&(*job, *host, *lane, *execution));
            }
            // Its programs die with it.
            Fact::Died { who, .. } => {
                let own = |(job, host, lane, _): &(JobId, HostId, LaneId, ExecutionId)| {
                    (*host, ArmorName::Execution(*job, *lane)) == (who.host, who.name)
                };
                self.running.retain(|program| !own(program));
            }
            _ => {}
        }
    }
}
