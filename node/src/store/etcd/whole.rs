//! The shared store as a whole: read as it was at one moment, and put back.

use std::collections::BTreeMap;

use chameleon_core::names::{HostId, Term};
use chameleon_core::shell::{Place, Saved};
use chameleon_core::world::Reign as Granted;
use chameleon_etcd::{Compare, Operation, Revision, Transaction};

use super::{Change, Electorate, Etcd, OPENED_WITHIN, PAGE, encoded};
use crate::home::Managers;
use crate::store::{Store, StoreError};

/// Nobody's: whoever puts a store back does not reign.
pub const NOBODY: HostId = HostId(0);

impl Electorate {
    /// All records as they were at one moment, whoever reigns meanwhile; `None`: nothing is there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whole(&self) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let Some(mut keys) = self.all_at_once()? else { return Ok(None) };
        // A large commit is done as soon as it says so, folded in or not.
        if keys.contains_key("laid") {
            let parts: Vec<Vec<u8>> = keys.range("part/".to_owned()..).map_while(in_parts).collect();
            for part in parts {
                for Change { key, value } in self.read::<Vec<Change>>(&part)? {
                    let key = self.own(&key);
                    match value {
                        Some(value) => drop(keys.insert(key, value)),
                        None => drop(keys.remove(&key)),
                    }
                }
            }
        }
        let beginning = |prefix: &'static str| keys.iter().filter(move |(key, _)| key.starts_with(prefix));
        Ok(Some(beginning("keyed/").chain(beginning("appended/")).map(|(_, value)| value.clone()).collect()))
    }

    /// All keys below the prefix, at one revision.
    fn all_at_once(&self) -> Result<Option<BTreeMap<String, Vec<u8>>>, StoreError> {
        let mut keys = BTreeMap::new();
        let (mut from, mut at) = (String::new(), Revision::default());
        loop {
            let compares = vec![Compare::Equals(self.key("format"), self.format.clone())];
            let list = Operation::List { prefix: self.key(""), from: self.key(&from), most: PAGE, at };
            let otherwise = vec![Operation::Get(self.key("format"))];
            let page = Transaction { compares, then: vec![list], otherwise };
            let mut answer = self.ask_until_known(&page, OPENED_WITHIN)?;
            let found = answer.found.pop().unwrap_or_default();
            if !answer.held {
                return found.first().map_or(Ok(None), |(_, format)| Err(self.not_ours(format)));
            }
            let last = found.last().map(|(key, _)| self.own(key)).unwrap_or_default();
            if at == Revision::default() {
                at = answer.revision;
            }
            let is_end = found.len() < PAGE;
            keys.extend(found.into_iter().map(|(key, value)| (self.own(&key), value)));
            if is_end {
                return Ok(Some(keys));
            }
            from = format!("{last}\0");
        }
    }

    /// A key without the prefix.
    fn own(&self, key: &str) -> String {
        key.strip_prefix(&self.key("")).unwrap_or(key).to_owned()
    }

    /// Ends whatever reign there is by one of this term that nobody has.
    fn vacate(&self, term: Term) -> Result<(), StoreError> {
        self.look()?;
        let vacant = encoded(&Granted { term, host: NOBODY, request: 0 });
        let vacate = Transaction {
            compares: vec![
                Compare::Equals(self.key("format"), self.format.clone()),
                Compare::Equals(self.key("reign"), self.seen().clone()),
            ],
            then: vec![Operation::Put(self.key("reign"), vacant)],
            otherwise: Vec::new(),
        };
        match self.ask_store(&vacate)?.held {
            true => Ok(()),
            false => Err(self.strange("another reign began while it was put back")),
        }
    }
}

fn in_parts((key, value): (&String, &Vec<u8>)) -> Option<Vec<u8>> {
    key.starts_with("part/").then(|| value.clone())
}

impl Etcd {
    /// Puts these records in place of all that is there, under a term that is beyond every one that was given: all of it
    /// is done, or nothing but that an earlier reign is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn put_in_place(managers: &Managers, term: Term, records: Vec<Saved>) -> Result<(), StoreError> {
        Electorate::new(managers, NOBODY)?.vacate(term)?;
        let store = Etcd::open(managers, NOBODY, term)?;
        let old = ["keyed/", "appended/"].map(|prefix| store.all(prefix)).into_iter().collect::<Result<Vec<_>, _>>()?;
        let gone = old.into_iter().flatten().filter_map(|(key, _)| {
            let key = store.electorate.own(&key).strip_prefix("keyed/")?.to_owned();
            Some(Saved { place: Place::Delete(key), bytes: Vec::new() })
        });
        let changes: Vec<Saved> = gone.chain(records).collect();
        store.commit(&changes)
    }
}
