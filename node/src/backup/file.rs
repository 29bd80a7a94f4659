//! The file that a backup is: read whole or refused.
//!
//! ```text
//! chameleon backup\n | format, 4 bytes | length of the content, 8 bytes | content, CBOR | BLAKE3 of all before, 32 bytes
//! ```

use std::path::{Path, PathBuf};

use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::names::HostId;
use minicbor::{Decode, Encode};

const HEAD: &[u8] = b"chameleon backup\n";
/// Version of all this.
const FORMAT: u32 = 1;
const DIGEST: usize = 32;

/// What a home's FTM knew at one moment, and what it takes to go on from there in another home.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Backup {
    #[n(0)]
    pub taken_unix_ms: u64,
    /// The version that wrote it.
    #[n(1)]
    pub written_by: String,
    /// The hosts of the home.
    #[n(2)]
    pub hosts: Vec<HostId>,
    /// Who the home is in its cluster; `None`: it is on its own.
    #[n(3)]
    pub cluster: Option<Cluster>,
    /// If several hosts may have the FTM.
    #[n(4)]
    pub candidates: Option<Candidates>,
    #[n(5)]
    pub records: Vec<FtmRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Cluster {
    #[n(0)]
    pub name: String,
    /// The files of `pki/`, with the key of the authority if the home had it; none, if the backup is without keys.
    #[n(1)]
    pub files: Vec<Kept>,
}

/// A file by its name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    #[n(0)]
    pub name: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Candidates {
    /// By which the store knows that it is theirs.
    #[n(0)]
    pub cluster: String,
    /// Where their store is; `None`: in the home itself.
    #[n(1)]
    pub store: Option<String>,
    #[n(2)]
    pub hosts: Vec<HostId>,
}

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("cannot read {path}: {source}")]
    System { path: PathBuf, source: std::io::Error },
    #[error("{path} is no backup of Chameleon; nothing was changed")]
    Foreign { path: PathBuf },
    #[error(
        "the backup {path} was written by a newer Chameleon (format {found}, this one knows {FORMAT}); use that one"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error("the backup {path} ends before it is whole, as if it was still being copied; nothing was changed")]
    Cut { path: PathBuf },
    #[error("the backup {path} is damaged and cannot be trusted: {why}; nothing was changed")]
    Damaged { path: PathBuf, why: String },
}

impl Backup {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Backup::enclose(&minicbor::to_vec(self).expect("writing to memory cannot fail"))
    }

    /// A whole file with this content.
    #[must_use]
    pub fn enclose(content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u64).to_be_bytes();
        let mut bytes = [HEAD, &FORMAT.to_be_bytes(), &length, content].concat();
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// # Errors
    /// See [`BackupError`]; the path is only named.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Backup, BackupError> {
        let path = || path.to_owned();
        if !bytes.starts_with(HEAD) {
            let is_cut = HEAD.starts_with(bytes) && !bytes.is_empty();
            return Err(if is_cut { BackupError::Cut { path: path() } } else { BackupError::Foreign { path: path() } });
        }
        let cut = || BackupError::Cut { path: path() };
        let (format, rest) = bytes[HEAD.len()..].split_first_chunk().ok_or_else(cut)?;
        match u32::from_be_bytes(*format) {
            FORMAT => {}
            found => return Err(BackupError::Newer { path: path(), found }),
        }
        let (length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let damaged = |why: &str| BackupError::Damaged { path: path(), why: why.to_owned() };
        let length = usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let whole = length.saturating_add(DIGEST);
        if rest.len() < whole {
            return Err(cut());
        }
        let (content, digest) = rest.split_at(length);
        if digest.len() > DIGEST || blake3::hash(&bytes[..bytes.len() - DIGEST]).as_bytes() != digest {
            return Err(damaged("its bytes are not those that were written"));
        }
        minicbor::decode(content).map_err(|error| damaged(&error.to_string()))
    }

    /// # Errors
    /// See [`BackupError`].
    pub fn read(path: &Path) -> Result<Backup, BackupError> {
        let bytes = std::fs::read(path).map_err(|source| BackupError::System { path: path.to_owned(), source })?;
        Backup::decode(path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use chameleon_core::names::{JobId, Term};

    use super::*;

    fn backup() -> Backup {
        let reign = FtmRecord::Reign { term: Term(7), last_job: JobId(3), next_event: 40, last_token: 2 };
        Backup {
            taken_unix_ms: 1_700_000_000_000,
            written_by: "0.1.0".to_owned(),
            hosts: vec![HostId(1)],
            cluster: Some(Cluster {
                name: "c".to_owned(),
                files: vec![Kept { name: "listen".to_owned(), bytes: vec![1] }],
            }),
            candidates: None,
            records: vec![reign, FtmRecord::Beat(9)],
        }
    }

    fn refused(bytes: &[u8]) -> BackupError {
        Backup::decode(Path::new("b"), bytes).unwrap_err()
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Backup::decode(Path::new("b"), &backup().encode()).unwrap(), backup());
    }

    #[test]
    fn no_bit_can_be_flipped_and_no_byte_left_away_or_added() {
        let good = backup().encode();
        for position in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[position / 8] ^= 1 << (position % 8);
            let _ = refused(&bad);
        }
        for length in 1..good.len() {
            assert!(matches!(refused(&good[..length]), BackupError::Cut { .. }), "{length}");
        }
        assert!(matches!(refused(&[good, vec![0]].concat()), BackupError::Damaged { .. }));
    }

    #[test]
    fn what_is_foreign_or_newer_is_named() {
        for bytes in [&b""[..], b"PK\x03\x04", b"chameleon backup: my notes"] {
            assert!(matches!(refused(bytes), BackupError::Foreign { .. }));
        }
        let mut newer = backup().encode();
        newer[HEAD.len() + 3] = 2;
        assert!(matches!(refused(&newer), BackupError::Newer { found: 2, .. }));
    }
}
