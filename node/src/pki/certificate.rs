//! Certificates: how they are issued, and what they say.
//!
//! ```text
//!   authority            made once, by `ftm init`; its key stays in the founder's home
//!     host/h2            an intermediate (path length 0), signed for the host's key by the FTM
//!       host/h2/armor/N  signed by the ARMOR's own process with the host's key
//!     user/NAME
//! ```
//!
//! A cluster is called by the digest of its authority's key, so that no two can be taken for each other.

use std::time::Duration;

use chameleon_core::names::Digest;
use chameleon_core::principal::{Principal, Role};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::PkiError;

const SCHEME: &str = "spiffe://";
const FTM_ROLE: &str = "role/ftm";
/// The authority outlives the cluster.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// A certificate counts from a little earlier, for clocks that are a little late.
const BACKDATED: Duration = Duration::from_secs(300);

/// What a certificate says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub cluster: String,
    pub principal: Principal,
    /// It is authorised to serve as FTM.
    pub may_serve_as_ftm: bool,
}

/// From when to when, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: u64,
    pub until: u64,
}

impl Validity {
    /// From now on.
    #[must_use]
    pub fn lasting(now: u64, life: Duration) -> Validity {
        Validity { from: now, until: now + life.as_secs().max(1) }
    }
}

/// By which a cluster's authority is known.
///
/// # Errors
/// The bytes are no certificate.
pub fn authority_digest(certificate: &[u8]) -> Result<Digest, PkiError> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(PkiError::unreadable)?;
    Ok(key_digest(parsed.public_key().raw))
}

/// By which a public key (SubjectPublicKeyInfo, DER) is known.
#[must_use]
pub fn key_digest(key: &[u8]) -> Digest {
    Digest(*blake3::hash(key).as_bytes())
}

/// What a cluster with this authority is called.
#[must_use]
pub fn cluster(authority: &Digest) -> String {
    authority.to_string()[..16].to_owned()
}

/// What a certificate says; whoever asks must have verified it.
///
/// # Errors
/// It cannot be read, or says something else than one of ours.
pub fn read(certificate: &[u8]) -> Result<Claim, PkiError> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(PkiError::unreadable)?;
    let names = parsed.subject_alternative_name().map_err(PkiError::unreadable)?;
    let uris: Vec<&str> = names.iter().flat_map(|names| &names.value.general_names).filter_map(uri).collect();
    let strange = || PkiError::Strange { says: uris.join(", ") };
    let parts: Vec<(&str, &str)> = uris.iter().filter_map(|uri| uri.strip_prefix(SCHEME)?.split_once('/')).collect();
    let [(cluster, path), roles @ ..] = parts.as_slice() else { return Err(strange()) };
    let principal = path.parse().map_err(|_| strange())?;
    let may_serve_as_ftm = match roles {
        [] => false,
        [role] if role == &(*cluster, FTM_ROLE) => true,
        _ => return Err(strange()),
    };
    Ok(Claim { cluster: (*cluster).to_owned(), principal, may_serve_as_ftm })
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

/// When a certificate is good.
///
/// # Errors
/// It cannot be read.
pub fn validity(certificate: &[u8]) -> Result<Validity, PkiError> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(PkiError::unreadable)?;
    let seconds = |time: i64| u64::try_from(time).unwrap_or_default();
    let found = parsed.validity();
    let from = seconds(found.not_before.timestamp()) + BACKDATED.as_secs();
    Ok(Validity { from, until: seconds(found.not_after.timestamp()) })
}

/// Who may sign: the authority or a host, with its key.
pub struct Signer {
    cluster: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    /// # Errors
    /// The certificate cannot be read.
    pub fn new(cluster: String, certificate: &CertificateDer<'_>, key: KeyPair) -> Result<Signer, PkiError> {
        Ok(Signer { cluster, issuer: Issuer::from_ca_cert_der(certificate, key)? })
    }

    /// Certifies a member's public key (SubjectPublicKeyInfo, DER).
    ///
    /// # Errors
    /// These bytes are no public key.
    pub fn member(
        &self,
        member: &Principal,
        role: Role,
        key: &[u8],
        validity: Validity,
    ) -> Result<CertificateDer<'static>, PkiError> {
        let mut wanted = self.params(member, validity)?;
        if member.host().is_some() {
            wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        } else {
            bear(&mut wanted);
        }
        if role == Role::Ftm {
            wanted.subject_alt_names.push(san(&self.cluster, FTM_ROLE)?);
        }
        let key = SubjectPublicKeyInfo::from_der(key)?;
        Ok(wanted.signed_by(&key, &self.issuer)?.der().clone())
    }

    /// Certifies an ARMOR's own key.
    ///
    /// # Errors
    /// The provider refuses.
    pub fn armor(
        &self,
        armor: &Principal,
        key: &KeyPair,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, PkiError> {
        let mut wanted = self.params(armor, validity)?;
        bear(&mut wanted);
        Ok(wanted.signed_by(key, &self.issuer)?.der().clone())
    }

    fn params(&self, subject: &Principal, validity: Validity) -> Result<CertificateParams, PkiError> {
        let mut wanted = params(&subject.to_string(), validity);
        wanted.use_authority_key_identifier_extension = true;
        wanted.subject_alt_names = vec![san(&self.cluster, &subject.to_string())?];
        Ok(wanted)
    }
}

/// A certificate that is shown to peers.
fn bear(wanted: &mut CertificateParams) {
    wanted.is_ca = IsCa::ExplicitNoCa;
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
}

fn san(cluster: &str, path: &str) -> Result<SanType, PkiError> {
    Ok(SanType::URI(format!("{SCHEME}{cluster}/{path}").try_into()?))
}

fn params(subject: &str, validity: Validity) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name = rcgen::DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, subject);
    wanted.not_before = epoch + Duration::from_secs(validity.from).saturating_sub(BACKDATED);
    wanted.not_after = epoch + Duration::from_secs(validity.until);
    wanted
}

/// A new authority: its certificate and its key.
///
/// # Errors
/// The provider refuses.
pub fn authority(now: u64) -> Result<(CertificateDer<'static>, KeyPair), PkiError> {
    let key = KeyPair::generate()?;
    let name = format!("Chameleon {}", cluster(&key_digest(&key.subject_public_key_info())));
    let mut wanted = params(&name, Validity::lasting(now, AUTHORITY_LIFE));
    wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok((wanted.self_signed(&key)?.der().clone(), key))
}
