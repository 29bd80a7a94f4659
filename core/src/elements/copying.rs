//! What an SM or a Voter saves is saved on another host as well, by its Mirror.
//!
//! ```text
//!            the Mirror has more                 this life has all
//!   Asking ───────────────────────► (it is given) ──────────────────► Open
//!      │                                                               ▲
//!      └── this life has more ──► Bringing ── the Mirror has all ──────┘
//! ```
//!
//! A save has completed when both hosts have it. A life that opens the copy lacks what was saved elsewhere, and gets it; or
//! the Mirror is new and lacks what this life has, and gets that. Nothing is done and said before. What is said to the
//! Mirror itself waits for no save: saves wait for it.
//!
//! Where a copy is of no use any more, nothing completes, and the FTM is told why: it alone can give another life.

use std::collections::VecDeque;

use crate::armor::Effect;
use crate::message::{CopyMessage, FtmMessage, MirrorMessage, RecordBytes, Unmirrored};
use crate::names::{ArmorName, HostId, Incarnation, JobId};
use crate::world::SecondHome;

/// Most records, and about the most bytes of them, in one message.
const RECORDS_AT_ONCE: usize = 1_024;
const BYTES_AT_ONCE: usize = 1 << 20;

/// How a life stands with its Mirror.
#[derive(Debug)]
pub struct Copying {
    name: ArmorName,
    mirror: ArmorName,
    /// The Mirror's host, and our own.
    home: SecondHome,
    host: HostId,
    life: Incarnation,
    stage: Stage,
    /// Records that this life was restored from.
    have: u64,
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

#[derive(Debug)]
enum Stage {
    /// What the Mirror has beyond what this life has, as far as it came.
    Asking {
        lacked: Vec<Vec<u8>>,
    },
    /// The Mirror is given what it lacks.
    Bringing,
    Open,
    /// Nothing completes any more.
    Over(Unmirrored),
}

/// What a word of the Mirror means, or a save of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// The copy is open; this life lacked these records.
    Opened(Vec<Vec<u8>>),
    /// Both hosts have completed the saves up to this number.
    Completed(u64),
}

/// Records from this number on, in parts that fit into a message; at least one, which may be empty.
pub fn parts<'a>(first: u64, records: impl IntoIterator<Item = &'a RecordBytes>) -> Vec<(u64, Vec<RecordBytes>)> {
    let mut parts = Vec::new();
    let (mut begin, mut part, mut bytes) = (first, Vec::new(), 0);
    for record in records {
        if part.len() >= RECORDS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            let full = std::mem::take(&mut part);
            let next = begin + full.len() as u64;
            parts.push((std::mem::replace(&mut begin, next), full));
            bytes = 0;
        }
        part.push(record.clone());
        bytes += record.0.len();
    }
    parts.push((begin, part));
    parts
}

impl Copying {
    /// Of a life of this ARMOR of a job on this host; its Mirror is there.
    #[must_use]
    pub fn new(name: ArmorName, job: JobId, life: Incarnation, host: HostId, home: SecondHome) -> Self {
        Copying {
            name,
            mirror: ArmorName::Mirror(job),
            home,
            host,
            life,
            stage: Stage::Asking { lacked: Vec::new() },
            have: 0,
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
        matches!(self.stage, Stage::Open)
    }

    /// Whether something waits for the Mirror.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.is_open() || !self.unkept.is_empty()
    }

    /// This life was restored from these records.
    pub fn restored(&mut self, records: &[Vec<u8>]) {
        self.have = records.len() as u64;
        self.unkept.extend(records.iter().cloned().map(RecordBytes));
    }

    /// This life begins.
    pub fn begin(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Locate { name: self.mirror, host: self.home.host });
        self.say_to_mirror(effects);
    }

    /// A link came up: what that peer did not confirm is said again.
    pub fn up(&self, peer: ArmorName, effects: &mut Vec<Effect>) {
        match peer {
            ArmorName::Ftm => self.say_to_ftm(effects),
            peer if peer == self.mirror => self.say_to_mirror(effects),
            _ => {}
        }
    }

    fn say_to_mirror(&self, effects: &mut Vec<Effect>) {
        match self.stage {
            Stage::Asking { .. } => {
                let open = MirrorMessage::Open { life: self.life, have: self.have, host: self.host };
                effects.push(Effect::Send { to: self.mirror, message: open.into() });
            }
            Stage::Bringing => self.keep(0, true, effects),
            Stage::Open if !self.unkept.is_empty() => self.keep(0, true, effects),
            Stage::Open | Stage::Over(_) => {}
        }
    }

    fn say_to_ftm(&self, effects: &mut Vec<Effect>) {
        if let Stage::Over(why) = self.stage {
            let message = FtmMessage::Unmirrored { name: self.name, incarnation: self.life, why };
            effects.push(Effect::Send { to: ArmorName::Ftm, message: message.into() });
        }
    }

    fn over(&mut self, why: Unmirrored, effects: &mut Vec<Effect>) -> News {
        self.stage = Stage::Over(why);
        self.say_to_ftm(effects);
        News::Nothing
    }

    /// A save of these records was asked for.
    pub fn add(&mut self, number: u64, to_disk: bool, records: Vec<Vec<u8>>, effects: &mut Vec<Effect>) {
        let known = std::mem::take(&mut self.known);
        let before = self.unkept.len();
        self.unkept.extend(records.into_iter().skip(known).map(RecordBytes));
        self.saves.push_back((number, self.first + self.unkept.len() as u64));
        if self.is_open() && self.unkept.len() > before {
            self.keep(before, to_disk, effects);
        }
    }

    /// This host has completed the saves up to this number.
    pub fn saved_here(&mut self, number: u64) -> News {
        self.saved_here = self.saved_here.max(Some(number));
        self.completed()
    }

    /// The Mirror says something.
    pub fn heard(&mut self, message: CopyMessage, effects: &mut Vec<Effect>) -> News {
        match message {
            CopyMessage::Copy { life, count, first, records, needed } if life == self.life => {
                let is_lost = self.have.max(count) < needed || (self.home.moved && self.have == 0 && count == 0);
                match self.stage {
                    Stage::Asking { .. } if is_lost => self.over(Unmirrored::Forgotten, effects),
                    Stage::Asking { .. } => self.copied(count, first, records, effects),
                    Stage::Bringing | Stage::Open | Stage::Over(_) => self.kept(count, effects),
                }
            }
            CopyMessage::Kept { life, next } if life == self.life => self.kept(next, effects),
            CopyMessage::Copy { .. } | CopyMessage::Kept { .. } => News::Nothing,
        }
    }

    fn copied(&mut self, count: u64, first: u64, records: Vec<RecordBytes>, effects: &mut Vec<Effect>) -> News {
        let Stage::Asking { lacked } = &mut self.stage else { return News::Nothing };
        if count < self.have {
            self.stage = Stage::Bringing;
            self.kept_below(count);
            self.keep(0, true, effects);
            return News::Nothing;
        }
        if first == self.have {
            lacked.clear();
        }
        if first == self.have + lacked.len() as u64 {
            lacked.extend(records.into_iter().map(|record| record.0));
        }
        if self.have + (lacked.len() as u64) < count {
            return News::Nothing;
        }
        let lacked = std::mem::take(lacked);
        self.kept_below(self.have);
        self.known = lacked.len();
        self.first += lacked.len() as u64;
        self.stage = Stage::Open;
        News::Opened(lacked)
    }

    fn kept(&mut self, next: u64, effects: &mut Vec<Effect>) -> News {
        match self.stage {
            Stage::Bringing | Stage::Open if next < self.first => self.over(Unmirrored::Behind, effects),
            Stage::Bringing => {
                self.kept_below(next);
                if !self.unkept.is_empty() {
                    return News::Nothing;
                }
                self.stage = Stage::Open;
                News::Opened(Vec::new())
            }
            Stage::Open => {
                self.kept_below(next);
                self.completed()
            }
            Stage::Asking { .. } | Stage::Over(_) => News::Nothing,
        }
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
    const VOTER: ArmorName = ArmorName::Voter(JobId(1));

    fn copying(moved: bool, restored: &[Vec<u8>]) -> Copying {
        let home = SecondHome { host: HostId(2), moved };
        let mut copying = Copying::new(VOTER, JobId(1), LIFE, HostId(1), home);
        copying.restored(restored);
        copying
    }

    fn records(bytes: &[u8]) -> Vec<RecordBytes> {
        bytes.iter().map(|&byte| RecordBytes(vec![byte])).collect()
    }

    fn copy(count: u64, first: u64, bytes: &[u8]) -> CopyMessage {
        let records = records(bytes);
        CopyMessage::Copy { life: LIFE, count, first, records, needed: 0 }
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

    fn ftm_told(effects: &[Effect]) -> Vec<Unmirrored> {
        let why = |effect: &Effect| match effect {
            Effect::Send { message: Message::Ftm(FtmMessage::Unmirrored { name: VOTER, why, .. }), .. } => Some(*why),
            _ => None,
        };
        effects.iter().filter_map(why).collect()
    }

    #[test]
    fn a_life_elsewhere_is_given_all_that_was_saved() {
        let (mut copying, mut effects) = (copying(true, &[]), Vec::new());
        assert_eq!(copying.heard(copy(3, 0, &[1, 2]), &mut effects), News::Nothing);
        // The link broke, and all is given again.
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
        assert_eq!(copying.heard(kept(2), &mut effects), News::Nothing, "of which nobody knows what they are");
        assert_eq!(copying.heard(copy(0, 0, &[]), &mut effects), News::Nothing);
        assert_eq!(told(&effects), [(0, 2)]);
        assert!(!copying.is_open());
        assert_eq!(copying.heard(kept(1), &mut effects), News::Nothing);
        effects.clear();
        copying.up(ArmorName::Mirror(JobId(1)), &mut effects);
        assert_eq!(told(&effects), [(1, 1)]);
        assert_eq!(copying.heard(kept(2), &mut effects), News::Opened(Vec::new()));
    }

    #[test]
    fn what_is_in_neither_home_is_forgotten_and_the_ftm_is_told_until_it_hears() {
        let mut effects = Vec::new();
        assert_eq!(copying(false, &[]).heard(copy(0, 0, &[]), &mut effects), News::Opened(Vec::new()));
        assert_eq!(ftm_told(&effects), []);
        let mut copying = copying(true, &[]);
        assert_eq!(copying.heard(copy(0, 0, &[]), &mut effects), News::Nothing);
        copying.up(ArmorName::Ftm, &mut effects);
        assert_eq!(ftm_told(&effects), [Unmirrored::Forgotten, Unmirrored::Forgotten]);
        assert!(!copying.is_open());
    }

    #[test]
    fn a_part_of_a_copy_is_as_good_as_none() {
        let half = |needed| CopyMessage::Copy { life: LIFE, count: 1, first: 0, records: records(&[1]), needed };
        let mut effects = Vec::new();
        assert_eq!(copying(true, &[]).heard(half(2), &mut effects), News::Nothing);
        assert_eq!(ftm_told(&effects), [Unmirrored::Forgotten]);
        assert_eq!(copying(true, &[]).heard(half(1), &mut effects), News::Opened(vec![vec![1]]));
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

    #[test]
    fn a_mirror_that_lost_what_it_confirmed_is_of_no_use_to_this_life() {
        let (mut copying, mut effects) = (copying(false, &[vec![1], vec![2]]), Vec::new());
        assert_eq!(copying.heard(copy(2, 2, &[]), &mut effects), News::Opened(Vec::new()));
        copying.add(0, false, vec![vec![3]], &mut effects);
        assert_eq!(copying.saved_here(0), News::Nothing);
        assert_eq!(copying.heard(kept(1), &mut effects), News::Nothing);
        assert_eq!(ftm_told(&effects), [Unmirrored::Behind]);
        assert_eq!(copying.heard(kept(3), &mut effects), News::Nothing);
    }
}
