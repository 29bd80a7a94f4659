//! Mirror: on another host than the SM and the Voter of a job, it has a copy of what they save.
//!
//! What an SM or a Voter says was saved on two hosts, so that their next lives elsewhere know what they know, should
//! their host be lost. The copy is also a fence: once a later life has opened it, nothing is taken of an earlier one,
//! which then never completes a save again and says nothing that follows from one.
//!
//! A Mirror whose host is lost is installed elsewhere, with nothing. Those who save are then given new lives in place,
//! which bring all that they have. One that was moved and has nothing either says that both copies are lost.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step};
use crate::elements::copying::parts;
use crate::message::{CopyMessage, MirrorMessage, RecordBytes};
use crate::names::{ArmorName, Incarnation, JobId};

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum MirrorRecord {
    /// A life of this ARMOR saves from now on.
    #[n(0)]
    Opened(#[n(0)] ArmorName, #[n(1)] Incarnation),
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
    records: Vec<RecordBytes>,
}

impl Mirror {
    #[must_use]
    pub fn new(job: JobId) -> Self {
        Mirror { job, copies: BTreeMap::new(), done: 0 }
    }

    fn count(&self, name: ArmorName) -> u64 {
        self.copies.get(&name).map_or(0, |copy| copy.records.len() as u64)
    }

    fn life(&self, name: ArmorName) -> Incarnation {
        self.copies.get(&name).map(|copy| copy.life).unwrap_or_default()
    }

    fn open(&mut self, name: ArmorName, life: Incarnation, have: u64, step: &mut Step<MirrorRecord>) {
        if life < self.life(name) {
            return;
        }
        let count = self.count(name);
        if life > self.life(name) {
            step.record(self, MirrorRecord::Opened(name, life));
        }
        let Some(copy) = self.copies.get(&name) else { return };
        let begin = have.min(count);
        let lacking = copy.records.iter().skip(usize::try_from(begin).unwrap_or(usize::MAX));
        for (first, records) in parts(begin, lacking) {
            step.send(name, CopyMessage::Copy { life, count, first, records });
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
        if life != self.life(name) {
            return step;
        }
        let next = self.count(name);
        let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let news: Vec<RecordBytes> = records.into_iter().skip(known).collect();
        if first <= next && !news.is_empty() {
            let record = MirrorRecord::Kept(name, news);
            match to_disk {
                true => step.record_on_disk(self, record),
                false => step.record(self, record),
            }
        }
        step.send(name, CopyMessage::Kept { life, next: self.count(name) });
        step
    }
}

impl Armor for Mirror {
    type Message = MirrorMessage;
    type Record = MirrorRecord;

    fn apply(&mut self, record: &MirrorRecord) {
        self.done += 1;
        match record {
            MirrorRecord::Opened(name, life) => self.copies.entry(*name).or_default().life = *life,
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
                    MirrorMessage::Open { life, have, host } => {
                        step.then(Effect::Locate { name: from, host });
                        self.open(from, life, have, &mut step);
                    }
                    MirrorMessage::Keep { life, first, records, to_disk } => {
                        step.append(self.keep(from, life, first, records, to_disk));
                    }
                }
            }
            // What it was told may have been answered to nobody: it is said again by whoever waits for it.
            Event::Link(LinkEvent::Up { .. } | LinkEvent::Down { .. })
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
    use crate::message::Message;
    use crate::names::{HostId, Millis};

    const VOTER: ArmorName = ArmorName::Voter(JobId(1));

    const NOW: Moment = Moment { boot: Millis(0), unix_ms: 0 };

    fn says(mirror: &mut Mirror, message: MirrorMessage) -> Vec<CopyMessage> {
        let said = |effect: Effect| match effect {
            Effect::Send { to: VOTER, message: Message::Copy(message) } => Some(message),
            Effect::Locate { name: VOTER, host: HostId(1) } => None,
            other => panic!("{other:?}"),
        };
        mirror.handle(NOW, Event::Message { from: VOTER, message }).then.into_iter().filter_map(said).collect()
    }

    fn open(life: u32, have: u64) -> MirrorMessage {
        MirrorMessage::Open { life: Incarnation(life), have, host: HostId(1) }
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
        CopyMessage::Copy { life: Incarnation(life), count, first, records }
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
        assert_eq!(says(&mut mirror, open(1_002, 6)), [copy(1_002, 4, 4, &[])], "it lacks two itself");
    }
}
