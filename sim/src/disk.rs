//! The invented disk: what each ARMOR saved, and what of it survives.
//!
//! A save is first under way, then written, then synced. A killed process loses what was under way; a
//! loss of power also loses what was written and not synced, from some point on (a torn tail).

use std::collections::BTreeMap;

use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::{Place, Saved};
use chameleon_core::world::RecordBytes;

use crate::chance::Chance;

/// Whose records they are.
pub type Owner = (HostId, ArmorName);

/// Everything that was ever saved and not deleted.
#[derive(Debug, Default)]
pub struct Disk {
    journals: BTreeMap<Owner, Journal>,
    /// What is copied of ARMORs of other hosts, by the host that has it, and of which life it is.
    copies: BTreeMap<Owner, (Incarnation, Journal)>,
}

#[derive(Debug, Default)]
struct Journal {
    /// Saves in the order in which they were written; each whole or not at all.
    saves: Vec<Vec<Saved>>,
    /// How many of them survive a loss of power.
    synced: usize,
}

impl Disk {
    /// A save is written: it survives the death of its process. Returns how many there are now.
    pub fn write(&mut self, owner: Owner, records: Vec<Saved>) -> usize {
        let journal = self.journals.entry(owner).or_default();
        journal.saves.push(records);
        journal.saves.len()
    }

    /// Copies what an ARMOR of another host saved, from record `first` on; returns how many there are.
    /// Once it is whole it is what a life of that ARMOR here is restored from.
    pub fn copy(
        &mut self,
        owner: Owner,
        life: Incarnation,
        first: u64,
        records: Vec<RecordBytes>,
        whole: bool,
    ) -> u64 {
        let journals = if whole && self.copies.get(&owner).is_none_or(|(of, _)| *of != life) && first > 0 {
            self.journals.entry(owner).or_default()
        } else {
            let known = self.copies.entry(owner).or_insert_with(|| (life, Journal::default()));
            if known.0 != life {
                *known = (life, Journal::default());
            }
            &mut known.1
        };
        journals.saves.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        let saved = |record: RecordBytes| vec![Saved { place: Place::Append, bytes: record.0 }];
        journals.saves.extend(records.into_iter().map(saved));
        journals.synced = journals.synced.min(journals.saves.len());
        let next = journals.saves.len() as u64;
        if whole && let Some((_, journal)) = self.copies.remove(&owner) {
            self.journals.insert(owner, journal);
        }
        next
    }

    /// The first so many saves of this ARMOR survive a loss of power.
    pub fn sync(&mut self, owner: Owner, count: usize) {
        if let Some(journal) = self.journals.get_mut(&owner) {
            journal.synced = journal.synced.max(count).min(journal.saves.len());
        }
    }

    /// What an ARMOR is restored from: its keyed records in order of keys, then its journal.
    #[must_use]
    pub fn records(&self, owner: Owner) -> Vec<Vec<u8>> {
        let (mut keyed, mut appended) = (BTreeMap::new(), Vec::new());
        let saves = self.journals.get(&owner).map(|journal| journal.saves.as_slice()).unwrap_or_default();
        for record in saves.iter().flatten() {
            match &record.place {
                Place::Append => appended.push(record.bytes.clone()),
                Place::Put(key) => {
                    keyed.insert(key.clone(), record.bytes.clone());
                }
                Place::Delete(key) => {
                    keyed.remove(key);
                }
            }
        }
        keyed.into_values().chain(appended).collect()
    }

    /// Everything of this ARMOR goes.
    pub fn delete(&mut self, owner: Owner) {
        self.journals.remove(&owner);
        self.copies.remove(&owner);
    }

    /// Whether this ARMOR has left anything here.
    #[must_use]
    pub fn has(&self, owner: Owner) -> bool {
        self.journals.contains_key(&owner)
    }

    /// Who has left something here.
    pub fn owners(&self) -> impl Iterator<Item = Owner> + '_ {
        self.journals.keys().copied()
    }

    /// The power fails: of what was not synced, a random first part remains.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        for journal in self.journals.values_mut() {
            let unsynced = journal.saves.len() - journal.synced;
            let kept = chance.within(0, unsynced as u64 + 1);
            journal.saves.truncate(journal.synced + usize::try_from(kept).unwrap_or(unsynced));
            journal.synced = journal.saves.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = (HostId(1), ArmorName::Ftm);

    fn append(byte: u8) -> Vec<Saved> {
        vec![Saved { place: Place::Append, bytes: vec![byte] }]
    }

    #[test]
    fn a_keyed_record_replaces_the_one_before_and_a_deleted_one_is_gone() {
        let mut disk = Disk::default();
        let put = |key: &str, byte| vec![Saved { place: Place::Put(key.to_owned()), bytes: vec![byte] }];
        for save in [put("b", 1), put("a", 2), put("b", 3), put("c", 4), append(9)] {
            disk.write(OWNER, save);
        }
        disk.write(OWNER, vec![Saved { place: Place::Delete("c".to_owned()), bytes: Vec::new() }]);
        assert_eq!(disk.records(OWNER), [vec![2], vec![3], vec![9]]);
        disk.delete(OWNER);
        assert!(!disk.has(OWNER));
    }

    #[test]
    fn a_loss_of_power_keeps_what_was_synced_and_at_most_a_first_part_of_the_rest() {
        let mut kept_lengths = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let (mut disk, mut chance) = (Disk::default(), Chance::of(seed));
            disk.write(OWNER, append(0));
            disk.sync(OWNER, 1);
            for byte in 1..4 {
                disk.write(OWNER, append(byte));
            }
            disk.lose_power(&mut chance);
            let kept = disk.records(OWNER);
            assert_eq!(kept, (0..4).map(|byte| vec![byte]).take(kept.len()).collect::<Vec<_>>());
            kept_lengths.insert(kept.len());
        }
        assert_eq!(kept_lengths.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
