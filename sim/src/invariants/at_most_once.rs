//! At-most-once starts at most once (DESIGN D10 and issue 3, 10): whatever dies, freezes or forgets, the
//! program of such a task is started once in the world or never. And what was started and has no end is
//! never told as something that did not happen.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::job::Job;
use chameleon_core::message::Outcome;
use chameleon_core::names::{ArmorName, JobId, StageId, TaskId};
use chameleon_core::shell::Identity;

use crate::history::Fact;
use crate::invariants::Invariant;

type Lot = (JobId, StageId, TaskId);

#[derive(Default)]
pub struct AtMostOnce {
    /// Stages whose programs may be started at most once, as lanes were told.
    once: BTreeSet<(JobId, StageId)>,
    /// What was started, by whom, and what of it ended.
    started: BTreeMap<Lot, String>,
    ended: BTreeSet<Lot>,
}

impl AtMostOnce {
    fn learn_job(&mut self, id: JobId, job: &Job) {
        let stages = (0..).map(StageId).take(job.stages.len());
        self.once.extend(stages.filter(|stage| job.is_at_most_once(*stage)).map(|stage| (id, stage)));
    }

    /// A task of this job that was started and has no end.
    fn open(&self, job: JobId) -> Option<&Lot> {
        self.started.keys().find(|lot| lot.0 == job && !self.ended.contains(lot))
    }
}

impl Invariant for AtMostOnce {
    fn name(&self) -> &'static str {
        "what may be started at most once is started at most once"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Started { host, job, lane, execution } => {
                let lot = (*job, execution.stage, execution.task);
                match self.started.get(&lot) {
                    Some(first) => Err(format!("{job} {execution} is started by {lane} on {host}, and was by {first}")),
                    None => Ok(()),
                }
            }
            Fact::UserEnded { user, ending, .. } => match (&ending.outcome, self.open(ending.job)) {
                (Outcome::Unknown { .. }, _) | (_, None) => Ok(()),
                (outcome, Some((_, stage, task))) => {
                    Err(format!("user-{user} is told {outcome}, and {stage}/{task} was started and has no end"))
                }
            },
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((Identity { name: ArmorName::Execution(id, _), .. }, job)) = fact.configures() {
            self.learn_job(*id, job);
        }
        match fact {
            Fact::Started { host, job, lane, execution } if self.once.contains(&(*job, execution.stage)) => {
                let lot = (*job, execution.stage, execution.task);
                self.started.insert(lot, format!("{lane} on {host}"));
            }
            Fact::Ended { job, execution, .. } => {
                self.ended.insert((*job, execution.stage, execution.task));
            }
            _ => {}
        }
    }
}
