//! The engine of the store for several candidates: an etcd that they share.
//!
//! ```text
//! PREFIX/format      version of all this, and whose it is
//! PREFIX/reign       who reigns; changed only by one who expects the reign before it
//! PREFIX/commit      how many commits there were
//! PREFIX/keyed/KEY   a record          PREFIX/appended/N   one without a key
//! PREFIX/laid        a large commit of so many parts is done      PREFIX/part/N   and these are its parts
//! ```
//!
//! Every transaction compares whose the store is, and all of a reign its term, its holder and the number of the last
//! commit. So a transaction of which nobody knows whether it was done is simply asked for again: if it was, the number is
//! one higher, and nothing is done twice. What an earlier reign asked for and is late has no effect.
//!
//! etcd limits what one transaction may do. A larger commit is laid down in parts, each a value of its own, which mean
//! nothing until one last transaction says that they are all there: then it is done. Folding them into the records may
//! be broken off and begun again; nothing else is committed in between, also by the next reign.

mod whole;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chameleon_core::names::{HostId, Term};
use chameleon_core::shell::{Place, Saved};
use chameleon_core::world::{Reign as Granted, ReignSight};
use chameleon_etcd::{
    Answer, Client, Compare, Failure, MOST_BYTES, MOST_OPERATIONS, Operation, Pair, Revision, Transaction,
};
use minicbor::{Decode, Encode};

pub use self::whole::NOBODY;
use super::{Reign, Store, StoreError};
use crate::home::Managers;

/// Version of the keys.
const FORMAT: u64 = 1;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a start may take to get an answer.
const OPENED_WITHIN: Duration = Duration::from_secs(4);
/// Keys that are read at once.
const PAGE: usize = 256;
/// What a part of a large commit may hold: some room is left for what comes with it.
const PART_BYTES: usize = MOST_BYTES * 3 / 4;
const PART_OPERATIONS: usize = MOST_OPERATIONS - 8;

/// The store as candidates see it, and as every reign uses it.
#[derive(Debug)]
pub struct Electorate {
    client: Client,
    prefix: String,
    /// As people are told.
    path: PathBuf,
    format: Vec<u8>,
    host: HostId,
    /// The reign that was seen last, as it stands there.
    seen: Mutex<Vec<u8>>,
}

#[derive(Debug, Encode, Decode)]
struct Format {
    #[n(0)]
    version: u64,
    #[n(1)]
    cluster: String,
}

impl Electorate {
    /// # Errors
    /// The files for TLS cannot be used. Nothing is asked of the store yet.
    pub fn new(managers: &Managers, host: HostId) -> Result<Electorate, StoreError> {
        let path = PathBuf::from(format!("etcd://{}/{}", managers.store.members.join(","), managers.store.prefix));
        let client = Client::new(&managers.store).map_err(|why| failed(&path, why))?;
        let format = encoded(&Format { version: FORMAT, cluster: managers.cluster.clone() });
        Ok(Electorate { client, prefix: managers.store.prefix.clone(), path, format, host, seen: Mutex::default() })
    }

    /// Looks up who reigns. A store that is empty becomes ours.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn look(&self) -> Result<ReignSight, StoreError> {
        let look = Transaction {
            compares: vec![Compare::Equals(self.key("format"), self.format.clone())],
            then: self.whole_reign(),
            otherwise: vec![Operation::Get(self.key("format")), self.list("", "", 1)],
        };
        let answer = self.ask_store(&look)?;
        if answer.held {
            return self.sight(&answer);
        }
        let [format, any] = answer.found.as_slice() else { return Err(self.strange("an answer is not whole")) };
        match format.first() {
            Some((_, format)) => Err(self.not_ours(format)),
            None if !any.is_empty() => {
                Err(StoreError::Foreign { path: self.path.clone(), found: "other keys".to_owned() })
            }
            None => self.begin(),
        }
    }

    /// Asks for the term behind the accused one, if that has changed so much and no more. What comes of it is what is
    /// there then.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn ask(&self, accused: Term, request: u64, changes: Option<u64>) -> Result<ReignSight, StoreError> {
        let seen = self.seen().clone();
        if minicbor::decode::<Granted>(&seen).map(|reign| reign.term).ok() != Some(accused) {
            return self.look();
        }
        let wanted = encoded(&Granted { term: Term(accused.0 + 1), host: self.host, request });
        let mut then = vec![Operation::Put(self.key("reign"), wanted)];
        then.extend(self.whole_reign());
        let mut compares =
            vec![Compare::Equals(self.key("format"), self.format.clone()), Compare::Equals(self.key("reign"), seen)];
        compares.extend(changes.map(|changes| Compare::Equals(self.key("commit"), encoded(&changes))));
        let ask = Transaction { compares, then, otherwise: self.whole_reign() };
        let mut answer = self.ask_store(&ask)?;
        if answer.held {
            answer.found.remove(0);
        }
        self.sight(&answer)
    }

    fn begin(&self) -> Result<ReignSight, StoreError> {
        let begin = Transaction {
            compares: vec![Compare::Absent(self.key("format"))],
            then: vec![
                Operation::Put(self.key("format"), self.format.clone()),
                Operation::Put(self.key("reign"), encoded(&Granted::default())),
                Operation::Put(self.key("commit"), encoded(&0u64)),
            ],
            otherwise: Vec::new(),
        };
        self.ask_store(&begin)?;
        self.look()
    }

    fn whole_reign(&self) -> Vec<Operation> {
        vec![Operation::Get(self.key("reign")), Operation::Get(self.key("commit"))]
    }

    fn sight(&self, answer: &Answer) -> Result<ReignSight, StoreError> {
        let (reign, changes) = self.read_reign(answer)?;
        let sight = ReignSight::Seen { reign: self.read(&reign)?, changes };
        *self.seen() = reign;
        Ok(sight)
    }

    /// The reign as it stands there, and how many commits there were.
    fn read_reign(&self, answer: &Answer) -> Result<(Vec<u8>, u64), StoreError> {
        let value = |index: usize| answer.found.get(index).and_then(|found| found.first()).map(|(_, value)| value);
        match (value(0), value(1)) {
            (Some(reign), Some(commit)) => Ok((reign.clone(), self.read(commit)?)),
            _ => Err(self.strange("its reign is missing")),
        }
    }

    fn read<V: for<'b> Decode<'b, ()>>(&self, value: &[u8]) -> Result<V, StoreError> {
        minicbor::decode(value).map_err(|error| self.strange(&error.to_string()))
    }

    fn not_ours(&self, format: &[u8]) -> StoreError {
        match minicbor::decode::<Format>(format) {
            Ok(Format { version, .. }) if version > FORMAT => {
                StoreError::Newer { path: self.path.clone(), found: version }
            }
            Ok(Format { cluster, .. }) => {
                StoreError::Foreign { path: self.path.clone(), found: format!("the cluster {cluster}") }
            }
            Err(error) => self.strange(&error.to_string()),
        }
    }

    fn strange(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<u8>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, key: &str) -> String {
        format!("{}/{key}", self.prefix)
    }

    fn list(&self, prefix: &str, from: &str, most: usize) -> Operation {
        Operation::List { prefix: self.key(prefix), from: self.key(from), most, at: Revision::default() }
    }

    fn ask_store(&self, transaction: &Transaction) -> Result<Answer, StoreError> {
        self.client.transact(transaction).map_err(|why| failed(&self.path, why))
    }

    /// Asks again until it is known what came of it: for what may be asked for twice.
    fn ask_until_known(&self, transaction: &Transaction, most: Duration) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let mut told = false;
        loop {
            match self.ask_store(transaction) {
                Err(StoreError::Unreachable { .. }) if began.elapsed() < most => {}
                outcome => return outcome,
            }
            if !told && began.elapsed() > OPENED_WITHIN {
                crate::log!("{} does not answer; nothing can be decided until it does", self.path.display());
                told = true;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The store under a reign.
#[derive(Debug, Clone)]
pub struct Etcd {
    electorate: Arc<Electorate>,
    reign: Reign,
    /// The reign as it stands there.
    granted: Arc<Vec<u8>>,
    numbers: Arc<Mutex<Numbers>>,
}

#[derive(Debug, Default)]
struct Numbers {
    commit: u64,
    /// Of the next record without a key.
    append: u64,
}

/// What becomes of a key.
#[derive(Debug, Clone, Encode, Decode)]
struct Change {
    #[n(0)]
    key: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    value: Option<Vec<u8>>,
}

impl Etcd {
    /// Opens the store under the reign that was granted to this host.
    ///
    /// # Errors
    /// See [`StoreError`]; the reign may be over already.
    pub fn open(managers: &Managers, host: HostId, term: Term) -> Result<Etcd, StoreError> {
        let electorate = Electorate::new(managers, host)?;
        let began = Instant::now();
        let sight = loop {
            match electorate.look() {
                Err(StoreError::Unreachable { .. }) if began.elapsed() < OPENED_WITHIN => std::thread::sleep(PAUSE),
                outcome => break outcome?,
            }
        };
        let ReignSight::Seen { reign, changes } = sight else {
            return Err(StoreError::Unreachable { path: electorate.path, why: "it has no reign".to_owned() });
        };
        let granted = Arc::new(electorate.seen().clone());
        let ours = Reign { term, holder: host.to_string() };
        if (reign.term, reign.host) != (term, host) {
            let found = Reign { term: reign.term, holder: reign.host.to_string() };
            return Err(StoreError::Deposed { path: electorate.path, found, ours });
        }
        let numbers = Arc::new(Mutex::new(Numbers { commit: changes, append: 0 }));
        let store = Etcd { electorate: Arc::new(electorate), reign: ours, granted, numbers };
        store.take_over()?;
        Ok(store)
    }

    /// Finishes a large commit that the last reign had done, and drops one that it had only begun.
    fn take_over(&self) -> Result<(), StoreError> {
        let laid = self.page("laid", "laid")?;
        match laid.first() {
            Some((_, parts)) => self.fold(self.electorate.read(parts)?)?,
            None => {
                let prefix = self.electorate.key("part/");
                self.within_reign(vec![Operation::DeleteAll { prefix }])?;
            }
        }
        let last = self.all("appended/")?.last().and_then(|(key, _)| key.rsplit_once('/')?.1.parse::<u64>().ok());
        self.numbers().append = last.map_or(0, |last| last + 1);
        Ok(())
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compares(&self) -> Vec<Compare> {
        let electorate = &self.electorate;
        vec![
            Compare::Equals(electorate.key("format"), electorate.format.clone()),
            Compare::Equals(electorate.key("reign"), self.granted.to_vec()),
        ]
    }

    /// Does what may be done again, if this reign lasts.
    fn within_reign(&self, then: Vec<Operation>) -> Result<Answer, StoreError> {
        let transaction = Transaction { compares: self.compares(), then, otherwise: self.electorate.whole_reign() };
        let answer = self.electorate.ask_until_known(&transaction, Duration::MAX)?;
        if answer.held { Ok(answer) } else { Err(self.over(&answer)) }
    }

    fn over(&self, answer: &Answer) -> StoreError {
        let electorate = &self.electorate;
        let read = electorate.read_reign(answer).and_then(|(reign, _)| electorate.read::<Granted>(&reign));
        match read {
            Ok(Granted { term, host, .. }) => StoreError::Deposed {
                path: electorate.path.clone(),
                found: Reign { term, holder: host.to_string() },
                ours: self.reign.clone(),
            },
            Err(error) => error,
        }
    }

    /// Makes these changes and counts the commit; if that was done already, nothing more.
    fn count(&self, numbers: &mut Numbers, mut then: Vec<Operation>) -> Result<(), StoreError> {
        let electorate = &self.electorate;
        let (before, after) = (encoded(&numbers.commit), numbers.commit + 1);
        let mut compares = self.compares();
        compares.push(Compare::Equals(electorate.key("commit"), before));
        then.push(Operation::Put(electorate.key("commit"), encoded(&after)));
        let transaction = Transaction { compares, then, otherwise: electorate.whole_reign() };
        let answer = electorate.ask_until_known(&transaction, Duration::MAX)?;
        if !answer.held {
            let (reign, commit) = electorate.read_reign(&answer)?;
            if reign != *self.granted {
                return Err(self.over(&answer));
            }
            if commit != after {
                return Err(electorate.strange(&format!("it had {} commits and has {commit}", numbers.commit)));
            }
        }
        numbers.commit = after;
        Ok(())
    }

    /// Lays a large commit down in parts, says that it is done, and folds it in.
    fn lay(&self, numbers: &mut Numbers, parts: &[Vec<Change>]) -> Result<(), StoreError> {
        for (number, part) in parts.iter().enumerate() {
            let key = self.electorate.key(&format!("part/{number:06}"));
            self.within_reign(vec![Operation::Put(key, encoded(part))])?;
        }
        let laid = Operation::Put(self.electorate.key("laid"), encoded(&(parts.len() as u64)));
        self.count(numbers, vec![laid])?;
        self.fold(parts.len() as u64)
    }

    /// Makes the changes of all parts of a commit that is done.
    fn fold(&self, parts: u64) -> Result<(), StoreError> {
        for number in 0..parts {
            let name = format!("part/{number:06}");
            // One that is gone was folded in before.
            if let Some((_, part)) = self.page(&name, &name)?.first() {
                let part: Vec<Change> = self.electorate.read(part)?;
                let mut operations: Vec<Operation> = part.into_iter().map(Change::operation).collect();
                operations.push(Operation::Delete(self.electorate.key(&name)));
                self.within_reign(operations)?;
            }
        }
        self.within_reign(vec![Operation::Delete(self.electorate.key("laid"))]).map(drop)
    }

    /// Some keys that begin thus, from one on.
    fn page(&self, prefix: &str, from: &str) -> Result<Vec<Pair>, StoreError> {
        let mut answer = self.within_reign(vec![self.electorate.list(prefix, from, PAGE)])?;
        Ok(answer.found.pop().unwrap_or_default())
    }

    /// All keys that begin thus. They stay as they are meanwhile: nobody else may change them.
    fn all(&self, prefix: &str) -> Result<Vec<Pair>, StoreError> {
        let mut all = self.page(prefix, prefix)?;
        let mut more = all.len() == PAGE;
        while more {
            let last = all.last().map(|(key, _)| key.clone()).unwrap_or_default();
            let own = last.strip_prefix(&self.electorate.key("")).unwrap_or_default();
            let page = self.page(prefix, &format!("{own}\0"))?;
            more = page.len() == PAGE;
            all.extend(page);
        }
        Ok(all)
    }

    /// What becomes of each key, the last of several changes of one.
    fn changes(&self, numbers: &mut Numbers, records: &[Saved]) -> Vec<Change> {
        let mut changes = BTreeMap::new();
        for Saved { place, bytes } in records {
            let (key, value) = match place {
                Place::Put(key) => (format!("keyed/{key}"), Some(bytes.clone())),
                Place::Delete(key) => (format!("keyed/{key}"), None),
                Place::Append => {
                    numbers.append += 1;
                    (format!("appended/{:020}", numbers.append - 1), Some(bytes.clone()))
                }
            };
            changes.insert(self.electorate.key(&key), value);
        }
        changes.into_iter().map(|(key, value)| Change { key, value }).collect()
    }
}

impl Change {
    fn operation(self) -> Operation {
        match self.value {
            Some(value) => Operation::Put(self.key, value),
            None => Operation::Delete(self.key),
        }
    }

    fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len) + 32
    }
}

/// Changes in parts that one transaction can make.
fn parts(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut parts: Vec<Vec<Change>> = vec![Vec::new()];
    let mut bytes = 0;
    for change in changes {
        let part = parts.last_mut().expect("there is always one");
        if !part.is_empty() && (part.len() == PART_OPERATIONS || bytes + change.size() > PART_BYTES) {
            bytes = change.size();
            parts.push(vec![change]);
        } else {
            bytes += change.size();
            part.push(change);
        }
    }
    parts
}

impl Store for Etcd {
    fn records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let (keyed, appended) = (self.all("keyed/")?, self.all("appended/")?);
        Ok(keyed.into_iter().chain(appended).map(|(_, value)| value).collect())
    }

    fn commit(&self, records: &[Saved]) -> Result<(), StoreError> {
        let mut numbers = self.numbers();
        let mut parts = parts(self.changes(&mut numbers, records));
        match parts.as_mut_slice() {
            [part] => {
                let operations = std::mem::take(part).into_iter().map(Change::operation).collect();
                self.count(&mut numbers, operations)
            }
            _ => self.lay(&mut numbers, &parts),
        }
    }

    fn share(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }
}

fn encoded<V: Encode<()>>(value: &V) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory cannot fail")
}

fn failed(path: &std::path::Path, failure: Failure) -> StoreError {
    let (path, why) = (path.to_owned(), failure.to_string());
    match failure {
        Failure::Unknown(_) => StoreError::Unreachable { path, why },
        Failure::Full(_) | Failure::Forbidden(_) | Failure::Refused(_) | Failure::Tls(_) => {
            StoreError::System { path, why }
        }
        Failure::Damaged(_) => StoreError::Damaged { path, why },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{contract, members};
    use super::*;

    const HOST: HostId = HostId(1);

    /// A cluster of one member, as long as it is needed.
    struct Setting {
        directory: tempfile::TempDir,
        address: chameleon_etcd::Address,
    }

    impl Setting {
        /// `None`: there is no etcd here.
        fn new() -> Option<Setting> {
            let directory = tempfile::tempdir().unwrap();
            match members::start(directory.path(), 1, "test") {
                Ok(address) => Some(Setting { directory, address }),
                Err(members::MembersError::Missing) => {
                    eprintln!("skipped: etcd is not installed");
                    None
                }
                Err(error) => panic!("{error}"),
            }
        }

        fn managers(&self, prefix: &str) -> Managers {
            let store = chameleon_etcd::Address { prefix: prefix.to_owned(), ..self.address.clone() };
            Managers { store, cluster: "ours".to_owned(), candidates: vec![HOST] }
        }

        /// The store under the next term.
        fn open(&self, prefix: &str) -> Etcd {
            let managers = self.managers(prefix);
            let electorate = Electorate::new(&managers, HOST).unwrap();
            let (reign, _) = seen(&electorate.look().unwrap());
            let (granted, _) = seen(&electorate.ask(reign.term, 7, None).unwrap());
            assert_eq!(granted, Granted { term: Term(reign.term.0 + 1), host: HOST, request: 7 });
            Etcd::open(&managers, HOST, granted.term).unwrap()
        }
    }

    impl Drop for Setting {
        fn drop(&mut self) {
            members::stop(self.directory.path());
        }
    }

    fn seen(sight: &ReignSight) -> (Granted, u64) {
        match sight {
            ReignSight::Seen { reign, changes } => (*reign, *changes),
            ReignSight::Nothing => panic!("the store answers"),
        }
    }

    #[test]
    fn it_keeps_to_what_every_engine_does() {
        let Some(setting) = Setting::new() else { return };
        contract::records_come_back(&mut || Box::new(setting.open("one")));
        contract::large_commits_are_whole(&mut || Box::new(setting.open("other")));
        let (earlier, later) = (setting.open("third"), setting.open("third"));
        contract::a_lower_term_is_obeyed_no_more(&earlier, &later);
    }

    #[test]
    fn a_term_is_given_to_one_who_expects_the_last_and_has_seen_its_last_change() {
        let Some(setting) = Setting::new() else { return };
        let candidate = |host| Electorate::new(&setting.managers("x"), HostId(host)).unwrap();
        let (one, other) = (candidate(1), candidate(2));
        assert_eq!(seen(&one.look().unwrap()).0, Granted::default(), "an empty store becomes ours");
        other.look().unwrap();
        let (won, _) = seen(&one.ask(Term(0), 11, None).unwrap());
        assert_eq!((won.term, won.host, won.request), (Term(1), HostId(1), 11));
        assert_eq!(seen(&other.ask(Term(0), 22, None).unwrap()).0, won, "it was given before");
        let store = Etcd::open(&setting.managers("x"), HOST, Term(1)).unwrap();
        let (_, changes) = seen(&other.look().unwrap());
        store.commit(&[contract::put("a", "A")]).unwrap();
        assert_eq!(seen(&other.ask(Term(1), 22, Some(changes)).unwrap()).0, won, "it has changed something since");
        let (found, _) = seen(&other.ask(Term(1), 22, Some(changes + 1)).unwrap());
        assert_eq!((found.term, found.host), (Term(2), HostId(2)));
        assert!(matches!(store.commit(&[]), Err(StoreError::Deposed { .. })));
        assert!(matches!(Etcd::open(&setting.managers("x"), HOST, Term(1)), Err(StoreError::Deposed { .. })));
    }

    #[test]
    fn what_was_done_and_not_answered_is_not_done_twice() {
        let Some(setting) = Setting::new() else { return };
        let store = setting.open("x");
        store.commit(&[contract::put("a", "A")]).unwrap();
        // As if the answer to it had been lost: the same is asked for again.
        store.numbers().commit -= 1;
        store.commit(&[contract::put("a", "A")]).unwrap();
        let (_, changes) = seen(&store.electorate.look().unwrap());
        assert_eq!(changes, store.numbers().commit);
        store.numbers().commit += 5;
        assert!(matches!(store.commit(&[]), Err(StoreError::Damaged { .. })), "somebody else counted");
    }

    #[test]
    fn a_large_commit_is_done_with_its_last_transaction_and_not_before() {
        let Some(setting) = Setting::new() else { return };
        let store = setting.open("x");
        let part = |key: &str| Change { key: store.electorate.key(&format!("keyed/{key}")), value: Some(key.into()) };
        let lay = |store: &Etcd, key: &str| {
            let put = Operation::Put(store.electorate.key("part/000000"), encoded(&vec![part(key)]));
            store.within_reign(vec![put]).unwrap();
        };
        lay(&store, "begun");
        let store_after = setting.open("x");
        assert!(store_after.records().unwrap().is_empty(), "it was only begun");
        lay(&store_after, "done");
        let laid = Operation::Put(store_after.electorate.key("laid"), encoded(&1u64));
        store_after.count(&mut store_after.numbers(), vec![laid]).unwrap();
        assert_eq!(setting.open("x").records().unwrap(), [b"done".to_vec()], "the next reign folds it in");
    }

    #[test]
    fn the_keys_of_others_are_left_as_they_are() {
        let Some(setting) = Setting::new() else { return };
        drop(setting.open("x"));
        let theirs = Managers { cluster: "theirs".to_owned(), ..setting.managers("x") };
        let error = Electorate::new(&theirs, HOST).unwrap().look().unwrap_err();
        assert!(matches!(&error, StoreError::Foreign { found, .. } if found.contains("ours")), "{error}");
        let above = Electorate::new(&setting.managers("x/keyed"), HOST).unwrap();
        assert!(above.look().is_ok(), "a place below, in which nothing lies, may be another's");
        let client = Client::new(&setting.address).unwrap();
        let put = Transaction { then: vec![Operation::Put("y/other".to_owned(), vec![1])], ..Transaction::default() };
        client.transact(&put).unwrap();
        let error = Electorate::new(&setting.managers("y"), HOST).unwrap().look().unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        let newer = encoded(&Format { version: FORMAT + 1, cluster: "ours".to_owned() });
        let put = Transaction { then: vec![Operation::Put("z/format".to_owned(), newer)], ..Transaction::default() };
        client.transact(&put).unwrap();
        let error = Electorate::new(&setting.managers("z"), HOST).unwrap().look().unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, .. }), "{error}");
    }

    #[test]
    fn a_store_that_is_not_there_is_unreachable_and_one_of_another_authority_too() {
        let Some(setting) = Setting::new() else { return };
        let (other, mut managers) = (tempfile::tempdir().unwrap(), setting.managers("x"));
        members::make_certificates(other.path()).unwrap();
        let strange = |name: &str| Path::join(other.path(), name);
        let files = chameleon_etcd::address::Files {
            authority: strange("authority.pem"),
            certificate: strange("certificate.pem"),
            key: strange("key.pem"),
        };
        managers.store.tls = Some(files);
        let error = Electorate::new(&managers, HOST).unwrap().look().unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        members::stop(setting.directory.path());
        let error = Electorate::new(&setting.managers("x"), HOST).unwrap().look().unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    }
}
