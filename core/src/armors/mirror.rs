//! Mirror: on another host than the SM and the Voter of a job, it has a copy of what they save.
//!
//! What an SM or a Voter says was saved on two hosts, so that their next lives elsewhere know what they know, should
//! their host be lost. The copy is also a fence: once a later life has opened it, nothing is taken of an earlier one,
//! which then never completes a save again and says nothing that follows from one.
//!
//! A Mirror whose host is lost is installed elsewhere, with nothing. Those who save are then given new lives in place,
//! which bring all that they have. A life elsewhere that finds less than there once was says that both copies are lost.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step};
use crate::elements::copying::parts;
use crate::message::{CopyMessage, MirrorMessage, RecordBytes};
use crate::names::{ArmorName, HostId, Incarnation, JobId};

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum MirrorRecord {
    /// A life of this ARMOR saves from now on, on this host, where it has so many records.
    #[n(0)]
    Opened(#[n(0)] ArmorName, #[n(1)] Incarnation, #[n(2)] HostId, #[n(3)] u64),
    #[n(1)]
    Kept(#[n(0)] ArmorName, #[n(1)] Vec<RecordBytes>),
}

/// The Mirror of one job.
#[derive(Debug)]
pub struct Mirror {
    job: JobId,
    copies: BTreeMap<ArmorName, Copy>,
    done: u64,
}

/// What one ARMOR has saved.
#[derive(Debug, Default)]
struct Copy {
    life: Incarnation,
    host: HostId,
    records: Vec<RecordBytes>,
    /// The most that a life had when it began: with fewer, the copy is a part of one.
    needed: u64,
    /// This life has so many, asked for the others, and has saved nothing yet; forgotten with this process.
    asked: Option<u64>,
}

impl Copy {
    fn count(&self) -> u64 {
        self.records.len() as u64
    }
}

impl Mirror {
    #[must_use]
    pub fn new(job: JobId) -> Self {
        Mirror { job, copies: BTreeMap::new(), done: 0 }
    }

    /// A life begins. That it did is on disk before it is told anything, so that not even the power brings an earlier
    /// one back.
    fn open(&mut self, name: ArmorName, life: Incarnation, have: u64, host: HostId, step: &mut Step<MirrorRecord>) {
        let (known, before) = self.copies.get(&name).map(|copy| (copy.life, copy.host)).unwrap_or_default();
        if life < known {
            return;
        }
        if life > known {
            let record = MirrorRecord::Opened(name, life, host, have);
            match life > Incarnation(1) {
                true => step.record_on_disk(self, record),
                false => step.record(self, record),
            }
        }
        // Where it is, is not told: it calls, and is answered on the same link.
        if known > Incarnation::default() && before != host {
            step.then(Effect::Renew { peer: name });
        }
        if let Some(copy) = self.copies.get_mut(&name) {
            copy.asked = Some(have);
        }
        self.answer(name, step);
    }

    /// Says what an ARMOR waits for: what it lacks, or how much of what it saved is here.
    fn answer(&self, name: ArmorName, step: &mut Step<MirrorRecord>) {
        let Some(copy) = self.copies.get(&name) else { return };
        let (life, count, needed) = (copy.life, copy.count(), copy.needed);
        let Some(have) = copy.asked else { return step.send(name, CopyMessage::Kept { life, next: count }) };
        let begin = have.min(count);
        let lacking = copy.records.iter().skip(usize::try_from(begin).unwrap_or(usize::MAX));
        for (first, records) in parts(begin, lacking) {
            step.send(name, CopyMessage::Copy { life, count, first, records, needed });
        }
    }

    fn keep(
        &mut self,
        name: ArmorName,
        life: Incarnation,
        first: u64,
        records: Vec<RecordBytes>,
        to_disk: bool,
    ) -> Step<MirrorRecord> {
        let mut step = Step::none();
        let Some(copy) = self.copies.get_mut(&name).filter(|copy| copy.life == life) else { return step };
        copy.asked = None;
        let next = copy.count();
        let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let news: Vec<RecordBytes> = records.into_iter().skip(known).collect();
        if first <= next && !news.is_empty() {
            let record = MirrorRecord::Kept(name, news);
            match to_disk {
                true => step.record_on_disk(self, record),
                false => step.record(self, record),
            }
        }
        self.answer(name, &mut step);
        step
    }
}

impl Armor for Mirror {
    type Message = MirrorMessage;
    type Record = MirrorRecord;

    fn apply(&mut self, record: &MirrorRecord) {
        self.done += 1;
        match record {
            MirrorRecord::Opened(name, life, host, have) => {
                let copy = self.copies.entry(*name).or_default();
                (copy.life, copy.host, copy.needed) = (*life, *host, copy.needed.max(*have));
            }
            MirrorRecord::Kept(name, records) => {
                self.copies.entry(*name).or_default().records.extend(records.iter().cloned());
            }
        }
    }

    fn handle(&mut self, _now: Moment, event: Event<MirrorMessage>) -> Step<MirrorRecord> {
        let mut step = Step::none();
        match event {
            Event::Message { from: from @ (ArmorName::Surrogate(job) | ArmorName::Voter(job)), message }
                if job == self.job =>
            {
                match message {
                    MirrorMessage::Open { life, have, host } => self.open(from, life, have, host, &mut step),
                    MirrorMessage::Keep { life, first, records, to_disk } => {
                        step.append(self.keep(from, life, first, records, to_disk));
                    }
                }
            }
            Event::Link(LinkEvent::Up { peer, .. }) => self.answer(peer, &mut step),
            Event::Link(LinkEvent::Down { .. })
            | Event::Message { .. }
            | Event::Timer(_)
            | Event::Slot(_)
            | Event::Process(_)
            | Event::File(_)
            | Event::Datagram { .. } => {}
        }
        step
    }

    fn resume(&mut self, _now: Moment) -> Step<MirrorRecord> {
        Step::none()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, pending: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::armor::Save;
    use crate::message::Message;
    use crate::names::Millis;

    const VOTER: ArmorName = ArmorName::Voter(JobId(1));

    const NOW: Moment = Moment { boot: Millis(0), unix_ms: 0 };

    fn says(mirror: &mut Mirror, message: MirrorMessage) -> Vec<CopyMessage> {
        said(mirror.handle(NOW, Event::Message { from: VOTER, message }))
    }

    fn up(mirror: &mut Mirror) -> Vec<CopyMessage> {
        said(mirror.handle(NOW, Event::Link(LinkEvent::Up { peer: VOTER, incarnation: Incarnation(1) })))
    }

    fn said(step: Step<MirrorRecord>) -> Vec<CopyMessage> {
        let said = |effect: Effect| match effect {
            Effect::Send { to: VOTER, message: Message::Copy(message) } => Some(message),
            Effect::Renew { peer: VOTER } => None,
            other => panic!("{other:?}"),
        };
        step.then.into_iter().filter_map(said).collect()
    }

    fn open(life: u32, have: u64) -> MirrorMessage {
        MirrorMessage::Open { life: Incarnation(life), have, host: HostId(1 + life / 1_000) }
    }

    fn keep(life: u32, first: u64, records: &[u8]) -> MirrorMessage {
        let records = records.iter().map(|&byte| RecordBytes(vec![byte])).collect();
        MirrorMessage::Keep { life: Incarnation(life), first, records, to_disk: false }
    }

    fn kept(life: u32, next: u64) -> CopyMessage {
        CopyMessage::Kept { life: Incarnation(life), next }
    }

    fn copy(life: u32, count: u64, first: u64, records: &[u8]) -> CopyMessage {
        let records = records.iter().map(|&byte| RecordBytes(vec![byte])).collect();
        CopyMessage::Copy { life: Incarnation(life), count, first, records, needed: 0 }
    }

    fn with_needed(mut copy: CopyMessage, most: u64) -> CopyMessage {
        if let CopyMessage::Copy { needed, .. } = &mut copy {
            *needed = most;
        }
        copy
    }

    #[test]
    fn a_later_life_gets_what_it_lacks_and_an_earlier_one_keeps_nothing_more() {
        let mut mirror = Mirror::new(JobId(1));
        assert_eq!(says(&mut mirror, open(1, 0)), [copy(1, 0, 0, &[])]);
        assert_eq!(says(&mut mirror, keep(1, 0, &[1, 2])), [kept(1, 2)]);
        assert_eq!(says(&mut mirror, keep(1, 1, &[2, 3])), [kept(1, 3)], "what comes twice is kept once");
        assert_eq!(says(&mut mirror, keep(1, 9, &[9])), [kept(1, 3)], "nothing is kept behind a gap");
        assert_eq!(says(&mut mirror, open(1_001, 0)), [copy(1_001, 3, 0, &[1, 2, 3])]);
        assert_eq!(says(&mut mirror, keep(1, 3, &[4])), [], "an earlier life waits for ever");
        assert_eq!(says(&mut mirror, open(1, 3)), []);
        assert_eq!(says(&mut mirror, keep(1_001, 3, &[5])), [kept(1_001, 4)]);
        let lacking = with_needed(copy(1_002, 4, 4, &[]), 6);
        assert_eq!(says(&mut mirror, open(1_002, 6)), [lacking], "it lacks two itself");
    }

    #[test]
    fn what_was_said_to_nobody_is_said_again_when_the_link_comes_up() {
        let mut mirror = Mirror::new(JobId(1));
        assert_eq!(up(&mut mirror), [], "of one that never saved anything");
        says(&mut mirror, open(1, 0));
        assert_eq!(up(&mut mirror), [copy(1, 0, 0, &[])]);
        says(&mut mirror, keep(1, 0, &[1, 2]));
        assert_eq!(up(&mut mirror), [kept(1, 2)]);
        says(&mut mirror, open(1_001, 1));
        let lacking = with_needed(copy(1_001, 2, 1, &[2]), 1);
        assert_eq!(up(&mut mirror), [lacking]);
    }

    #[test]
    fn a_later_life_is_on_disk_before_it_is_told_anything() {
        let mut mirror = Mirror::new(JobId(1));
        let mut opens = |life| mirror.handle(NOW, Event::Message { from: VOTER, message: open(life, 0) }).save;
        assert!(matches!(opens(1), Some(Save::Process(_))));
        assert!(matches!(opens(2), Some(Save::Disk(_))));
        assert_eq!(opens(2), None);
    }

    #[test]
    fn a_mirror_that_died_knows_what_it_kept() {
        let mut mirror = Mirror::new(JobId(1));
        mirror.apply(&MirrorRecord::Opened(VOTER, Incarnation(1_001), HostId(3), 0));
        mirror.apply(&MirrorRecord::Kept(VOTER, vec![RecordBytes(vec![1])]));
        assert_eq!(up(&mut mirror), [kept(1_001, 1)]);
    }
}
