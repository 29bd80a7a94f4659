//! Which jobs may start: a pure function from who waits and what there is room for to an order.
//!
//! The more urgent job comes first; among equals, one of the user whose jobs take the least room now;
//! then the earlier one. The first that does not fit waits, and those behind it wait too: a large job would
//! never start if small ones could always slip past. A job always starts if nothing else runs, however
//! many lanes it has: on a small machine lanes take turns. A job whose mutex another one holds is passed over.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::JobId;

/// Lanes that one core is given before jobs wait. Lanes spend much of their time waiting for disks, for
/// each other and for processes to start; the machine is busy long before it has so many.
pub const LANES_A_CORE: u32 = 8;
/// One lane in so many is kept back for lanes that must be started again elsewhere or come on top.
pub const RESERVE_ONE_IN: u32 = 8;

/// A job that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting<'a> {
    pub job: JobId,
    pub user: &'a str,
    pub priority: i32,
    /// That run at once.
    pub lanes: u32,
    pub mutex: Option<&'a str>,
}

/// What runs, and how much there is room for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room<'a> {
    /// Cores of all hosts that are up.
    pub cores: u32,
    /// Lanes of the jobs that run, for each user.
    pub taken: BTreeMap<&'a str, u32>,
    /// Mutexes that a job holds.
    pub held: BTreeSet<&'a str>,
}

impl Room<'_> {
    /// Lanes that may run, without the reserve.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        let all = self.cores.saturating_mul(LANES_A_CORE);
        all - all / RESERVE_ONE_IN
    }

    #[must_use]
    pub fn free(&self) -> u32 {
        self.lanes().saturating_sub(self.taken.values().sum())
    }
}

/// The jobs that may start now, in their order, and the first that may not.
#[must_use]
pub fn admit<'a>(mut waiting: Vec<Waiting<'a>>, mut room: Room<'a>) -> (Vec<JobId>, Option<JobId>) {
    let mut admitted = Vec::new();
    loop {
        let taken = |user: &str| room.taken.get(user).copied().unwrap_or_default();
        let order = |next: &&Waiting<'_>| (-i64::from(next.priority), taken(next.user), next.job);
        waiting.retain(|next| next.mutex.is_none_or(|mutex| !room.held.contains(mutex)));
        let Some(next) = waiting.iter().min_by_key(order).cloned() else { return (admitted, None) };
        let is_alone = room.taken.values().all(|&lanes| lanes == 0);
        if next.lanes > room.free() && !is_alone {
            return (admitted, Some(next.job));
        }
        *room.taken.entry(next.user).or_default() += next.lanes;
        room.held.extend(next.mutex);
        admitted.push(next.job);
        waiting.retain(|other| other.job != next.job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(job: u64, user: &str, priority: i32, lanes: u32) -> Waiting<'_> {
        Waiting { job: JobId(job), user, priority, lanes, mutex: None }
    }

    fn of_mutex(job: u64, priority: i32, mutex: &str) -> Waiting<'_> {
        Waiting { mutex: Some(mutex), ..waiting(job, "a", priority, 1) }
    }

    #[test]
    fn jobs_start_in_a_fair_order_while_there_is_room() {
        // A core has room for seven lanes and one in reserve.
        let table = [
            ("nobody waits", 1, vec![], vec![], vec![], None),
            ("the earlier first", 1, vec![], vec![waiting(2, "a", 0, 3), waiting(1, "a", 0, 3)], vec![1, 2], None),
            (
                "the more urgent before it",
                1,
                vec![],
                vec![waiting(1, "a", 0, 3), waiting(2, "a", 5, 3)],
                vec![2, 1],
                None,
            ),
            (
                "the user who has less",
                2,
                vec![("a", 6)],
                vec![waiting(1, "a", 0, 3), waiting(2, "b", 0, 3), waiting(3, "b", 0, 3)],
                vec![2, 3],
                Some(1),
            ),
            ("full", 1, vec![("a", 6)], vec![waiting(1, "a", 0, 3)], vec![], Some(1)),
            ("as much as there is", 1, vec![("a", 4)], vec![waiting(1, "a", 0, 3)], vec![1], None),
            (
                "nobody slips past",
                1,
                vec![("a", 5)],
                vec![waiting(1, "a", 1, 3), waiting(2, "b", 0, 1)],
                vec![],
                Some(1),
            ),
            ("alone it starts at any size", 1, vec![], vec![waiting(1, "a", 0, 99)], vec![1], None),
            (
                "also where no host is yet",
                0,
                vec![],
                vec![waiting(1, "a", 0, 3), waiting(2, "a", 0, 1)],
                vec![1],
                Some(2),
            ),
        ];
        for (what, cores, taken, waiting, admitted, first) in table {
            let room = Room { cores, taken: taken.into_iter().collect(), ..Room::default() };
            let expected = (admitted.into_iter().map(JobId).collect(), first.map(JobId));
            assert_eq!(admit(waiting, room), expected, "{what}");
        }
    }

    #[test]
    fn a_mutex_lets_one_job_in_and_stops_nobody_else() {
        let waiting = [of_mutex(1, 0, "m"), of_mutex(2, 5, "m"), of_mutex(3, 0, "other"), waiting(4, "a", 0, 1)];
        let jobs = |ids: &[u64]| ids.iter().copied().map(JobId).collect::<Vec<_>>();
        let room = |held: &[&'static str]| Room { cores: 2, held: held.iter().copied().collect(), ..Room::default() };
        assert_eq!(admit(waiting.to_vec(), room(&[])), (jobs(&[2, 3, 4]), None), "the more urgent of the two");
        assert_eq!(admit(waiting.to_vec(), room(&["m"])), (jobs(&[3, 4]), None));
        assert_eq!(admit(waiting.to_vec(), room(&["m", "other"])), (jobs(&[4]), None));
    }
}
