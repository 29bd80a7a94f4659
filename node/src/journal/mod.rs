//! The journal of one ARMOR: one file to which its records are appended.
//!
//! Written means that it survives the death of every process; synced, that it survives a loss of
//! power. Restoring folds the records: of those put under one key the last counts. A journal with
//! more dead than living records is written anew, beside the old one, and takes its place.

pub mod record;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::shell::{Place, Saved};

use crate::home::{Lock, LockError};
use record::{Boot, Contents, Damage};

/// Dead bytes below which a journal is never written anew.
const TIDY_FROM: u64 = 1 << 20;
/// How long an earlier incarnation may take to let go of the journal.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot restore from the journal {path}: {damage}; what this ARMOR knew is not trustworthy")]
    Damaged { path: PathBuf, damage: Damage },
    #[error("cannot use the journal: {0}")]
    Lock(#[from] LockError),
    #[error("cannot write the journal {path}, so nothing more can be decided here: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read the journal {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
}

/// An open journal, of which there is one in all processes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<File>,
    _lock: Lock,
    length: u64,
    /// How much is known to be on disk.
    durable: u64,
    /// Bytes of the living record of each key.
    keyed: BTreeMap<String, u64>,
    dead: u64,
    in_memory: bool,
}

impl Journal {
    /// Opens the journal in an ARMOR's directory, or begins one, and returns its living records in the
    /// order in which they are to be applied: those with keys by key, then the others as they came.
    ///
    /// # Errors
    /// See [`JournalError`]. A damaged journal is left as it is.
    pub fn open(directory: &Path) -> Result<(Journal, Vec<Vec<u8>>), JournalError> {
        let lock = Lock::take_within(directory, PATIENCE)?;
        let path = directory.join("journal");
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => drop(outcome.map_err(|source| JournalError::Read { path: path.clone(), source })?),
        }
        let contents = record::decode(&bytes, this_boot())
            .map_err(|damage| JournalError::Damaged { path: path.clone(), damage })?;
        let is_new = contents == Contents::default();
        let foreign = !is_new && contents.boot != this_boot();
        let length = contents.length as u64;
        let (living, keyed, dead) = fold(contents);
        let write_error = |source| JournalError::Write { path: path.clone(), source };
        let file = open_for_appending(&path, length).map_err(write_error)?;
        let in_memory = crate::home::in_memory(directory);
        let mut journal =
            Journal { path, file: Arc::new(file), _lock: lock, length, durable: 0, keyed, dead, in_memory };
        if is_new {
            journal.begin()?;
        } else if foreign || journal.is_untidy() {
            journal.rewrite(&living)?;
        }
        Ok((journal, living.into_iter().map(|saved| saved.bytes).collect()))
    }

    /// Writes the head of a journal that has none.
    fn begin(&mut self) -> Result<(), JournalError> {
        let head = record::encode_head(this_boot());
        (&*self.file).write_all(&head).map_err(|source| JournalError::Write { path: self.path.clone(), source })?;
        self.length = head.len() as u64;
        Ok(())
    }

    /// Writes records in one go.
    ///
    /// # Errors
    /// [`JournalError::Write`]: the disk is full, say. Then nothing more may be written.
    pub fn append<'a>(&mut self, records: impl IntoIterator<Item = &'a Saved>) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        for saved in records {
            let start = bytes.len();
            record::encode(saved, self.durable, &mut bytes);
            self.account(&saved.place, (bytes.len() - start) as u64);
        }
        (&*self.file).write_all(&bytes).map_err(|source| JournalError::Write { path: self.path.clone(), source })?;
        self.length += bytes.len() as u64;
        if self.is_untidy() {
            self.tidy()?;
        }
        Ok(())
    }

    fn account(&mut self, place: &Place, bytes: u64) {
        let replaced = match place {
            Place::Append => return,
            Place::Put(key) => self.keyed.insert(key.clone(), bytes),
            Place::Delete(key) => Some(self.keyed.remove(key).unwrap_or_default() + bytes),
        };
        self.dead += replaced.unwrap_or_default();
    }

    fn is_untidy(&self) -> bool {
        self.dead > TIDY_FROM && self.dead > self.length / 2
    }

    fn tidy(&mut self) -> Result<(), JournalError> {
        let read = |source| JournalError::Read { path: self.path.clone(), source };
        let bytes = std::fs::read(&self.path).map_err(read)?;
        let contents = record::decode(&bytes, this_boot())
            .map_err(|damage| JournalError::Damaged { path: self.path.clone(), damage })?;
        let (living, ..) = fold(contents);
        self.rewrite(&living)
    }

    /// Puts a new journal with these records in the place of the old one.
    fn rewrite(&mut self, living: &[Saved]) -> Result<(), JournalError> {
        let mut bytes = record::encode_head(this_boot());
        living.iter().for_each(|saved| record::encode(saved, 0, &mut bytes));
        let replace = || {
            crate::home::write_whole(&self.path, &bytes)?;
            open_for_appending(&self.path, bytes.len() as u64)
        };
        let file = replace().map_err(|source| JournalError::Write { path: self.path.clone(), source })?;
        self.file = Arc::new(file);
        self.length = bytes.len() as u64;
        self.durable = self.length;
        self.dead = 0;
        Ok(())
    }

    /// Whether there is no disk behind it, so that syncing takes no time and changes nothing.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// What is to be synced elsewhere.
    #[must_use]
    pub fn to_sync(&self) -> Sync {
        Sync { file: self.file.clone(), path: self.path.clone(), length: self.length, is_first: self.durable == 0 }
    }

    /// The file was synced when it had this length.
    pub fn synced(&mut self, length: u64) {
        self.durable = self.durable.max(length);
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A journal to be synced.
#[derive(Debug)]
pub struct Sync {
    file: Arc<File>,
    path: PathBuf,
    length: u64,
    /// The journal may be new, so that its name is to be synced too.
    is_first: bool,
}

impl Sync {
    /// Waits until the disk has the journal; returns its length then, for [`Journal::synced`].
    ///
    /// # Errors
    /// [`JournalError::Write`].
    pub fn carry_out(self) -> Result<u64, JournalError> {
        let sync = || {
            self.file.sync_data()?;
            match self.path.parent().filter(|_| self.is_first) {
                Some(directory) => File::open(directory)?.sync_all(),
                None => Ok(()),
            }
        };
        sync().map_err(|source| JournalError::Write { path: self.path.clone(), source })?;
        Ok(self.length)
    }
}

/// The living records, the bytes of those with keys, and the bytes of the dead.
fn fold(contents: Contents) -> (Vec<Saved>, BTreeMap<String, u64>, u64) {
    let mut keyed = BTreeMap::new();
    let mut appended = Vec::new();
    let mut dead = 0;
    for saved in contents.records {
        match &saved.place {
            Place::Append => appended.push(saved),
            Place::Put(key) => {
                dead += keyed.insert(key.clone(), saved).as_ref().map_or(0, size);
            }
            Place::Delete(key) => {
                dead += keyed.remove(key).as_ref().map_or(0, size) + size(&saved);
            }
        }
    }
    let sizes = keyed.iter().map(|(key, saved)| (key.clone(), size(saved))).collect();
    (keyed.into_values().chain(appended).collect(), sizes, dead)
}

fn size(saved: &Saved) -> u64 {
    let mut bytes = Vec::new();
    record::encode(saved, 0, &mut bytes);
    bytes.len() as u64
}

fn open_for_appending(path: &Path, length: u64) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    file.set_len(length)?;
    Ok(file)
}

/// The boot of the host that this process runs in.
#[must_use]
pub fn this_boot() -> Boot {
    let digest = blake3::hash(crate::process::mark::boot_id().as_bytes());
    *digest.as_bytes().first_chunk().expect("a digest is longer than its beginning")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(text: &str) -> Saved {
        Saved { place: Place::Append, bytes: text.into() }
    }

    fn put(key: &str, text: &str) -> Saved {
        Saved { place: Place::Put(key.into()), bytes: text.into() }
    }

    fn delete(key: &str) -> Saved {
        Saved { place: Place::Delete(key.into()), bytes: Vec::new() }
    }

    fn reopened(directory: &Path) -> Vec<String> {
        let (_, records) = Journal::open(directory).unwrap();
        records.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn records_come_back_folded_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, records) = Journal::open(directory.path()).unwrap();
        assert!(records.is_empty());
        let saved =
            [append("1"), put("b", "old"), append("2"), put("a", "A"), put("b", "B"), put("c", "C"), delete("c")];
        journal.append(&saved[..3]).unwrap();
        journal.append(&saved[3..]).unwrap();
        drop(journal);
        assert_eq!(reopened(directory.path()), ["A", "B", "1", "2"]);
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        journal.append(&[append("kept"), append("torn")]).unwrap();
        let file = OpenOptions::new().write(true).open(journal.path()).unwrap();
        file.set_len(journal.length - 2).unwrap();
        drop(journal);
        let (mut journal, records) = Journal::open(directory.path()).unwrap();
        assert_eq!(records, [b"kept"]);
        journal.append(&[append("new")]).unwrap();
        drop(journal);
        assert_eq!(reopened(directory.path()), ["kept", "new"]);
    }

    #[test]
    fn a_damaged_middle_names_file_and_offset_and_nothing_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        let first = journal.length;
        journal.append(&[append("one"), append("two")]).unwrap();
        let path = journal.path().to_owned();
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[first as usize + 25] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = Journal::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("byte {first}")) && error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn two_never_write_one_journal() {
        let directory = tempfile::tempdir().unwrap();
        let _journal = Journal::open(directory.path()).unwrap();
        assert!(matches!(Lock::take(directory.path()), Err(LockError::Held { .. })));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        journal.file = Arc::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let error = journal.append(&[append("x")]).unwrap_err();
        assert!(matches!(&error, JournalError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_journal_of_many_dead_records_stays_small() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        let text = "x".repeat(1000);
        for round in 0..5_000 {
            journal.append(&[put("key", &format!("{round}{text}")), append("a")]).unwrap();
        }
        assert!(journal.length < 3 << 20, "{}", journal.length);
        drop(journal);
        let records = reopened(directory.path());
        assert_eq!(records.len(), 5_001);
        assert!(records[0].starts_with("4999x"));
    }
}
