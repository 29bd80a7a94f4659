//! What a process shows its peers, and what it asks of them. Made before the first peer on another
//! machine, and not earlier: the provider of cryptography is slow to wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use chameleon_core::book::Book;
use chameleon_core::names::ArmorName;
use chameleon_core::principal::Principal;
use rcgen::KeyPair;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use super::certificate::{self, Signer, Validity};
use super::keep::read_book;
use super::verify::{Called, Callers, Clock, Expected, Pinned, Trust};
use super::{PkiError, Standing};
use crate::home::Home;

/// An ARMOR's certificate is good for this part of the time that its host's is: 1 h of 24 h.
const ARMOR_PART: u32 = 24;

/// What one process shows and asks.
#[derive(Debug)]
pub struct Credentials {
    own: Principal,
    trust: Arc<Trust>,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    /// When another certificate is due, seconds since 1970.
    due: AtomicU64,
}

/// What peers are shown now.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Credentials {
    /// Those of this process of a home that has joined a cluster.
    ///
    /// # Errors
    /// What the home keeps cannot be used.
    pub fn new(home: &Home, name: ArmorName, clock: Clock) -> Result<Option<Credentials>, PkiError> {
        let Some(standing) = Standing::of(home)? else { return Ok(None) };
        let own = match &standing.member {
            Principal::User(_) => standing.member.clone(),
            Principal::Host(host) | Principal::Armor(host, _) => Principal::Armor(*host, name),
        };
        let provider = super::provider();
        let book = Arc::new(ArcSwap::from_pointee(read_book(home)?));
        let trust = Trust { authority: standing.authority.clone(), cluster: standing.cluster()?, clock, book };
        let (key, due) = shown(&standing, &own, &trust.cluster, clock(), &provider)?;
        let shown = Arc::new(Shown(ArcSwap::from_pointee(key)));
        Ok(Some(Credentials { own, trust: Arc::new(trust), provider, shown, due: AtomicU64::new(due) }))
    }

    #[must_use]
    pub fn own(&self) -> &Principal {
        &self.own
    }

    #[must_use]
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    #[must_use]
    pub fn book(&self) -> Arc<Book> {
        self.trust.book.load_full()
    }

    /// Looks at the book and at our own certificate again; what is up stays up.
    ///
    /// # Errors
    /// What the home keeps cannot be used; what was known before still is.
    pub fn refresh(&self, home: &Home) -> Result<(), PkiError> {
        let now = (self.trust.clock)();
        if now >= self.due.load(Ordering::Relaxed)
            && let Some(standing) = Standing::of(home)?
        {
            let (key, due) = shown(&standing, &self.own, &self.trust.cluster, now, &self.provider)?;
            self.shown.0.store(Arc::new(key));
            self.due.store(due, Ordering::Relaxed);
        }
        Ok(())
    }

    /// For peers that call us and must prove who they are.
    ///
    /// # Errors
    /// The provider cannot do what we need.
    pub fn server(&self) -> Result<Arc<ServerConfig>, PkiError> {
        let callers = Callers { trust: self.trust.clone(), provider: self.provider.clone() };
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(callers))
            .with_cert_resolver(self.shown.clone());
        Ok(Arc::new(without_resumption(config)))
    }

    /// For those who want to be let in and have nothing to show yet.
    ///
    /// # Errors
    /// The provider cannot do what we need.
    pub fn reception(&self) -> Result<Arc<ServerConfig>, PkiError> {
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(self.shown.clone());
        Ok(Arc::new(without_resumption(config)))
    }

    /// For calling this peer.
    ///
    /// # Errors
    /// The provider cannot do what we need.
    pub fn client(&self, expected: Expected) -> Result<Arc<ClientConfig>, PkiError> {
        let called = Called { trust: self.trust.clone(), expected, provider: self.provider.clone() };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(called))
            .with_client_cert_resolver(self.shown.clone());
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// For calling the FTM with nothing to show, trusting who our home trusts or who a token pins.
pub(super) fn stranger(verifier: Pinned) -> Result<Arc<ClientConfig>, PkiError> {
    let mut config = ClientConfig::builder_with_provider(verifier.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A resumed session would not be asked for its certificate again, and might have been revoked since.
fn without_resumption(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// What to show from now on, and until when: half of its time.
fn shown(
    standing: &Standing,
    own: &Principal,
    cluster: &str,
    now: u64,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, u64), PkiError> {
    let (key, certificate) = (standing.key()?, standing.certificate()?);
    let (key, chain, validity) = match own {
        Principal::Armor(..) => {
            let host = certificate::validity(&certificate)?;
            let part = Duration::from_secs(host.until.saturating_sub(host.from)) / ARMOR_PART;
            let wanted = Validity::lasting(now, part);
            let validity = Validity { until: wanted.until.min(host.until), ..wanted };
            let armor_key = KeyPair::generate()?;
            let signer = Signer::new(cluster.to_owned(), &certificate, key)?;
            let leaf = signer.armor(own, &armor_key, validity)?;
            (armor_key, vec![leaf, certificate, standing.authority.clone()], validity)
        }
        Principal::Host(_) | Principal::User(_) => {
            let validity = certificate::validity(&certificate)?;
            (key, vec![certificate, standing.authority.clone()], validity)
        }
    };
    let due = validity.from + validity.until.saturating_sub(validity.from) / 2;
    Ok((certified(&key, chain, provider)?, due.max(now + 1)))
}

fn certified(
    key: &KeyPair,
    chain: Vec<CertificateDer<'static>>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, PkiError> {
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(CertifiedKey::new(chain, provider.key_provider.load_private_key(secret)?))
}
