//! A job that was accepted is kept (DESIGN D2, "job accepted" is on disk): the same request is the same
//! job ever after, and no two requests are one job.

use std::collections::BTreeMap;

use chameleon_core::names::JobId;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct AcceptedIsKept {
    requests: BTreeMap<JobId, u64>,
}

impl Invariant for AcceptedIsKept {
    fn name(&self) -> &'static str {
        "an accepted job is kept"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Accepted { user, job, earlier } = fact else { return Ok(()) };
        if earlier.is_some_and(|earlier| earlier != *job) {
            return Err(format!("user-{user} was told that its job is {earlier:?}, and now {job}"));
        }
        match self.requests.get(job) {
            Some(other) if other != user => Err(format!("{job} is the job of user-{other} and of user-{user}")),
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Fact::Accepted { user, job, .. } = fact {
            self.requests.insert(*job, *user);
        }
    }
}
