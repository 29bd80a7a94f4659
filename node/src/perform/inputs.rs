//! Inputs on their way from a job's origin to lanes on other hosts.
//!
//! The origin lists what belongs to an input and points at the user's own files, which are read where they are. A lane's
//! host fetches the listing, then the contents that it does not have, and lays them in a mirror: a directory that
//! stands for the root of the origin's file system in the slots of one stage.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chameleon_core::names::{Digest, JobId, StageId};
use chameleon_core::world::{Input, Offer, Whereabouts};

use super::files::{Files, path_of};
use crate::bulk::{Caller, fetch, shelf};
use crate::files::blobs::Blobs;
use crate::files::listing::{Kind, Limit, Listing, note_laid};
use crate::files::tree::Stamp;
use crate::slot::program::look_up;

/// The most that is taken along of a run directory of which nothing was declared.
const UNDECLARED: Limit = Limit { paths: 20_000, bytes: 256 << 20 };
/// The longest listing.
pub(super) const LONGEST_LISTING: u64 = 256 << 20;

impl Files {
    // ---- on the origin ----

    /// Makes an input ready to be fetched.
    pub(super) fn offer(
        &self,
        job: JobId,
        stage: StageId,
        input: &Input,
        whereabouts: &Whereabouts,
    ) -> Result<Offer, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("{input} cannot be given to other hosts: {error}");
        shelf::admit(&self.home, self.host, job, whereabouts.origin.pass).map_err(|error| unreadable(&error))?;
        let (path, limit) = match input {
            Input::Spool(length) => {
                let digest = self.digest_spool(job, *length).map_err(|error| unreadable(&error))?;
                return Ok(Offer { digest, listing: None });
            }
            Input::Build(build) => return self.offer_build(job, stage, build, whereabouts),
            Input::Path(path) => (path_of(path), Limit::NONE),
            Input::Directory(path) => (path_of(path), UNDECLARED),
            Input::Program(word) => {
                let search = std::ffi::OsString::from(path_of(&whereabouts.search));
                let found = look_up(path_of(word).as_os_str(), &path_of(&whereabouts.directory), Some(&search));
                (found.map_err(|_unfound| unreadable(&"there is no such program"))?, Limit::NONE)
            }
        };
        let (listing, stamps) = Listing::of(&path, self.home.path(), limit).map_err(|error| match input {
            Input::Directory(_) => format!("{error}; what they need of it is declared by inputs = […] in its stage"),
            Input::Spool(_) | Input::Path(_) | Input::Program(_) | Input::Build(_) => unreadable(&error),
        })?;
        self.put_on_offer(job, stage, &path, &listing, &stamps).map_err(|error| unreadable(&error))
    }

    pub(super) fn put_on_offer(
        &self,
        job: JobId,
        stage: StageId,
        path: &Path,
        listing: &Listing,
        stamps: &[(PathBuf, Stamp)],
    ) -> io::Result<Offer> {
        let directory = self.home.job_on(self.host, job);
        let offered = directory.join(shelf::OFFERED);
        fs::create_dir_all(&offered)?;
        for ((full, _), entry) in stamps.iter().zip(&listing.entries) {
            if let Kind::File { digest, .. } = entry.kind {
                match symlink(full, offered.join(digest.to_string())) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
        }
        let known = known_before(&directory, stage);
        fs::create_dir_all(&known)?;
        let stamps: Vec<_> = stamps.iter().map(|(path, stamp)| (super::files::bytes_of(path), *stamp)).collect();
        let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        fs::write(known.join(name.as_str()), minicbor::to_vec(stamps).map_err(io::Error::other)?)?;
        let blobs = Blobs::open(&directory.join("blobs")).map_err(io::Error::other)?;
        let encoded = minicbor::to_vec(listing).map_err(io::Error::other)?;
        let kept = blobs.put(&encoded).map_err(io::Error::other)?;
        Ok(Offer { digest: listing.digest(), listing: Some(kept) })
    }

    // ---- elsewhere ----

    /// Fetches an input and lays it where the slots of the stage find it.
    pub(super) fn fetch(
        &self,
        job: JobId,
        stage: StageId,
        input: &Input,
        offer: &Offer,
        whereabouts: &Whereabouts,
    ) -> Result<Digest, String> {
        if let Input::Build(build) = input {
            return self.fetch_build(job, stage, build, offer, whereabouts);
        }
        if let Input::Program(word) = input
            && !word.contains(&b'/')
            && self.has_program(word, whereabouts)
        {
            return Ok(offer.digest);
        }
        let failed = |error: &dyn std::fmt::Display| format!("{input} did not come to {}: {error}", self.host);
        let host = whereabouts.origin.host;
        let mut caller = Caller::new(self.roads.clone(), job, whereabouts.origin.pass);
        let Some(listing) = offer.listing else {
            let Input::Spool(length) = input else { return Err(failed(&"nothing is said of what belongs to it")) };
            let spool = self.home.spool(self.host, job);
            if host != self.host {
                fetch::spool(&mut caller, host, *length, &spool).map_err(|error| failed(&error))?;
            }
            return match self.digest_spool(job, *length).map_err(|error| failed(&error))? {
                digest if digest == offer.digest => Ok(digest),
                _ => {
                    if host != self.host {
                        self.forget_spool(job);
                    }
                    Err(failed(&"other bytes arrived than were offered"))
                }
            };
        };
        let directory = self.home.job_on(self.host, job);
        let blobs = Blobs::open(&directory.join("blobs")).map_err(|error| failed(&error))?;
        fetch::blob(&mut caller, &[host], listing, LONGEST_LISTING, &blobs).map_err(|error| failed(&error))?;
        let listing = blobs.read(listing).map_err(|error| failed(&error))?;
        let listing = Listing::read(&listing).map_err(|error| failed(&error))?;
        if listing.digest() != offer.digest {
            return Err(failed(&"the list of what belongs to it is not the one that was offered"));
        }
        for (digest, len) in listing.contents() {
            fetch::blob(&mut caller, &[host], digest, len, &blobs).map_err(|error| failed(&error))?;
        }
        let mirror = mirror(&directory, stage);
        let laid = listing.lay(&blobs, &mirror).and_then(|()| note_laid(&mirror, &listing));
        laid.map_err(|error| failed(&error))?;
        Ok(offer.digest)
    }

    fn has_program(&self, word: &chameleon_core::job::OsBytes, whereabouts: &Whereabouts) -> bool {
        let search = std::ffi::OsString::from(path_of(&whereabouts.search));
        look_up(path_of(word).as_os_str(), Path::new("/"), Some(&search)).is_ok()
    }

    fn forget_spool(&self, job: JobId) {
        let _ = fs::remove_file(self.home.spool(self.host, job));
        *self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Default::default();
    }
}

/// Where a stage's slots on this host find what belongs to the origin.
#[must_use]
pub(super) fn mirror(job: &Path, stage: StageId) -> PathBuf {
    job.join(format!("mirror-{}", stage.0))
}

/// What the origin knows of paths that were offered for a stage, as they were then.
#[must_use]
pub(super) fn known_before(job: &Path, stage: StageId) -> PathBuf {
    job.join(format!("offers/{}", stage.0))
}
