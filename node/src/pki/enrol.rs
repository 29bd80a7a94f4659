//! How a home comes by its identity: it calls the FTM with a token, checks that it is the FTM that made
//! the token, and is given a certificate for its key. Later it gets new ones for the same key.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chameleon_core::message::{Admission, Application, FtmMessage, Message, UserMessage};
use chameleon_core::names::{ArmorName, Digest, Incarnation};
use chameleon_core::principal::Principal;
use chameleon_core::token::Token;
use rcgen::PublicKeyData;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificate::authority_digest;
use super::credentials::stranger;
use super::verify::{Pinned, explain};
use super::{PkiError, Standing, keep};
use crate::frame::{self, Frame, VERSION};
use crate::home::Home;
use crate::links::Reader;
use crate::outside::reached_at;
use crate::random;

/// Whom a connection is for that wants to be let in, as its SNI says.
pub const RECEPTION: &str = "enrol.chameleon";
/// How long the FTM may take to answer.
const WITHIN: Duration = Duration::from_secs(20);

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("{address} cannot be reached, so nothing could be asked there: {source}")]
    Unreachable { address: String, source: io::Error },
    #[error("whoever answers at {address} is not the FTM that was meant: {why}")]
    Untrusted { address: String, why: String },
    #[error("nobody at {address} lets hosts in; is it the address of the FTM?")]
    NoReception { address: String },
    #[error("the FTM refuses: {0}")]
    Refused(String),
    #[error("the FTM at {address} did not answer within {} s; the same command may be given again", WITHIN.as_secs())]
    Silent { address: String },
}

/// Who wants to be let in, and as what.
#[derive(Debug)]
pub struct Wish<'a> {
    pub address: &'a str,
    pub token: &'a Token,
    /// How to be called.
    pub name: String,
    /// Where a host listens; `None` for a person.
    pub listen: Option<SocketAddr>,
}

/// Joins the cluster: the home is a member of it afterwards.
///
/// # Errors
/// See [`EnrolError`]; the home is as before, and the same token may be tried again.
pub async fn join(home: &Home, wish: Wish<'_>) -> Result<Standing, EnrolError> {
    let key = keep::own_key(home)?;
    let application = Application {
        secret: wish.token.secret.to_vec(),
        name: wish.name.clone(),
        address: wish.listen.map(|listen| reached_at(listen).to_string()).unwrap_or_default(),
        key: key.subject_public_key_info(),
    };
    let question = FtmMessage::Enrol(Box::new(application));
    let admission = ask(wish.address, wish.token.authority, question).await?;
    let [certificate, authority] = chain(&admission)?;
    if let Some(listen) = wish.listen {
        keep::keep_listen(home, &listen.to_string())?;
    }
    keep::keep_book(home, &admission.book)?;
    let name = match &admission.member {
        Principal::User(name) => name.clone(),
        Principal::Host(_) | Principal::Armor(..) => wish.name,
    };
    Ok(keep::become_member(home, &admission.member, &name, &authority, &certificate)?)
}

/// Gets another certificate for the key of this home.
///
/// # Errors
/// See [`EnrolError`]; the old one stays.
pub async fn renew(home: &Home, standing: &Standing) -> Result<(), EnrolError> {
    let book = keep::read_book(home)?;
    let key = standing.key()?.subject_public_key_info();
    let question = FtmMessage::Renew { member: standing.member.clone(), key };
    let authority = authority_digest(&standing.authority)?;
    let mut answer = Err(EnrolError::Refused("the FTM's address is not known".to_owned()));
    for address in book.may_have_ftm().filter_map(|host| book.address(host)) {
        answer = ask(address, authority, question.clone()).await;
        // Elsewhere there may be an FTM that answers.
        if !matches!(answer, Err(EnrolError::Unreachable { .. } | EnrolError::NoReception { .. })) {
            break;
        }
    }
    let [certificate, _] = chain(&answer?)?;
    Ok(standing.keep_certificate(&certificate)?)
}

fn chain(admission: &Admission) -> Result<[CertificateDer<'static>; 2], EnrolError> {
    let chain: Vec<CertificateDer<'static>> =
        admission.chain.iter().map(|certificate| certificate.to_vec().into()).collect();
    chain.try_into().map_err(|_| EnrolError::Pki(PkiError::Unreadable("the FTM sent no whole chain".to_owned())))
}

/// Asks the FTM, which must be one that this authority vouches for.
async fn ask(address: &str, authority: Digest, question: FtmMessage) -> Result<Admission, EnrolError> {
    let silent = || EnrolError::Silent { address: address.to_owned() };
    tokio::time::timeout(WITHIN, converse(address, authority, question)).await.map_err(|_| silent())?
}

async fn converse(address: &str, authority: Digest, question: FtmMessage) -> Result<Admission, EnrolError> {
    let unreachable = |source| EnrolError::Unreachable { address: address.to_owned(), source };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    let config = stranger(Pinned { authority, clock: super::now, provider: super::provider() })?;
    let name = ServerName::try_from(RECEPTION).expect("the name is one");
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| failed(address, &error))?;
    match speak(stream, question).await.map_err(|error| failed(address, &error))? {
        Some(UserMessage::Admitted(admission)) => Ok(*admission),
        Some(UserMessage::Refused { why }) => Err(EnrolError::Refused(why)),
        _ => Err(EnrolError::NoReception { address: address.to_owned() }),
    }
}

fn failed(address: &str, error: &io::Error) -> EnrolError {
    let address = address.to_owned();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(why) => EnrolError::Untrusted { address, why: explain(why) },
        // It hung up instead of answering.
        None => EnrolError::NoReception { address },
    }
}

/// The first thing that is answered for us.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(stream: S, question: FtmMessage) -> io::Result<Option<UserMessage>> {
    let from = ArmorName::User(u64::from_le_bytes(random::bytes()));
    let mut bytes = Vec::new();
    let hello = Frame::Hello { from, incarnation: Incarnation(1), version: VERSION };
    for frame in [hello, Frame::Message(question.into())] {
        frame::encode(&frame, &mut bytes).map_err(io::Error::other)?;
    }
    let (read, mut write) = tokio::io::split(stream);
    write.write_all(&bytes).await?;
    write.flush().await?;
    let mut reader = Reader::new(read);
    loop {
        match reader.next().await? {
            Some(Frame::Message(Message::User(answer))) => return Ok(Some(answer)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}
