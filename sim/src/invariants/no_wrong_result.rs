//! With at most the tolerated number of faulty lanes no wrong result is accepted (DESIGN §5).
//!
//! The bytes that the user's command printed and the end it reported are compared with what the
//! programs of the job are known to result in.

use chameleon_core::job::Job;
use chameleon_core::message::Outcome;

use chameleon_core::world::End;

use crate::faults::Fault;
use crate::history::Fact;
use crate::invariants::Invariant;

/// How often programs were killed by what strikes the world.
#[derive(Default)]
pub(super) struct Kills(u64);

impl Kills {
    pub(super) fn learn(&mut self, fact: &Fact<'_>) {
        if let Fact::Struck { fault: Fault::KillProgram(_), .. } = fact {
            self.0 += 1;
        }
    }

    /// Whether a quorum of lanes may have been killed beyond the restart limit: that is then the result.
    pub(super) fn beyond_tolerance(&self, job: &Job) -> bool {
        self.0 >= u64::from(job.strategy.redundancy.quorum) * u64::from(job.strategy.restart.limit + 1)
    }
}

#[derive(Default)]
pub struct NoWrongResult {
    kills: Kills,
}

impl Invariant for NoWrongResult {
    fn name(&self) -> &'static str {
        "no wrong result is accepted"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::UserEnded { user, job, fate, ending, truth: Some(truth) } = fact else { return Ok(()) };
        let Outcome::Result { end } = ending.outcome else { return Ok(()) };
        if end == End::Signal(9) && self.kills.beyond_tolerance(job) {
            return Ok(());
        }
        if end != truth.end {
            return Err(format!("user-{user} was told {end:?}, and the programs end with {:?}", truth.end));
        }
        if ending.length != truth.stdout.len() as u64 || (ending.printed > 0 && fate.printed != truth.stdout) {
            let (printed, expected) = (String::from_utf8_lossy(&fate.printed), String::from_utf8_lossy(&truth.stdout));
            return Err(format!("user-{user} got {printed:?} ({} decided bytes) and not {expected:?}", ending.length));
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        self.kills.learn(fact);
    }
}
