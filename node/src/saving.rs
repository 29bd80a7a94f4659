//! Saving an ARMOR's records without making it wait: what accumulates during one batch of inputs is
//! written together, and what accumulates during one sync is synced together.

use std::collections::VecDeque;

use chameleon_core::shell::SaveRequest;

use crate::event_loop::{Happening, Reporter};
use crate::journal::{Journal, JournalError};
use crate::store::{Store, StoreError};

/// Why records could not be saved. An ARMOR that cannot save dies: whoever watches it restores it, or
/// reports that it cannot be kept running, with what its log says.
#[derive(Debug, thiserror::Error)]
pub enum SavingError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where records are kept.
#[derive(Debug)]
pub enum Archive {
    Journal(Journal),
    Store(Box<dyn Store>),
}

/// The saves of one ARMOR.
#[derive(Debug)]
pub struct Saving {
    archive: Archive,
    done: Reporter,
    queue: Vec<SaveRequest>,
    /// Number of the last save that is written.
    written: Option<u64>,
    /// Numbers of those that are written and must be synced.
    unsynced: VecDeque<u64>,
    /// Whether a sync or commit is under way elsewhere.
    busy: bool,
    /// Number of the last save that was reported.
    reported: Option<u64>,
}

/// A sync or commit that was carried out elsewhere.
#[derive(Debug)]
pub struct Completed {
    /// Number of the last save that it covers.
    number: u64,
    outcome: Result<Kept, SavingError>,
}

#[derive(Debug)]
enum Kept {
    /// A journal was synced at this length.
    Synced(u64),
    Committed,
}

impl Saving {
    /// `done` is told when something was completed elsewhere.
    #[must_use]
    pub fn new(archive: Archive, done: Reporter) -> Saving {
        Saving {
            archive,
            done,
            queue: Vec::new(),
            written: None,
            unsynced: VecDeque::new(),
            busy: false,
            reported: None,
        }
    }

    /// To be saved with the next [`Saving::flush`].
    pub fn add(&mut self, request: SaveRequest) {
        self.queue.push(request);
    }

    /// Starts saving what was added; returns the number up to which all is saved, if that is news.
    ///
    /// # Errors
    /// See [`SavingError`]; nothing more may be saved or said then.
    pub fn flush(&mut self) -> Result<Option<u64>, SavingError> {
        if let Archive::Journal(journal) = &mut self.archive
            && let Some(last) = self.queue.last()
        {
            journal.append(self.queue.iter().flat_map(|request| &request.records))?;
            self.written = Some(last.number);
            if !journal.is_in_memory() {
                let to_disk = self.queue.iter().filter(|request| request.to_disk);
                self.unsynced.extend(to_disk.map(|request| request.number));
            }
            self.queue.clear();
        }
        self.start_elsewhere();
        Ok(self.news())
    }

    /// Takes note of what was completed elsewhere; returns as [`Saving::flush`] does.
    ///
    /// # Errors
    /// See [`SavingError`].
    pub fn complete(&mut self, completed: Completed) -> Result<Option<u64>, SavingError> {
        self.busy = false;
        match (completed.outcome?, &mut self.archive) {
            (Kept::Synced(length), Archive::Journal(journal)) => {
                journal.synced(length);
                self.unsynced.retain(|&number| number > completed.number);
            }
            (Kept::Committed, _) | (Kept::Synced(_), Archive::Store(_)) => self.written = Some(completed.number),
        }
        self.start_elsewhere();
        Ok(self.news())
    }

    /// Blocking work is done by another thread, one piece at a time.
    fn start_elsewhere(&mut self) {
        if self.busy {
            return;
        }
        let done = self.done.clone();
        match &self.archive {
            Archive::Journal(journal) => {
                let Some(&number) = self.unsynced.back() else { return };
                let sync = journal.to_sync();
                tokio::task::spawn_blocking(move || {
                    let outcome = sync.carry_out().map(Kept::Synced).map_err(SavingError::from);
                    done.tell(Happening::Saved(Completed { number, outcome }));
                });
            }
            Archive::Store(store) => {
                let Some(number) = self.queue.last().map(|request| request.number) else { return };
                let records = self.queue.drain(..).flat_map(|request| request.records).collect::<Vec<_>>();
                let store = store.share();
                tokio::task::spawn_blocking(move || {
                    let outcome = store.commit(&records).map(|()| Kept::Committed).map_err(SavingError::from);
                    done.tell(Happening::Saved(Completed { number, outcome }));
                });
            }
        }
        self.busy = true;
    }

    fn news(&mut self) -> Option<u64> {
        let saved = match self.unsynced.front() {
            Some(first) => first.checked_sub(1),
            None => self.written,
        };
        if saved <= self.reported {
            return None;
        }
        self.reported = saved;
        saved
    }
}
