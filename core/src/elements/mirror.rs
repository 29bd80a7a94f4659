//! A second home for the records of an ARMOR whose successor must know them, should its host be lost.
//!
//! Every record goes to the daemon of another host as well, and a save counts as completed when both
//! have it: what an ARMOR says was saved twice. The mirror is the same for a whole life. A life begins by
//! sending all that it was restored from, so that the copy is whole whatever the mirror had before; a
//! new mirror is a new life.
//!
//! The mirror is also a fence: once a successor is installed there its daemon takes nothing more from
//! earlier lives, so that whatever still runs on a host that was taken for lost never completes a save
//! again, and says nothing that follows from one.

use std::collections::VecDeque;

use crate::armor::Effect;
use crate::message::{Copied, DaemonMessage};
use crate::names::{ArmorName, HostId, Incarnation};
use crate::world::RecordBytes;

/// Most records, and about the most bytes of them, in one message.
const RECORDS_AT_ONCE: usize = 1_024;
const BYTES_AT_ONCE: usize = 1 << 20;

/// What of one life is not at its mirror yet.
#[derive(Debug)]
pub struct Mirror {
    daemon: ArmorName,
    life: Incarnation,
    /// Records that this life was restored from.
    base: u64,
    /// Number of the first record that is not known to be there.
    first: u64,
    unkept: VecDeque<RecordBytes>,
    /// Saves that were asked for: their numbers, and how many records there are with each.
    saves: VecDeque<(u64, u64)>,
    /// The last save that this host has completed.
    saved_here: Option<u64>,
}

impl Mirror {
    #[must_use]
    pub fn new(host: HostId, life: Incarnation) -> Self {
        Mirror {
            daemon: ArmorName::Daemon(host),
            life,
            base: 0,
            first: 0,
            unkept: VecDeque::new(),
            saves: VecDeque::new(),
            saved_here: None,
        }
    }

    /// This life was restored from these records: the mirror gets them first, once its link is up.
    pub fn restored(&mut self, records: &[Vec<u8>]) {
        self.base = records.len() as u64;
        self.unkept.extend(records.iter().cloned().map(RecordBytes));
    }

    /// Who keeps the copy.
    #[must_use]
    pub fn daemon(&self) -> ArmorName {
        self.daemon
    }

    /// A save of these records was asked for.
    pub fn add(&mut self, number: u64, records: impl Iterator<Item = Vec<u8>>, effects: &mut Vec<Effect>) {
        let before = self.unkept.len();
        self.unkept.extend(records.map(RecordBytes));
        self.saves.push_back((number, self.first + self.unkept.len() as u64));
        self.say_from(before, effects);
    }

    /// The link to the mirror came up: what it did not confirm may be lost.
    pub fn up(&self, peer: ArmorName, effects: &mut Vec<Effect>) {
        if peer == self.daemon {
            self.say_from(0, effects);
        }
    }

    /// This host has completed the save of this number; returns the last one that both have.
    pub fn saved_here(&mut self, number: u64) -> Option<u64> {
        self.saved_here = Some(number);
        self.completed()
    }

    /// The mirror says what it has; returns the last save that both have.
    pub fn kept_there(&mut self, copied: &Copied) -> Option<u64> {
        if copied.life == self.life {
            while self.first < copied.next && self.unkept.pop_front().is_some() {
                self.first += 1;
            }
        }
        self.completed()
    }

    fn completed(&mut self) -> Option<u64> {
        let mut last = None;
        while let Some(&(number, records)) = self.saves.front() {
            if records > self.first || self.saved_here < Some(number) {
                break;
            }
            last = Some(number);
            self.saves.pop_front();
        }
        last
    }

    fn say_from(&self, from: usize, effects: &mut Vec<Effect>) {
        let (mut first, mut records, mut bytes) = (self.first + from as u64, Vec::new(), 0);
        let mut say = |first: &mut u64, records: &mut Vec<RecordBytes>| {
            let (next, records) = (*first + records.len() as u64, std::mem::take(records));
            let message = DaemonMessage::Mirror { life: self.life, base: self.base, first: *first, records };
            effects.push(Effect::Send { to: self.daemon, message: message.into() });
            *first = next;
        };
        for record in self.unkept.iter().skip(from) {
            bytes += record.0.len();
            records.push(record.clone());
            if records.len() >= RECORDS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                say(&mut first, &mut records);
                bytes = 0;
            }
        }
        if !records.is_empty() || (self.base == 0 && self.first == 0 && from == 0) {
            say(&mut first, &mut records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn mirror() -> Mirror {
        Mirror::new(HostId(2), Incarnation(3))
    }

    fn copied(life: u32, next: u64) -> Copied {
        Copied { life: Incarnation(life), next }
    }

    fn said(effects: &[Effect]) -> Vec<(u64, usize)> {
        let of = |effect: &Effect| match effect {
            Effect::Send { message: Message::Daemon(DaemonMessage::Mirror { first, records, .. }), .. } => {
                (*first, records.len())
            }
            other => panic!("{other:?}"),
        };
        effects.iter().map(of).collect()
    }

    #[test]
    fn a_save_is_complete_when_both_hosts_have_it() {
        let (mut mirror, mut effects) = (mirror(), Vec::new());
        mirror.restored(&[vec![1], vec![2]]);
        mirror.up(mirror.daemon(), &mut effects);
        mirror.add(0, [vec![3]].into_iter(), &mut effects);
        mirror.add(1, [vec![4], vec![5]].into_iter(), &mut effects);
        assert_eq!(said(&effects), [(0, 2), (2, 1), (3, 2)]);
        assert_eq!(mirror.kept_there(&copied(3, 3)), None, "not here");
        assert_eq!(mirror.saved_here(1), Some(0), "the second is not there");
        assert_eq!(mirror.kept_there(&copied(2, 9)), None, "said to an earlier life");
        assert_eq!(mirror.kept_there(&copied(3, 5)), Some(1));
    }

    #[test]
    fn what_is_not_known_to_be_there_is_said_again_when_the_link_comes_up() {
        let (mut mirror, mut effects) = (mirror(), Vec::new());
        mirror.restored(&[]);
        mirror.up(mirror.daemon(), &mut effects);
        assert_eq!(said(&effects), [(0, 0)], "an empty copy is a copy");
        mirror.add(0, (0..3).map(|byte| vec![byte]), &mut effects);
        mirror.kept_there(&copied(3, 1));
        effects.clear();
        mirror.up(ArmorName::Daemon(HostId(9)), &mut effects);
        assert_eq!(said(&effects), []);
        mirror.up(ArmorName::Daemon(HostId(2)), &mut effects);
        assert_eq!(said(&effects), [(1, 2)]);
    }

    #[test]
    fn much_is_said_in_parts() {
        let (mut mirror, mut effects) = (mirror(), Vec::new());
        mirror.restored(&vec![vec![0; 10]; RECORDS_AT_ONCE + 1]);
        mirror.up(mirror.daemon(), &mut effects);
        assert_eq!(said(&effects), [(0, RECORDS_AT_ONCE), (RECORDS_AT_ONCE as u64, 1)]);
    }
}
