//! Where a home keeps who it is: one host or one person.
//!
//! ```text
//! HOME/pki/authority.der    the cluster's authority, the root of all trust
//!          authority.key    its key, in the founder's home only, and in those that were given a copy by hand
//!          lifetime         how long a host's certificate is good, seconds; founder only
//!          key.der          our key: made before it is certified, the same for good
//!          certificate.der  what certifies it; replaced when it is renewed
//!          listen           where other machines reach this host
//!          name             what its people call it
//!          member           who we are; written last: without it we have not joined
//! HOME/book                 the cluster's address book
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chameleon_core::book::Book;
use chameleon_core::names::{Digest, HostId};
use chameleon_core::principal::{Principal, Role};
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;

use super::PkiError;
use super::certificate::{self, Signer, Validity};
use crate::home::{Home, make_directory, write_whole};

/// The founding host.
const FOUNDER: HostId = HostId(1);
/// A person's certificate is good for this many times as long as a host's.
const USER_LIVES: u32 = 30;

/// Who a home is in its cluster.
#[derive(Debug)]
pub struct Standing {
    directory: PathBuf,
    pub member: Principal,
    pub name: String,
    pub authority: CertificateDer<'static>,
}

/// A new cluster.
#[derive(Debug, Clone)]
pub struct Founded {
    pub name: String,
    pub listen: String,
    /// How long a host's certificate is good.
    pub lifetime: Duration,
}

/// Makes a cluster's authority and its founding host in this home.
///
/// # Errors
/// Those of files and of the provider. An authority that is there is never replaced.
pub fn found(home: &Home, founded: &Founded) -> Result<Standing, PkiError> {
    let directory = home.pki();
    make_directory(&directory).map_err(PkiError::file(&directory))?;
    let now = super::now();
    let (authority, key) = certificate::authority(now)?;
    write_secret(&directory.join("authority.key"), key.serialized_der())?;
    write(&directory.join("authority.der"), &authority)?;
    write(&directory.join("lifetime"), founded.lifetime.as_secs().to_string().as_bytes())?;
    let own = own_key(home)?;
    let member = Principal::Host(FOUNDER);
    let signer = Signer::new(cluster(&authority)?, &authority, key)?;
    let validity = Validity::lasting(now, founded.lifetime);
    let certificate = signer.member(&member, Role::Ftm, &own.subject_public_key_info(), validity)?;
    keep_listen(home, &founded.listen)?;
    become_member(home, &member, &founded.name, &authority, &certificate)
}

/// The key of this home; made if there is none.
///
/// # Errors
/// Those of files and of the provider.
pub fn own_key(home: &Home) -> Result<KeyPair, PkiError> {
    let directory = home.pki();
    make_directory(&directory).map_err(PkiError::file(&directory))?;
    let path = directory.join("key.der");
    if !path.exists() {
        write_secret(&path, KeyPair::generate()?.serialized_der())?;
    }
    read_key(&path)
}

/// From now on this home is that member.
///
/// # Errors
/// Those of files.
pub fn become_member(
    home: &Home,
    member: &Principal,
    name: &str,
    authority: &CertificateDer<'_>,
    certificate: &CertificateDer<'_>,
) -> Result<Standing, PkiError> {
    let directory = home.pki();
    write(&directory.join("authority.der"), authority)?;
    write(&directory.join("certificate.der"), certificate)?;
    write(&directory.join("name"), name.as_bytes())?;
    write(&directory.join("member"), member.to_string().as_bytes())?;
    Standing::of(home)?.ok_or_else(|| PkiError::Unreadable("the member was written and is not there".to_owned()))
}

/// Where other machines are to reach this host, from its next start on.
///
/// # Errors
/// Those of files.
pub fn keep_listen(home: &Home, listen: &str) -> Result<(), PkiError> {
    make_directory(&home.pki()).map_err(PkiError::file(&home.pki()))?;
    write(&home.pki().join("listen"), listen.as_bytes())
}

impl Standing {
    /// Who this home is; `None`: it is on its own.
    ///
    /// # Errors
    /// It is somebody, and that cannot be read.
    pub fn of(home: &Home) -> Result<Option<Standing>, PkiError> {
        let directory = home.pki();
        let Some(member) = read_if_there(&directory.join("member"))? else { return Ok(None) };
        let member = text(member).parse().map_err(PkiError::unreadable)?;
        let name = read_if_there(&directory.join("name"))?.map(text).unwrap_or_default();
        let path = directory.join("authority.der");
        let authority = fs::read(&path).map_err(PkiError::file(&path))?.into();
        Ok(Some(Standing { directory, member, name, authority }))
    }

    /// What the cluster is called.
    ///
    /// # Errors
    /// The authority's certificate is damaged.
    pub fn cluster(&self) -> Result<String, PkiError> {
        cluster(&self.authority)
    }

    /// # Errors
    /// Those of files.
    pub fn key(&self) -> Result<KeyPair, PkiError> {
        read_key(&self.directory.join("key.der"))
    }

    /// By which the FTM knows our key.
    ///
    /// # Errors
    /// Those of files.
    pub fn key_digest(&self) -> Result<Digest, PkiError> {
        Ok(certificate::key_digest(&self.key()?.subject_public_key_info()))
    }

    /// # Errors
    /// Those of files.
    pub fn certificate(&self) -> Result<CertificateDer<'static>, PkiError> {
        let path = self.directory.join("certificate.der");
        Ok(fs::read(&path).map_err(PkiError::file(&path))?.into())
    }

    /// # Errors
    /// Those of files.
    pub fn keep_certificate(&self, certificate: &CertificateDer<'_>) -> Result<(), PkiError> {
        write(&self.directory.join("certificate.der"), certificate)
    }

    /// Where other machines reach this host, if it listens.
    ///
    /// # Errors
    /// Those of files.
    pub fn listen(&self) -> Result<Option<String>, PkiError> {
        Ok(read_if_there(&self.directory.join("listen"))?.map(text))
    }

    /// Whether this host may serve as FTM.
    ///
    /// # Errors
    /// Its certificate cannot be read.
    pub fn may_serve_as_ftm(&self) -> Result<bool, PkiError> {
        Ok(certificate::read(&self.certificate()?)?.may_serve_as_ftm)
    }

    /// Keeps a copy of the authority's key, with which an FTM lets others in.
    ///
    /// # Errors
    /// It is another's key, or cannot be read or written.
    pub fn keep_authority_key(&self, file: &Path) -> Result<(), PkiError> {
        let key = read_key(file)?;
        if certificate::key_digest(&key.subject_public_key_info()) != certificate::authority_digest(&self.authority)? {
            return Err(PkiError::Unreadable(format!("{} is not the key of this cluster's authority", file.display())));
        }
        let kept = self.directory.join("authority.key");
        if kept.exists() { Ok(()) } else { write_secret(&kept, key.serialized_der()) }
    }

    /// Certifies a member with the authority's key, if it is kept here.
    ///
    /// # Errors
    /// It is not, or these bytes are no key.
    pub fn certify(
        &self,
        member: &Principal,
        role: Role,
        key: &[u8],
    ) -> Result<Vec<CertificateDer<'static>>, PkiError> {
        let authority_key = read_key(&self.directory.join("authority.key"))?;
        let seconds = read_if_there(&self.directory.join("lifetime"))?.map(text).and_then(|text| text.parse().ok());
        let life = Duration::from_secs(seconds.unwrap_or(24 * 3_600));
        let life = if member.host().is_some() { life } else { life * USER_LIVES };
        let signer = Signer::new(self.cluster()?, &self.authority, authority_key)?;
        let certificate = signer.member(member, role, key, Validity::lasting(super::now(), life))?;
        Ok(vec![certificate, self.authority.clone()])
    }
}

/// What the daemon of this home was told last.
///
/// # Errors
/// It is there and cannot be read.
pub fn read_book(home: &Home) -> Result<Book, PkiError> {
    let Some(bytes) = read_if_there(&home.book())? else { return Ok(Book::default()) };
    minicbor::decode(&bytes).map_err(PkiError::unreadable)
}

/// # Errors
/// Those of files.
pub fn keep_book(home: &Home, book: &Book) -> Result<(), PkiError> {
    write(&home.book(), &minicbor::to_vec(book).expect("writing to memory cannot fail"))
}

fn cluster(authority: &[u8]) -> Result<String, PkiError> {
    Ok(certificate::cluster(&certificate::authority_digest(authority)?))
}

fn read_key(path: &Path) -> Result<KeyPair, PkiError> {
    let bytes = fs::read(path).map_err(PkiError::file(path))?;
    Ok(KeyPair::try_from(bytes.as_slice())?)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, PkiError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(PkiError::file(path)),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    write_whole(path, bytes).map_err(PkiError::file(path))
}

/// Writes a file that only we can read and that must not be there yet.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(PkiError::file(path))
}
