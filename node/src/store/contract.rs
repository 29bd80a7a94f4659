//! What every engine of the store keeps to: one body of tests for all.

use chameleon_core::shell::{Place, Saved};

use super::{Store, StoreError};

/// Opens the store under the next reign.
pub(super) type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Store>;

pub(super) fn put(key: &str, text: &str) -> Saved {
    Saved { place: Place::Put(key.into()), bytes: text.into() }
}

fn append(text: &str) -> Saved {
    Saved { place: Place::Append, bytes: text.into() }
}

fn delete(key: &str) -> Saved {
    Saved { place: Place::Delete(key.into()), bytes: Vec::new() }
}

fn texts(store: &dyn Store) -> Vec<String> {
    store.records().unwrap().into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

/// Records come back in order of keys, then those without one as they came; the last change of a key counts.
pub(super) fn records_come_back(open: Open<'_>) {
    let store = open();
    store.commit(&[put("b", "B"), put("a", "old"), append("1"), append("2")]).unwrap();
    store.commit(&[put("a", "A"), put("c", "C"), delete("c"), delete("never"), append("3")]).unwrap();
    assert_eq!(texts(&*store), ["A", "B", "1", "2", "3"]);
    store.share().commit(&[]).unwrap();
    drop(store);
    let store = open();
    assert_eq!(texts(&*store), ["A", "B", "1", "2", "3"], "under another reign, too");
    store.commit(&[append("4"), delete("b")]).unwrap();
    assert_eq!(texts(&*store), ["A", "1", "2", "3", "4"]);
}

/// A commit may have very many changes, and large ones.
pub(super) fn large_commits_are_whole(open: Open<'_>) {
    let large = "x".repeat(300_000);
    let many: Vec<Saved> = (0..400).map(|number| put(&format!("many/{number:03}"), "small")).collect();
    let some: Vec<Saved> = (0..12).map(|number| put(&format!("large/{number:02}"), &large)).collect();
    let store = open();
    store.commit(&many).unwrap();
    store.commit(&some).unwrap();
    store.commit(&[delete("many/000"), put("last", "one")]).unwrap();
    drop(store);
    let found = texts(&*open());
    assert_eq!(found.len(), 412);
    assert_eq!(found.iter().filter(|text| **text == large).count(), 12);
    assert_eq!(found.iter().filter(|text| *text == "small").count(), 399);
}

/// A reign that is over changes nothing and is told nothing; `earlier` was opened before another.
pub(super) fn a_lower_term_is_obeyed_no_more(earlier: &dyn Store, later: &dyn Store) {
    later.commit(&[put("a", "new")]).unwrap();
    assert!(matches!(earlier.commit(&[put("a", "old")]), Err(StoreError::Deposed { .. })));
    assert!(matches!(earlier.records(), Err(StoreError::Deposed { .. })));
    assert_eq!(texts(later), ["new"]);
}
