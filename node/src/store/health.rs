//! How the members of a store that several candidates share are, each asked by itself.

use std::thread;

use chameleon_etcd::{Address, Client, Failure, Operation, Transaction};

/// A member of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `HOST:PORT`.
    pub address: String,
    /// Why it does not serve, if so: it is gone, or reaches too few others.
    pub trouble: Option<String>,
}

/// Asks all members at once.
#[must_use]
pub fn of(store: &Address) -> Vec<Member> {
    thread::scope(|scope| {
        let asked: Vec<_> = store.members.iter().map(|address| scope.spawn(|| member(store, address))).collect();
        asked.into_iter().map(|member| member.join().expect("it only asks")).collect()
    })
}

fn member(store: &Address, address: &str) -> Member {
    let trouble = serves(store, address).err().map(|why| why.to_string());
    Member { address: address.to_owned(), trouble }
}

fn serves(store: &Address, address: &str) -> Result<(), Failure> {
    let alone = Address { members: vec![address.to_owned()], ..store.clone() };
    let look = Operation::Get(format!("{}/format", store.prefix));
    Client::new(&alone)?.transact(&Transaction { then: vec![look], ..Transaction::default() }).map(drop)
}
