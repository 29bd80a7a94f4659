//! What of a job is done again when only the tasks that failed are to be.

use super::check::Unfit;
use super::{Job, Stage};
use crate::names::StageId;

impl Job {
    /// The same job from the stage on that came to no good end, and of that only these tasks, in any order. What ran
    /// before is done, and not run again.
    ///
    /// # Errors
    /// Something reads output that is not made again.
    pub fn again(&self, from: StageId, tasks: &[(u64, u64)]) -> Result<Job, Unfit> {
        let mut stages = self.stages[usize::from(from.0).min(self.stages.len())..].to_vec();
        if let Some(first) = stages.first_mut().filter(|first| first.tasks.is_some()) {
            first.only = merged(tasks);
        }
        let is_partial =
            stages.first().is_some_and(|first| !first.only.is_empty() && first.only != [first.task_range()]);
        for stage in &mut stages {
            let Some(source) = stage.stdin else { continue };
            if source < from || (source == from && is_partial) {
                let source = self.stages.get(usize::from(source.0)).map(|stage| stage.name.clone());
                return Err(Unfit::ReadsWhatWas { name: stage.name.clone(), from: source.unwrap_or_default() });
            }
            stage.stdin = Some(StageId(source.0 - from.0));
        }
        Ok(Job { stages, ..self.clone() })
    }
}

/// In order, those that touch as one.
fn merged(tasks: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut sorted = tasks.to_vec();
    sorted.sort_unstable();
    sorted.dedup_by(|next, kept| {
        let touches = next.0 <= kept.1;
        if touches {
            kept.1 = kept.1.max(next.1);
        }
        touches
    });
    sorted
}

impl Stage {
    /// The tasks that are run, as ranges.
    #[must_use]
    pub fn task_ranges(&self) -> Vec<(u64, u64)> {
        if self.only.is_empty() { vec![self.task_range()] } else { self.only.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Its name, its tasks, and which stage's output it reads.
    type Sketch = (&'static str, Option<(u64, u64)>, Option<u16>);

    fn job(stages: &[Sketch]) -> Job {
        let text = "[job]\nname = \"t\"\nstrategy = \"single\"\n[[stage]]\nname = \"x\"\ncommand = [\"x\"]\n";
        let job = Job::of_text(text);
        let stage = |&(name, tasks, stdin): &Sketch| Stage {
            tasks,
            stdin: stdin.map(StageId),
            ..Stage::new(name, job.stages[0].command.clone())
        };
        Job { stages: stages.iter().map(stage).collect(), ..job }
    }

    #[test]
    fn only_what_failed_and_what_never_ran_is_done_again() {
        let all = Some((0, 10));
        let before = job(&[("a", None, None), ("b", all, None), ("c", None, None), ("d", None, Some(2))]);
        let again = before.again(StageId(1), &[(2, 3), (7, 9)]).unwrap();
        let names: Vec<&str> = again.stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "d"]);
        assert_eq!((again.stages[0].task_ranges(), again.stages[2].stdin), (vec![(2, 3), (7, 9)], Some(StageId(1))));
        assert_eq!(again.stages[1].task_ranges(), [(0, 1)]);
        assert!(again.check().is_empty(), "{:?}", again.check());
        let reads_part = job(&[("a", all, None), ("b", None, Some(0))]);
        assert!(reads_part.again(StageId(0), &[(1, 2)]).is_err(), "b would read a part of what a prints");
        assert!(reads_part.again(StageId(0), &[(4, 10), (0, 4)]).is_ok());
        assert!(reads_part.again(StageId(1), &[(0, 1)]).is_err(), "b would read what is not printed again");
    }
}
