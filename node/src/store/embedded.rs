//! The embedded engine of the store, for one FTM on one host: a redb database.
//!
//! The database's own lock lets only one process have it open, so that whoever opens it begins a new
//! reign: the next term. A copy of the handle that outlives its reign finds another one and is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chameleon_core::names::Term;
use chameleon_core::shell::{Place, Saved};
use redb::{
    CommitError, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageError, TableDefinition, TableError, TransactionError, WriteTransaction,
};

use super::{Reign, Store, StoreError};

/// Version of the tables.
const FORMAT: u64 = 1;
/// Memory for pages of the database, in bytes.
const CACHE: usize = 4 << 20;

/// `format` and `reign`.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const KEYED: TableDefinition<&str, &[u8]> = TableDefinition::new("keyed");
const APPENDED: TableDefinition<u64, &[u8]> = TableDefinition::new("appended");

/// An open database under a reign.
#[derive(Debug, Clone)]
pub struct Embedded {
    database: Arc<Database>,
    path: PathBuf,
    reign: Reign,
}

impl Embedded {
    /// Opens the store, or makes one if there is no file, and begins the next reign.
    ///
    /// # Errors
    /// See [`StoreError`]. A file that is damaged or newer is left as it is and never replaced.
    pub fn open(path: &Path, holder: &str) -> Result<Embedded, StoreError> {
        let database = match open_existing(path)? {
            Some(database) => database,
            None => create(path)?,
        };
        let mut store = Embedded { database: Arc::new(database), path: path.to_owned(), reign: Reign::default() };
        store.reign = store.begin_reign(holder)?;
        Ok(store)
    }

    /// Whether the store, if there is one, could be opened, without beginning a reign.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn examine(path: &Path) -> Result<(), StoreError> {
        let errors = Errors(path);
        let Some(database) = open_existing(path)? else { return Ok(()) };
        let transaction = errors.transaction(database.begin_read())?;
        match transaction.open_table(META) {
            Err(TableError::TableDoesNotExist(_)) => Ok(()),
            meta => check_format(&errors, &errors.table(meta)?),
        }
    }

    /// All records of a store that nobody has open, without beginning a reign; `None`: there is no store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whole(path: &Path) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        Embedded::examine(path)?;
        let errors = Errors(path);
        let Some(database) = open_existing(path)? else { return Ok(None) };
        let transaction = errors.transaction(database.begin_read())?;
        match transaction.open_table(META) {
            Err(TableError::TableDoesNotExist(_)) => Ok(Some(Vec::new())),
            _ => all(&errors, &transaction).map(Some),
        }
    }

    /// Makes a store with these records, in place of whatever is there: all of it is done, or nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn put_in_place(path: &Path, records: &[Saved]) -> Result<(), StoreError> {
        let (errors, beside) = (Errors(path), path.with_extension("restored"));
        let _ = std::fs::remove_file(&beside);
        Embedded::open(&beside, "restored")?.commit(records)?;
        std::fs::rename(&beside, path).map_err(|error| errors.system(&error))?;
        let directory = path.parent().map(std::fs::File::open).transpose().map_err(|error| errors.system(&error))?;
        directory.map_or(Ok(()), |directory| directory.sync_all()).map_err(|error| errors.system(&error))
    }

    /// The term and the holder that every transaction is compared with.
    #[must_use]
    pub fn reign(&self) -> &Reign {
        &self.reign
    }

    fn begin_reign(&self, holder: &str) -> Result<Reign, StoreError> {
        let errors = Errors(&self.path);
        let transaction = self.begin()?;
        let reign = {
            let mut meta = errors.table(transaction.open_table(META))?;
            check_format(&errors, &meta)?;
            let last: Reign = read(&errors, &meta, "reign")?.unwrap_or_default();
            let reign = Reign { term: Term(last.term.0 + 1), holder: holder.to_owned() };
            for (key, value) in [("format", encoded(&FORMAT)), ("reign", encoded(&reign))] {
                errors.storage(meta.insert(key, value.as_slice()).map(drop))?;
            }
            errors.table(transaction.open_table(KEYED))?;
            errors.table(transaction.open_table(APPENDED))?;
            reign
        };
        errors.commit(transaction.commit())?;
        Ok(reign)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let errors = Errors(&self.path);
        let mut transaction = errors.transaction(self.database.begin_write())?;
        transaction.set_durability(Durability::Immediate).map_err(|error| errors.system(&error))?;
        Ok(transaction)
    }

    fn compare_reign(&self, found: Option<Reign>) -> Result<(), StoreError> {
        let found = found.unwrap_or_default();
        match found == self.reign {
            true => Ok(()),
            false => Err(StoreError::Deposed { path: self.path.clone(), found, ours: self.reign.clone() }),
        }
    }

    fn change(&self, transaction: &WriteTransaction, records: &[Saved]) -> Result<(), StoreError> {
        let errors = Errors(&self.path);
        self.compare_reign(read(&errors, &errors.table(transaction.open_table(META))?, "reign")?)?;
        let mut keyed = errors.table(transaction.open_table(KEYED))?;
        let mut appended = errors.table(transaction.open_table(APPENDED))?;
        let mut next = errors.storage(appended.last())?.map_or(0, |(number, _)| number.value() + 1);
        for Saved { place, bytes } in records {
            let outcome = match place {
                Place::Put(key) => keyed.insert(key.as_str(), bytes.as_slice()).map(drop),
                Place::Delete(key) => keyed.remove(key.as_str()).map(drop),
                Place::Append => {
                    next += 1;
                    appended.insert(next - 1, bytes.as_slice()).map(drop)
                }
            };
            errors.storage(outcome)?;
        }
        Ok(())
    }
}

impl Store for Embedded {
    fn records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let errors = Errors(&self.path);
        let transaction = errors.transaction(self.database.begin_read())?;
        self.compare_reign(read(&errors, &errors.table(transaction.open_table(META))?, "reign")?)?;
        all(&errors, &transaction)
    }

    fn commit(&self, records: &[Saved]) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        self.change(&transaction, records)?;
        Errors(&self.path).commit(transaction.commit())
    }

    fn share(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }
}

/// Records with keys, then those without.
fn all(errors: &Errors<'_>, transaction: &ReadTransaction) -> Result<Vec<Vec<u8>>, StoreError> {
    let keyed = errors.table(transaction.open_table(KEYED))?;
    let appended = errors.table(transaction.open_table(APPENDED))?;
    let count = errors.storage(keyed.len())? + errors.storage(appended.len())?;
    let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    for entry in errors.storage(keyed.iter())? {
        records.push(errors.storage(entry)?.1.value().to_vec());
    }
    for entry in errors.storage(appended.iter())? {
        records.push(errors.storage(entry)?.1.value().to_vec());
    }
    Ok(records)
}

/// `None`: there is no store yet.
fn open_existing(path: &Path) -> Result<Option<Database>, StoreError> {
    let errors = Errors(path);
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(errors.system(&error)),
        Ok(file) if file.len() == 0 => return Err(errors.damaged("it is empty")),
        Ok(_) => {}
    }
    errors.database(Database::builder().set_cache_size(CACHE).open(path)).map(Some)
}

/// Makes a store beside its place and moves it there, so that it is there whole or not at all.
fn create(path: &Path) -> Result<Database, StoreError> {
    let errors = Errors(path);
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let database = errors.database(Database::builder().set_cache_size(CACHE).create(&beside))?;
    std::fs::rename(&beside, path).map_err(|error| errors.system(&error))?;
    Ok(database)
}

fn check_format(errors: &Errors<'_>, meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<(), StoreError> {
    match read(errors, meta, "format")?.unwrap_or(FORMAT) {
        FORMAT => Ok(()),
        found if found < FORMAT => Err(errors.damaged(&format!("its format is {found}, which never was"))),
        found => Err(StoreError::Newer { path: errors.0.to_owned(), found }),
    }
}

fn encoded<V: minicbor::Encode<()>>(value: &V) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory cannot fail")
}

fn read<V: for<'b> minicbor::Decode<'b, ()>>(
    errors: &Errors<'_>,
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<V>, StoreError> {
    let Some(value) = errors.storage(meta.get(key))? else { return Ok(None) };
    minicbor::decode(value.value()).map(Some).map_err(|error| errors.damaged(&format!("its {key}: {error}")))
}

/// Turns the engine's errors into ours: all that matters is whether the file is at fault.
struct Errors<'a>(&'a Path);

impl Errors<'_> {
    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.0.to_owned(), why: why.to_owned() }
    }

    fn system(&self, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::System { path: self.0.to_owned(), why: why.to_string() }
    }

    fn of_storage(&self, error: StorageError) -> StoreError {
        match error {
            StorageError::Corrupted(why) => self.damaged(&why),
            StorageError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                self.damaged("it is no database, or its beginning is lost")
            }
            other => self.system(&other),
        }
    }

    fn storage<T>(&self, outcome: Result<T, StorageError>) -> Result<T, StoreError> {
        outcome.map_err(|error| self.of_storage(error))
    }

    fn database<T>(&self, outcome: Result<T, DatabaseError>) -> Result<T, StoreError> {
        outcome.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                StoreError::InUse { path: self.0.to_owned() }
            }
            DatabaseError::UpgradeRequired(version) => self.damaged(&format!("its file format is {version}")),
            DatabaseError::Storage(error) => self.of_storage(error),
            other => self.system(&other),
        })
    }

    fn table<T>(&self, outcome: Result<T, TableError>) -> Result<T, StoreError> {
        outcome.map_err(|error| match error {
            TableError::Storage(error) => self.of_storage(error),
            other => self.damaged(&other.to_string()),
        })
    }

    fn transaction<T>(&self, outcome: Result<T, TransactionError>) -> Result<T, StoreError> {
        outcome.map_err(|error| match error {
            TransactionError::Storage(error) => self.of_storage(error),
            other => self.system(&other),
        })
    }

    fn commit<T>(&self, outcome: Result<T, CommitError>) -> Result<T, StoreError> {
        outcome.map_err(|error| match error {
            CommitError::Storage(error) => self.of_storage(error),
            other => self.system(&other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[test]
    fn it_keeps_to_what_every_engine_does() {
        let directory = tempfile::tempdir().unwrap();
        let open = |name: &str| Box::new(Embedded::open(&directory.path().join(name), "a").unwrap());
        contract::records_come_back(&mut || open("one"));
        contract::large_commits_are_whole(&mut || open("other"));
        let terms = [(); 2].map(|()| open("one").reign().term);
        assert!(terms[0] < terms[1], "each opening is a higher term");
        let store = Embedded::open(&directory.path().join("third"), "a").unwrap();
        let mut successor = store.clone();
        successor.reign = successor.begin_reign("b").unwrap();
        contract::a_lower_term_is_obeyed_no_more(&store, &successor);
    }

    #[test]
    fn a_store_has_one_user() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let _store = Embedded::open(&path, "a").unwrap();
        assert!(matches!(Embedded::open(&path, "b"), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_damaged_or_newer_store_is_named_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        drop(Embedded::open(&path, "a").unwrap());
        let good = std::fs::read(&path).unwrap();
        let mut zeroed = good.clone();
        zeroed[..4096].fill(0);
        for bad in [Vec::new(), b"not a database".to_vec(), good[..good.len() / 2].to_vec(), zeroed] {
            std::fs::write(&path, &bad).unwrap();
            for error in [Embedded::examine(&path).unwrap_err(), Embedded::open(&path, "b").unwrap_err()] {
                assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
            }
            assert_eq!(std::fs::read(&path).unwrap(), bad);
        }
        std::fs::write(&path, &good).unwrap();
        let store = Embedded::open(&path, "b").unwrap();
        let transaction = store.begin().unwrap();
        transaction.open_table(META).unwrap().insert("format", encoded(&99u64).as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(store);
        assert!(matches!(Embedded::examine(&path), Err(StoreError::Newer { found: 99, .. })));
        assert!(matches!(Embedded::open(&path, "c"), Err(StoreError::Newer { found: 99, .. })));
    }
}
