//! A set of tasks, kept as ranges: a stage may have a million of them, most in one piece.

use std::collections::BTreeMap;

use crate::names::TaskId;

/// Tasks as ranges, first to before last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskSet {
    /// First task to the one after the last; neither overlapping nor touching.
    ranges: BTreeMap<u64, u64>,
}

impl TaskSet {
    /// The tasks of these ranges.
    #[must_use]
    pub fn of(ranges: &[(u64, u64)]) -> Self {
        let mut set = TaskSet::default();
        for &(from, to) in ranges {
            set.insert_range(from, to);
        }
        set
    }

    /// These single tasks.
    #[must_use]
    pub fn of_tasks(tasks: impl IntoIterator<Item = TaskId>) -> Self {
        let mut set = TaskSet::default();
        for task in tasks {
            set.insert(task);
        }
        set
    }

    pub fn insert(&mut self, task: TaskId) {
        self.insert_range(task.0, task.0 + 1);
    }

    pub fn insert_range(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        while let Some((&first, &last)) = self.ranges.range(..=to).next_back() {
            if last < from {
                break;
            }
            from = from.min(first);
            to = to.max(last);
            self.ranges.remove(&first);
        }
        self.ranges.insert(from, to);
    }

    pub fn remove(&mut self, task: TaskId) {
        let Some((&first, &last)) = self.ranges.range(..=task.0).next_back() else { return };
        if last <= task.0 {
            return;
        }
        self.ranges.remove(&first);
        if first < task.0 {
            self.ranges.insert(first, task.0);
        }
        if task.0 + 1 < last {
            self.ranges.insert(task.0 + 1, last);
        }
    }

    #[must_use]
    pub fn contains(&self, task: TaskId) -> bool {
        self.ranges.range(..=task.0).next_back().is_some_and(|(_, &last)| task.0 < last)
    }

    /// Takes out the smallest.
    pub fn pop_first(&mut self) -> Option<TaskId> {
        let task = self.first()?;
        self.remove(task);
        Some(task)
    }

    #[must_use]
    pub fn first(&self) -> Option<TaskId> {
        self.ranges.keys().next().map(|&first| TaskId(first))
    }

    /// The smallest from this one on.
    #[must_use]
    pub fn first_from(&self, task: TaskId) -> Option<TaskId> {
        if self.contains(task) {
            return Some(task);
        }
        self.ranges.range(task.0..).next().map(|(&first, _)| TaskId(first))
    }

    /// Those before this number.
    #[must_use]
    pub fn below(&self, end: u64) -> TaskSet {
        let ranges = self.ranges.range(..end).map(|(&first, &last)| (first, last.min(end)));
        TaskSet { ranges: ranges.collect() }
    }

    /// Number of tasks.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &TaskSet) -> TaskSet {
        let mut rest = TaskSet::default();
        for (&first, &last) in &self.ranges {
            let mut from = first;
            for (&cut_first, &cut_last) in &other.ranges {
                if cut_last <= from || cut_first >= last {
                    continue;
                }
                rest.insert_range(from, cut_first);
                from = cut_last;
            }
            rest.insert_range(from, last);
        }
        rest
    }

    #[must_use]
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        self.ranges.iter().map(|(&first, &last)| (first, last)).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.ranges.iter().flat_map(|(&first, &last)| (first..last).map(TaskId))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_plain_set(changes in proptest::collection::vec((any::<bool>(), 0u64..40, 0u64..8), 0..60)) {
            let mut set = TaskSet::default();
            let mut plain = BTreeSet::new();
            for (insert, from, length) in changes {
                if insert {
                    set.insert_range(from, from + length);
                    plain.extend(from..from + length);
                } else {
                    set.remove(TaskId(from));
                    plain.remove(&from);
                }
                prop_assert_eq!(set.iter().map(|task| task.0).collect::<Vec<_>>(), plain.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), plain.len() as u64);
                let first_from = |from: u64| plain.range(from..).next().copied().map(TaskId);
                let below: Vec<u64> = set.below(20).iter().map(|task| task.0).collect();
                prop_assert_eq!(below, plain.range(..20).copied().collect::<Vec<_>>());
                prop_assert!((0..50).all(|from| set.first_from(TaskId(from)) == first_from(from)));
                prop_assert!(set.ranges().windows(2).all(|pair| pair[0].1 < pair[1].0), "ranges are merged");
            }
        }

        #[test]
        fn without_is_set_difference(a in proptest::collection::vec(0u64..40, 0..30), b in proptest::collection::vec(0u64..40, 0..30)) {
            let (left, right) = (TaskSet::of_tasks(a.iter().map(|&n| TaskId(n))), TaskSet::of_tasks(b.iter().map(|&n| TaskId(n))));
            let expected: BTreeSet<u64> = a.iter().filter(|n| !b.contains(n)).copied().collect();
            prop_assert_eq!(left.without(&right).iter().map(|task| task.0).collect::<BTreeSet<_>>(), expected);
        }
    }
}
