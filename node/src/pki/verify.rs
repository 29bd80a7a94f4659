//! Is a peer who it says it is? A chain must lead to our own authority, each link below its issuer's
//! name, in its time, and nobody in it revoked.
//!
//! What a peer is told of a refusal is the alert that TLS has for it; the sentence is for our people.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chameleon_core::book::Book;
use chameleon_core::names::{ArmorName, Digest, Kind};
use chameleon_core::principal::Principal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::certificate::{self, Claim};

/// Why a peer is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it shows no certificate of this system: {why}")]
    Unreadable { why: String },
    #[error("its certificate is of another cluster")]
    Foreign,
    #[error("its certificate says {claimed}, but was signed by {issuer}, which may not vouch for it")]
    Forged { claimed: Principal, issuer: String },
    #[error("it is {found}, and not {expected}")]
    Other { found: Principal, expected: String },
    #[error("{0} was revoked")]
    Revoked(Principal),
    #[error("{0} is not authorised to serve as FTM")]
    NotFtm(Principal),
    #[error("{0}")]
    Tls(String),
}

/// Tells the time, seconds since 1970.
pub type Clock = fn() -> u64;

/// By whom peers are vouched for, when, and who is let in no more.
#[derive(Debug)]
pub struct Trust {
    pub authority: CertificateDer<'static>,
    pub cluster: String,
    pub clock: Clock,
    pub book: Arc<ArcSwap<Book>>,
}

impl Trust {
    /// Who shows these certificates.
    ///
    /// # Errors
    /// What TLS is to tell the peer; [`explain`] makes a sentence of it.
    pub fn check(&self, shown: &[CertificateDer<'_>], usage: KeyUsage) -> Result<Claim, Error> {
        let [leaf, others @ ..] = shown else { return Err(Error::NoCertificatesPresented) };
        let claim = self.read(leaf)?;
        let anchor = anchor_from_trusted_cert(&self.authority).map_err(broken)?;
        let end = EndEntityCert::try_from(leaf).map_err(broken)?;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs((self.clock)()));
        let algorithms = super::provider().signature_verification_algorithms.all;
        let anchors = [anchor];
        let path = end.verify_for_usage(algorithms, &anchors, others, time, usage, None, None).map_err(broken)?;
        let issuers: Vec<Claim> =
            path.intermediate_certificates().map(|issuer| self.read(&issuer.der())).collect::<Result<_, _>>()?;
        vouched(&claim, &issuers)?;
        if self.book.load().is_revoked(&claim.principal) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(claim)
    }

    fn read(&self, certificate: &CertificateDer<'_>) -> Result<Claim, Error> {
        let claim =
            certificate::read(certificate).map_err(|why| refused(Refusal::Unreadable { why: why.to_string() }))?;
        match claim.cluster == self.cluster {
            true => Ok(claim),
            false => Err(refused(Refusal::Foreign)),
        }
    }
}

/// Whether these issuers, nearest first, may vouch for this claim.
fn vouched(claim: &Claim, issuers: &[Claim]) -> Result<(), Error> {
    let claimed = &claim.principal;
    match (claimed, issuers) {
        (Principal::User(_), []) => Ok(()),
        (Principal::Armor(host, name), [issuer]) if issuer.principal == Principal::Host(*host) => {
            let as_ftm = name.kind() == Kind::Ftm;
            match !as_ftm || issuer.may_serve_as_ftm {
                true => Ok(()),
                false => Err(refused(Refusal::NotFtm(issuer.principal.clone()))),
            }
        }
        _ => {
            let issuer =
                issuers.first().map_or_else(|| "the authority".to_owned(), |issuer| issuer.principal.to_string());
            Err(refused(Refusal::Forged { claimed: claimed.clone(), issuer }))
        }
    }
}

fn refused(refusal: Refusal) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
}

fn broken(error: webpki::Error) -> Error {
    use webpki::Error as Broken;
    let certificate = match error {
        Broken::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Broken::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        Broken::UnknownIssuer => CertificateError::UnknownIssuer,
        other => return refused(Refusal::Unreadable { why: other.to_string() }),
    };
    Error::InvalidCertificate(certificate)
}

/// Whether this is the other side's word that we are let in no more, or never were: no use to ask again.
#[must_use]
pub fn is_final(error: &Error) -> bool {
    matches!(error, Error::AlertReceived(AlertDescription::CertificateRevoked | AlertDescription::UnknownCA))
}

/// What went wrong, in a sentence for people.
#[must_use]
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => invalid(why),
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "the other side finds our certificate out of its time: one of the two clocks is wrong, or it was not renewed"
                .to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRevoked) => "we were revoked and are let in no more".to_owned(),
        Error::AlertReceived(AlertDescription::UnknownCA) => "we are of another cluster than the other side".to_owned(),
        other => other.to_string(),
    }
}

fn invalid(why: &CertificateError) -> String {
    let off = |seconds: u64| match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        more => format!("{} h", more / 3_600),
    };
    match why {
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate is not valid yet for another {}: the two hosts' clocks differ; set them, with NTP for example",
            off(not_before.as_secs().saturating_sub(time.as_secs()))
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "its certificate was good until {} ago: the two hosts' clocks differ, or it could not renew it in time",
            off(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::UnknownIssuer => Refusal::Foreign.to_string(),
        CertificateError::Other(OtherError(refusal)) => refusal.to_string(),
        other => other.to_string(),
    }
}

macro_rules! only_tls13 {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("only TLS 1.3 is spoken".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

/// What a peer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this one.
    Exactly(Principal),
    /// The FTM, wherever it is.
    Ftm,
}

impl Expected {
    fn check(&self, claim: &Claim) -> Result<(), Error> {
        let expected = match self {
            Expected::Exactly(principal) if claim.principal == *principal => return Ok(()),
            Expected::Ftm if matches!(claim.principal, Principal::Armor(_, ArmorName::Ftm)) => return Ok(()),
            Expected::Exactly(principal) => principal.to_string(),
            Expected::Ftm => "the FTM".to_owned(),
        };
        Err(refused(Refusal::Other { found: claim.principal.clone(), expected }))
    }
}

/// Checks whom we call.
#[derive(Debug)]
pub struct Called {
    pub trust: Arc<Trust>,
    pub expected: Expected,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Called {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown: Vec<CertificateDer<'_>> = std::iter::once(leaf).chain(others).cloned().collect();
        self.expected.check(&self.trust.check(&shown, KeyUsage::server_auth())?)?;
        Ok(ServerCertVerified::assertion())
    }

    only_tls13!();
}

/// Checks who calls us.
#[derive(Debug)]
pub struct Callers {
    pub trust: Arc<Trust>,
    pub provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Callers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let shown: Vec<CertificateDer<'_>> = std::iter::once(leaf).chain(others).cloned().collect();
        self.trust.check(&shown, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    only_tls13!();
}

/// Trust in whoever's authority has this digest, found among the certificates that it shows: for one
/// that holds a token and nothing else yet.
#[derive(Debug)]
pub struct Pinned {
    pub authority: Digest,
    pub clock: Clock,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = |shown: &&CertificateDer<'_>| {
            certificate::authority_digest(shown).is_ok_and(|digest| digest == self.authority)
        };
        let authority = others.iter().find(pinned).ok_or_else(|| refused(Refusal::Foreign))?;
        let trust = Trust {
            authority: authority.clone().into_owned(),
            cluster: certificate::cluster(&self.authority),
            clock: self.clock,
            book: Arc::default(),
        };
        let called = Called { trust: Arc::new(trust), expected: Expected::Ftm, provider: self.provider.clone() };
        called.verify_server_cert(leaf, others, name, ocsp, now)
    }

    only_tls13!();
}
