//! A certified verdict never changes (DESIGN §5): whatever dies and is restored, a task is decided once.

use std::collections::BTreeMap;

use chameleon_core::message::Value;
use chameleon_core::names::{JobId, StageId, TaskId};

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::one_vote_a_lane::verdicts;

#[derive(Default)]
pub struct CertifiedNeverChanges {
    decided: BTreeMap<(JobId, StageId, TaskId), Value>,
}

impl Invariant for CertifiedNeverChanges {
    fn name(&self) -> &'static str {
        "a certified verdict never changes"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((job, verdicts)) = verdicts(fact) else { return Ok(()) };
        for verdict in verdicts {
            let earlier = self.decided.get(&(job, verdict.stage, verdict.task));
            if earlier.is_some_and(|earlier| *earlier != verdict.value) {
                return Err(format!(
                    "{job} {} was decided otherwise before: {earlier:?}, now {:?}",
                    verdict.task, verdict.value
                ));
            }
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match (fact, verdicts(fact)) {
            (_, Some((job, verdicts))) => {
                let decided = verdicts.iter().map(|verdict| ((job, verdict.stage, verdict.task), verdict.value));
                self.decided.extend(decided);
            }
            // What was not on disk yet may be decided again, from new executions.
            (Fact::PowerLost, None) => self.decided.clear(),
            (_, None) => {}
        }
    }
}
