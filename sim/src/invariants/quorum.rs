//! No verdict without its quorum (DESIGN §5): k of n lanes agree, k being what the SM asked for when the
//! vote was convened or extended, and always more than half of n (D10).

use std::collections::BTreeMap;

use chameleon_core::message::{Message, Rule, VoterMessage};
use chameleon_core::names::{JobId, StageId, TaskId};
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::invariants::one_vote_a_lane::verdicts;

#[derive(Default)]
pub struct Quorum {
    /// The lowest quorum that was ever in force for a stage, and for a task of it.
    stages: BTreeMap<(JobId, StageId), Rule>,
    tasks: BTreeMap<(JobId, StageId, TaskId), Rule>,
}

impl Invariant for Quorum {
    fn name(&self) -> &'static str {
        "no verdict without its quorum"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Some((job, verdicts)) = verdicts(fact) else { return Ok(()) };
        for verdict in verdicts {
            let Some(convened) = self.stages.get(&(job, verdict.stage)) else {
                return Err(format!("{job} {}: a verdict before the vote was convened", verdict.task));
            };
            let extended = self.tasks.get(&(job, verdict.stage, verdict.task));
            let quorum = extended.map_or(convened.quorum, |rule| rule.quorum.min(convened.quorum));
            if verdict.winners.len() < usize::from(quorum) {
                return Err(format!(
                    "{job} {}: decided by {:?}, with a quorum of {quorum}",
                    verdict.task, verdict.winners
                ));
            }
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        let Fact::Handles { who, input: Input::Message { message: Message::Voter(message), .. }, .. } = fact else {
            return;
        };
        let Some(job) = who.name.job() else { return };
        match message {
            VoterMessage::Convene { stage, rule, .. } => drop(self.stages.entry((job, *stage)).or_insert(*rule)),
            VoterMessage::Extend { stage, tasks, rule } => {
                for task in tasks {
                    self.tasks.entry((job, *stage, *task)).or_insert(*rule);
                }
            }
            _ => {}
        }
    }
}
