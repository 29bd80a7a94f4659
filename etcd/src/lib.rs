//! A small client of etcd: transactions that compare, and then read, write or delete.
//!
//! It blocks, and is for threads that may. A transaction is asked of one member; if that does not answer in time, nobody
//! knows whether it was done ([`Failure::Unknown`]), and the next is asked of another member. Whoever asks makes sure
//! that asking twice does no harm.
#![forbid(unsafe_code)]

pub mod address;
mod failure;
mod wire;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_prost::ProstCodec;

pub use address::Address;
pub use failure::Failure;
use wire::{Request, Response, Target, TxnRequest, TxnResponse, Union};

/// How long a member may take to answer. A change of etcd's leader takes longer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(1_000);
/// How long it may take to let us in.
const CONNECTED_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks whether a silent member still lives.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The most bytes of one answer.
const LONGEST_ANSWER: usize = 64 << 20;
/// What etcd takes in one transaction, as it is shipped.
pub const MOST_OPERATIONS: usize = 128;
pub const MOST_BYTES: usize = 1_500_000;

/// What must be so, for a transaction to do what it would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    Absent(String),
    Equals(String, Vec<u8>),
}

/// When something is read: now, or as it was when an answer had this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision(i64);

/// One thing that a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Get(String),
    /// At most so many keys that begin thus, in order, from this one on.
    List {
        prefix: String,
        from: String,
        most: usize,
        at: Revision,
    },
    Put(String, Vec<u8>),
    Delete(String),
    DeleteAll {
        prefix: String,
    },
}

/// What it does if all holds, and what if not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    pub compares: Vec<Compare>,
    pub then: Vec<Operation>,
    pub otherwise: Vec<Operation>,
}

/// A key and what it has.
pub type Pair = (String, Vec<u8>);

/// What came of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether all that was compared held.
    pub held: bool,
    /// What each operation found, in their order; nothing for one that does not read.
    pub found: Vec<Vec<Pair>>,
    /// By which the same state can be read again, for a while.
    pub revision: Revision,
}

/// Speaks to the members of an etcd.
pub struct Client {
    members: Vec<Channel>,
    /// The runtime, and the member that is asked next.
    state: Mutex<State>,
}

struct State {
    runtime: Option<Runtime>,
    next: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client of {} members", self.members.len())
    }
}

impl Client {
    /// A client of the members at this address, to none of which it has spoken yet.
    ///
    /// # Errors
    /// [`Failure::Tls`].
    pub fn new(address: &Address) -> Result<Client, Failure> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|why| Failure::Tls(why.to_string()))?;
        let _entered = runtime.enter();
        let tls = tls(address)?;
        let members = address.members.iter().map(|member| channel(member, tls.clone()));
        let members = members.collect::<Result<Vec<Channel>, Failure>>()?;
        drop(_entered);
        Ok(Client { members, state: Mutex::new(State { runtime: Some(runtime), next: 0 }) })
    }

    /// Asks one member; the next one if it did not answer the last time.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn transact(&self, transaction: &Transaction) -> Result<Answer, Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = self.members[state.next % self.members.len()].clone();
        let runtime = state.runtime.as_ref().expect("it is taken only when the client is dropped");
        let asked = runtime.block_on(async {
            let ask = tokio::time::timeout(ANSWERED_WITHIN, ask(channel, transaction.request())).await;
            ask.unwrap_or_else(|_| Err(Failure::Unknown(format!("nothing within {ANSWERED_WITHIN:?}"))))
        });
        if matches!(asked, Err(Failure::Unknown(_))) {
            state.next += 1;
        }
        asked.map(|response| transaction.answer(response))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // In an event loop nothing may be waited for.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

async fn ask(channel: Channel, request: TxnRequest) -> Result<TxnResponse, Failure> {
    let mut client = Grpc::new(channel).max_decoding_message_size(LONGEST_ANSWER);
    client.ready().await.map_err(|why| Failure::Unknown(in_full(&why)))?;
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Txn");
    let codec = ProstCodec::<TxnRequest, TxnResponse>::default();
    let answered = client.unary(tonic::Request::new(request), path, codec).await;
    answered.map(tonic::Response::into_inner).map_err(|status| Failure::of(&status))
}

fn tls(address: &Address) -> Result<Option<ClientTlsConfig>, Failure> {
    let Some(files) = &address.tls else { return Ok(None) };
    let read = |path: &Path| fs::read(path).map_err(|why| Failure::Tls(format!("{}: {why}", path.display())));
    let authority = Certificate::from_pem(read(&files.authority)?);
    let identity = Identity::from_pem(read(&files.certificate)?, read(&files.key)?);
    Ok(Some(ClientTlsConfig::new().ca_certificate(authority).identity(identity)))
}

fn channel(member: &str, tls: Option<ClientTlsConfig>) -> Result<Channel, Failure> {
    let bad = |why: tonic::transport::Error| Failure::Tls(in_full(&why));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{member}")).map_err(bad)?;
    let endpoint = endpoint
        .connect_timeout(CONNECTED_WITHIN)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(ANSWERED_WITHIN)
        .tcp_nodelay(true);
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(tls).map_err(bad)?,
        None => endpoint,
    };
    Ok(endpoint.connect_lazy())
}

/// An error with all its reasons.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(why) = source {
        text = format!("{text}: {why}");
        source = why.source();
    }
    text
}

impl Transaction {
    fn request(&self) -> TxnRequest {
        let all = |operations: &[Operation]| operations.iter().map(Operation::request).collect();
        let compare = self.compares.iter().map(Compare::request).collect();
        TxnRequest { compare, success: all(&self.then), failure: all(&self.otherwise) }
    }

    fn answer(&self, response: TxnResponse) -> Answer {
        let found = response.responses.into_iter().map(|op| match op.response {
            Some(Response::Range(range)) => range.kvs.into_iter().map(pair).collect(),
            None => Vec::new(),
        });
        let revision = Revision(response.header.map_or(0, |header| header.revision));
        Answer { held: response.succeeded, found: found.collect(), revision }
    }
}

fn pair(found: wire::KeyValue) -> Pair {
    (String::from_utf8_lossy(&found.key).into_owned(), found.value)
}

impl Compare {
    fn request(&self) -> wire::Compare {
        let (key, target, union) = match self {
            Compare::Absent(key) => (key, Target::Version, Union::Version(0)),
            Compare::Equals(key, value) => (key, Target::Value, Union::Value(value.clone())),
        };
        wire::Compare { result: 0, target: target.into(), key: key.clone().into_bytes(), union: Some(union) }
    }
}

impl Operation {
    fn request(&self) -> wire::RequestOp {
        let range = |key: &str, range_end, limit, Revision(revision)| {
            Request::Range(wire::RangeRequest { key: key.as_bytes().to_vec(), range_end, limit, revision })
        };
        let delete = |key: &str, range_end| {
            Request::Delete(wire::DeleteRangeRequest { key: key.as_bytes().to_vec(), range_end })
        };
        let request = match self {
            Operation::Get(key) => range(key, Vec::new(), 0, Revision::default()),
            Operation::List { prefix, from, most, at } => {
                range(from, beyond(prefix), i64::try_from(*most).unwrap_or(i64::MAX), *at)
            }
            Operation::Put(key, value) => {
                Request::Put(wire::PutRequest { key: key.clone().into_bytes(), value: value.clone() })
            }
            Operation::Delete(key) => delete(key, Vec::new()),
            Operation::DeleteAll { prefix } => delete(prefix, beyond(prefix)),
        };
        wire::RequestOp { request: Some(request) }
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        const AROUND: usize = 32;
        AROUND
            + match self {
                Operation::Get(key) | Operation::Delete(key) => key.len(),
                Operation::List { prefix, from, .. } => prefix.len() + from.len(),
                Operation::Put(key, value) => key.len() + value.len(),
                Operation::DeleteAll { prefix } => 2 * prefix.len(),
            }
    }
}

/// The first key that does not begin thus.
fn beyond(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
