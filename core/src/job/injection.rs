//! When a fault that was asked for is put in.

use crate::job::{Injection, InjectionWhen};
use crate::names::{Attempt, ExecutionId, StageId, TaskId};

impl Injection {
    /// Whether this execution of the injection's lane gets the fault. `first` is the first task of
    /// the first stage. Drawn from the execution's id, so that a replay draws alike.
    #[must_use]
    pub fn is_due(&self, execution: ExecutionId, first: TaskId) -> bool {
        match self.when {
            InjectionWhen::Always => true,
            InjectionWhen::Once => execution == ExecutionId { stage: StageId(0), task: first, attempt: Attempt(0) },
            InjectionWhen::Chance(per_million) => self.draw(execution) % 1_000_000 < u64::from(per_million),
        }
    }

    /// The finalizer of SplitMix64 (Steele, Lea, Flood 2014) over the parts of the id.
    fn draw(&self, execution: ExecutionId) -> u64 {
        let parts =
            [u64::from(self.lane.0), u64::from(execution.stage.0), execution.task.0, u64::from(execution.attempt.0)];
        parts.into_iter().fold(0, |state: u64, part| {
            let mut mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::InjectionKind;
    use crate::names::LaneId;

    fn due(when: InjectionWhen) -> usize {
        let injection = Injection { kind: InjectionKind::Flip, lane: LaneId(1), when };
        let ids = (0..10_000).map(|task| ExecutionId { stage: StageId(0), task: TaskId(task), attempt: Attempt(0) });
        ids.filter(|&id| injection.is_due(id, TaskId(0))).count()
    }

    #[test]
    fn faults_come_as_often_as_asked() {
        assert_eq!(due(InjectionWhen::Once), 1);
        assert_eq!(due(InjectionWhen::Always), 10_000);
        assert_eq!(due(InjectionWhen::Chance(0)), 0);
        assert!((2_300..2_700).contains(&due(InjectionWhen::Chance(250_000))));
    }
}
