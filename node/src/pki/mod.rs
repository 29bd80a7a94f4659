//! Who is who between machines: certificates, how they are checked, where they are kept, and how a host
//! or a person comes by one.
//!
//! Whether somebody is let in was decided in `core`; here it is carried out.

pub mod certificate;
mod credentials;
pub mod enrol;
mod keep;
pub mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use credentials::Credentials;
pub use keep::{Founded, Standing, become_member, found, keep_book, keep_listen, own_key, read_book};

/// Why nobody can be shown who we are.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot use {path}, without which no other machine can be spoken to: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("a certificate cannot be read: {0}")]
    Unreadable(String),
    #[error("a certificate says {says:?}, which is no name of this system")]
    Strange { says: String },
    #[error("a certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl PkiError {
    fn unreadable(why: impl ToString) -> PkiError {
        PkiError::Unreadable(why.to_string())
    }

    fn file(path: &Path) -> impl FnOnce(io::Error) -> PkiError {
        let path = path.to_owned();
        move |source| PkiError::File { path, source }
    }
}

/// The one provider of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Seconds since 1970: certificates are the one thing that is judged by the calendar.
#[must_use]
pub fn now() -> u64 {
    crate::timers::now().unix_ms / 1_000
}
