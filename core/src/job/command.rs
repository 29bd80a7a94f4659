//! What a stage runs, task by task.

use super::{Files, OsBytes, Promise, Stage};
use crate::names::TaskId;

/// What stands for the task's number in the command of a stage that has tasks.
pub const TASK: &str = "{task}";

impl Stage {
    /// A stage that runs this command once, with nothing special about it.
    #[must_use]
    pub fn new(name: impl Into<String>, command: Vec<OsBytes>) -> Self {
        Stage {
            name: name.into(),
            command,
            tasks: None,
            files: Files::Overlay,
            inputs: Vec::new(),
            outputs: Vec::new(),
            promise: Promise::default(),
            strategy: None,
            stdin: None,
            bundle: Vec::new(),
            only: Vec::new(),
        }
    }

    /// The first task and the one after the last; a stage without tasks has one, numbered 0.
    #[must_use]
    pub fn task_range(&self) -> (u64, u64) {
        self.tasks.unwrap_or((0, 1))
    }

    /// Program and arguments for one task.
    #[must_use]
    pub fn command_for(&self, task: TaskId) -> Vec<OsBytes> {
        match self.tasks {
            None => self.command.clone(),
            Some(_) => self.command.iter().map(|word| substituted(word, task)).collect(),
        }
    }

    /// Whether the command of one task differs from that of another.
    #[must_use]
    pub fn names_its_task(&self) -> bool {
        self.command.iter().any(|word| word.windows(TASK.len()).any(|part| part == TASK.as_bytes()))
    }
}

fn substituted(word: &OsBytes, task: TaskId) -> OsBytes {
    let number = task.0.to_string();
    let (mut result, mut rest) = (Vec::with_capacity(word.len()), word.as_slice());
    while let Some((first, others)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(TASK.as_bytes()) {
            result.extend_from_slice(number.as_bytes());
            rest = after;
        } else {
            result.push(*first);
            rest = others;
        }
    }
    OsBytes::from(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(command: &[&[u8]], tasks: Option<(u64, u64)>) -> Stage {
        let command = command.iter().map(|word| OsBytes::from(word.to_vec())).collect();
        Stage { tasks, ..Stage::new("s", command) }
    }

    #[test]
    fn the_task_replaces_every_mark_and_nothing_else() {
        let words: &[&[u8]] = &[b"echo", b"{task}-{task}", b"{ta{task}sk}\xff", b""];
        let with: Vec<Vec<u8>> =
            stage(words, Some((0, 99))).command_for(TaskId(42)).into_iter().map(Into::into).collect();
        assert_eq!(with, [b"echo".to_vec(), b"42-42".to_vec(), b"{ta42sk}\xff".to_vec(), b"".to_vec()]);
        let without = stage(words, None);
        assert_eq!(without.command_for(TaskId(0)), without.command, "no tasks, no substitution");
        assert_eq!(without.task_range(), (0, 1));
        assert!(without.names_its_task() && !stage(&[b"{tas", b"k}"], None).names_its_task());
    }
}
