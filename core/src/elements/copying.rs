//! What an SM or a Voter saves is saved on another host as well, by its Mirror.
//!
//! ```text
//!   Opening ── the Mirror has what this life has, and this life what the Mirror has ──► Open
//! ```
//!
//! A save has completed when both hosts have it. A life that opens the copy lacks what was saved elsewhere, and gets it; or
//! the Mirror is new and lacks what this life has, and gets that. Nothing is said before.

use std::collections::VecDeque;

use crate::armor::Effect;
use crate::message::{CopyMessage, MirrorMessage, RecordBytes};
use crate::names::{ArmorName, HostId, Incarnation, JobId};
use crate::world::SecondHome;

/// Most records, and about the most bytes of them, in one message.
const RECORDS_AT_ONCE: usize = 1_024;
const BYTES_AT_ONCE: usize = 1 << 20;

/// How a life stands with its Mirror.
#[derive(Debug)]
pub struct Copying {
    mirror: ArmorName,
    /// The Mirror's host, and our own.
    home: SecondHome,
    host: HostId,
    life: Incarnation,
    is_open: bool,
    /// Records that this life was restored from.
    have: u64,
    /// What the Mirror has beyond those.
    lacked: Vec<Vec<u8>>,
    /// Number of the first record that is not known to be there.
    first: u64,
    unkept: VecDeque<RecordBytes>,
    /// So many of the records that are saved next are there already.
    known: usize,
    /// Saves that were asked for: their numbers, and how many records there are with each.
    saves: VecDeque<(u64, u64)>,
    /// The last save that this host has completed.
    saved_here: Option<u64>,
}

/// What a word of the Mirror means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// The copy is open; this life lacked these records.
    Opened(Vec<Vec<u8>>),
    /// Both hosts have completed the saves up to this number.
    Completed(u64),
    /// Nobody knows any more what earlier lives saved.
    Forgotten,
}

/// Records from this number on, in parts that fit into a message; at least one, which may be empty.
pub fn parts<'a>(first: u64, records: impl IntoIterator<Item = &'a RecordBytes>) -> Vec<(u64, Vec<RecordBytes>)> {
    let mut parts = vec![(first, Vec::new())];
    let (mut next, mut bytes) = (first, 0);
    for record in records {
        let (_, part) = parts.last_mut().expect("there is one");
        if part.len() >= RECORDS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            parts.push((next, Vec::new()));
            bytes = 0;
        }
        let (_, part) = parts.last_mut().expect("there is one");
        part.push(record.clone());
        bytes += record.0.len();
        next += 1;
    }
    parts
}

impl Copying {
    #[must_use]
    pub fn new(job: JobId, life: Incarnation, host: HostId, home: SecondHome) -> Self {
        Copying {
            mirror: ArmorName::Mirror(job),
            home,
            host,
            life,
            is_open: false,
            have: 0,
            lacked: Vec::new(),
            first: 0,
            unkept: VecDeque::new(),
            known: 0,
            saves: VecDeque::new(),
            saved_here: None,
        }
    }

    /// Whether anything may be done and said.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// This life was restored from these records.
    pub fn restored(&mut self, records: &[Vec<u8>]) {
        self.have = records.len() as u64;
        self.unkept.extend(records.iter().cloned().map(RecordBytes));
    }

    /// This life begins, or the link to the Mirror came up: what it did not confirm is said again.
    pub fn say_again(&mut self, effects: &mut Vec<Effect>) {
        if self.is_open {
            if !self.unkept.is_empty() {
                self.keep(0, true, effects);
            }
        } else {
            self.lacked.clear();
            effects.push(Effect::Locate { name: self.mirror, host: self.home.host });
            let open = MirrorMessage::Open { life: self.life, have: self.have, host: self.host };
            effects.push(Effect::Send { to: self.mirror, message: open.into() });
        }
    }

    /// As [`Copying::say_again`], if this is the Mirror.
    pub fn up(&mut self, peer: ArmorName, effects: &mut Vec<Effect>) {
        if peer == self.mirror {
            self.say_again(effects);
        }
    }

    /// A save of these records was asked for.
    pub fn add(&mut self, number: u64, to_disk: bool, records: Vec<Vec<u8>>, effects: &mut Vec<Effect>) {
        let known = std::mem::take(&mut self.known);
        let before = self.unkept.len();
        self.unkept.extend(records.into_iter().skip(known).map(RecordBytes));
        self.saves.push_back((number, self.first + self.unkept.len() as u64));
        if self.unkept.len() > before {
            self.keep(before, to_disk, effects);
        }
    }

    /// This host has completed the saves up to this number.
    pub fn saved_here(&mut self, number: u64) -> News {
        self.saved_here = Some(number);
        self.completed()
    }

    /// The Mirror says something.
    pub fn heard(&mut self, message: CopyMessage, effects: &mut Vec<Effect>) -> News {
        match message {
            CopyMessage::Copy { life, count, first, records } if life == self.life && !self.is_open => {
                self.copied(count, first, records, effects)
            }
            CopyMessage::Kept { life, next } if life == self.life => {
                self.kept_below(next);
                match self.is_open {
                    true => self.completed(),
                    false => self.open_if_alike(),
                }
            }
            CopyMessage::Copy { .. } | CopyMessage::Kept { .. } => News::Nothing,
        }
    }

    fn copied(&mut self, count: u64, first: u64, records: Vec<RecordBytes>, effects: &mut Vec<Effect>) -> News {
        if self.home.moved && self.have == 0 && count == 0 {
            return News::Forgotten;
        }
        self.kept_below(count.min(self.have));
        if count < self.have {
            self.keep(0, true, effects);
            return News::Nothing;
        }
        if first == self.have + self.lacked.len() as u64 {
            self.lacked.extend(records.into_iter().map(|record| record.0));
        }
        match self.have + self.lacked.len() as u64 == count {
            true => self.open_if_alike(),
            false => News::Nothing,
        }
    }

    fn open_if_alike(&mut self) -> News {
        if !self.unkept.is_empty() {
            return News::Nothing;
        }
        self.is_open = true;
        let lacked = std::mem::take(&mut self.lacked);
        self.known = lacked.len();
        self.first += lacked.len() as u64;
        News::Opened(lacked)
    }

    fn kept_below(&mut self, next: u64) {
        while self.first < next && self.unkept.pop_front().is_some() {
            self.first += 1;
        }
    }

    fn completed(&mut self) -> News {
        let mut news = News::Nothing;
        while let Some(&(number, records)) = self.saves.front() {
            if records > self.first || self.saved_here < Some(number) {
                break;
            }
            news = News::Completed(number);
            self.saves.pop_front();
        }
        news
    }

    fn keep(&self, from: usize, to_disk: bool, effects: &mut Vec<Effect>) {
        for (first, records) in parts(self.first + from as u64, self.unkept.iter().skip(from)) {
            let keep = MirrorMessage::Keep { life: self.life, first, records, to_disk };
            effects.push(Effect::Send { to: self.mirror, message: keep.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    const LIFE: Incarnation = Incarnation(3);

    fn copying(moved: bool, restored: &[Vec<u8>]) -> Copying {
        let home = SecondHome { host: HostId(2), moved };
        let mut copying = Copying::new(JobId(1), LIFE, HostId(1), home);
        copying.restored(restored);
        copying
    }

    fn copy(count: u64, first: u64, bytes: &[u8]) -> CopyMessage {
        let records = bytes.iter().map(|&byte| RecordBytes(vec![byte])).collect();
        CopyMessage::Copy { life: LIFE, count, first, records }
    }

    fn kept(next: u64) -> CopyMessage {
        CopyMessage::Kept { life: LIFE, next }
    }

    /// Numbers of the first records that the Mirror is told to keep, and how many there are.
    fn told(effects: &[Effect]) -> Vec<(u64, usize)> {
        let keep = |effect: &Effect| match effect {
            Effect::Send { message: Message::Mirror(MirrorMessage::Keep { first, records, .. }), .. } => {
                Some((*first, records.len()))
            }
            _ => None,
        };
        effects.iter().filter_map(keep).collect()
    }

    #[test]
    fn a_life_elsewhere_is_given_all_that_was_saved() {
        let (mut copying, mut effects) = (copying(true, &[]), Vec::new());
        assert_eq!(copying.heard(copy(3, 0, &[1, 2]), &mut effects), News::Nothing);
        assert_eq!(copying.heard(copy(3, 2, &[3]), &mut effects), News::Opened(vec![vec![1], vec![2], vec![3]]));
        // They are saved here, and are there already.
        copying.add(0, true, vec![vec![1], vec![2], vec![3], vec![4]], &mut effects);
        assert_eq!(told(&effects), [(3, 1)]);
        assert_eq!(copying.saved_here(0), News::Nothing);
        assert_eq!(copying.heard(kept(4), &mut effects), News::Completed(0));
    }

    #[test]
    fn a_new_mirror_is_given_all_that_this_life_has_before_anything_is_done() {
        let (mut copying, mut effects) = (copying(false, &[vec![1], vec![2]]), Vec::new());
        assert_eq!(copying.heard(copy(0, 0, &[]), &mut effects), News::Nothing);
        assert_eq!(told(&effects), [(0, 2)]);
        assert!(!copying.is_open());
        assert_eq!(copying.heard(kept(2), &mut effects), News::Opened(Vec::new()));
    }

    #[test]
    fn what_is_in_neither_home_is_forgotten() {
        assert_eq!(copying(true, &[]).heard(copy(0, 0, &[]), &mut Vec::new()), News::Forgotten);
        assert_eq!(copying(false, &[]).heard(copy(0, 0, &[]), &mut Vec::new()), News::Opened(Vec::new()));
    }

    #[test]
    fn what_was_not_confirmed_is_said_again_when_the_link_comes_up() {
        let (mut copying, mut effects) = (copying(false, &[]), Vec::new());
        assert_eq!(copying.heard(copy(0, 0, &[]), &mut effects), News::Opened(Vec::new()));
        copying.add(0, false, vec![vec![1], vec![2]], &mut effects);
        copying.heard(kept(1), &mut effects);
        effects.clear();
        copying.up(ArmorName::Ftm, &mut effects);
        assert_eq!(told(&effects), []);
        copying.up(ArmorName::Mirror(JobId(1)), &mut effects);
        assert_eq!(told(&effects), [(1, 1)]);
        assert_eq!(copying.heard(CopyMessage::Kept { life: Incarnation(2), next: 9 }, &mut effects), News::Nothing);
    }
}
