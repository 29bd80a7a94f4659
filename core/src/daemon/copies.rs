//! Copies of what ARMORs of other hosts save, for their successors here.

use std::collections::BTreeMap;

use crate::armor::Effect;
use crate::daemon::{Daemon, DaemonRecord, DaemonStep};
use crate::message::Copied;
use crate::names::{ArmorName, Incarnation};
use crate::world::{ProcessCommand, RecordBytes};

/// What this host has of an ARMOR that lives on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copy {
    /// The life that sends it.
    life: Incarnation,
    /// Number of the next record; `None`: not known to this life of the daemon.
    asked: Option<u64>,
    /// How many are written.
    kept: u64,
    base: u64,
}

/// All copies on this host.
#[derive(Debug, Default)]
pub struct Copies {
    open: BTreeMap<ArmorName, Copy>,
    /// The life whose copy is whole. Durable.
    whole: BTreeMap<ArmorName, Incarnation>,
}

impl Copies {
    pub fn apply(&mut self, name: ArmorName, life: Incarnation) {
        self.whole.insert(name, life);
    }

    pub fn forget(&mut self, name: ArmorName) {
        self.open.remove(&name);
        self.whole.remove(&name);
    }

    #[must_use]
    pub fn has_whole(&self, name: ArmorName) -> bool {
        self.whole.contains_key(&name)
    }
}

impl Daemon {
    /// An ARMOR of another host sends what it saves. One that has a successor here has said enough.
    pub(super) fn mirror(
        &mut self,
        name: ArmorName,
        life: Incarnation,
        base: u64,
        first: u64,
        records: Vec<RecordBytes>,
        step: &mut DaemonStep,
    ) {
        let whole = self.copies.whole.get(&name).copied().unwrap_or_default();
        if self.charges.get(&name).is_some_and(|charge| charge.incarnation >= life) || whole > life {
            return;
        }
        let known = self.copies.open.get(&name).copied().unwrap_or_default();
        let mut copy = match known.life.cmp(&life) {
            std::cmp::Ordering::Greater => return,
            std::cmp::Ordering::Equal => known,
            std::cmp::Ordering::Less => Copy { life, asked: None, kept: 0, base },
        };
        let next = copy.asked.unwrap_or(first);
        if first <= next {
            let skip = usize::try_from(next - first).unwrap_or(usize::MAX);
            let records: Vec<RecordBytes> = records.into_iter().skip(skip).collect();
            copy.asked = Some(next + records.len() as u64);
            let whole = copy.asked >= Some(base);
            step.then(Effect::Process(ProcessCommand::Copy { name, life, first: next, records, whole }));
        }
        self.copies.open.insert(name, copy);
    }

    /// The copy of an ARMOR's records is written up to here.
    pub(super) fn copied(&mut self, name: ArmorName, life: Incarnation, next: u64, step: &mut DaemonStep) {
        let Some(copy) = self.copies.open.get_mut(&name).filter(|copy| copy.life == life) else { return };
        copy.kept = copy.kept.max(next);
        if copy.kept >= copy.base && self.copies.whole.get(&name) != Some(&life) {
            self.save(step, DaemonRecord::Copied { name, life });
        }
        self.say_copied(name, step);
    }

    /// Tells an ARMOR what its mirror has, now or when it can be reached.
    pub(super) fn say_copied(&self, name: ArmorName, step: &mut DaemonStep) {
        if let Some(copy) = self.copies.open.get(&name) {
            step.send(name, Copied { life: copy.life, next: copy.kept });
        }
    }
}
