//! The commit of what a stage changed, on the job's origin: the change sets are fetched from whichever winner's host
//! answers, and put in terms of what is here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chameleon_core::job::OsBytes;
use chameleon_core::names::{Digest, HostId, JobId, StageId};
use chameleon_core::world::{ChangeSet, CommitOutcome};

use super::files::{Files, bytes_of, path_of};
use super::inputs::known_before;
use crate::bulk::{BulkError, Caller, fetch};
use crate::files::FilesError;
use crate::files::blobs::Blobs;
use crate::files::commit::{self, Commit, CommitError};
use crate::files::manifest::{Before, Content, Manifest};
use crate::files::tree::{self, Stamp};
use crate::home::Home;

const ATTEMPTS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);
/// The longest list of changes.
const LONGEST_MANIFEST: u64 = 256 << 20;

impl Files {
    pub(super) fn commit(&self, job: JobId, stage: StageId, pass: Digest, changes: &[ChangeSet]) -> CommitOutcome {
        let (blobs, manifest) = match self.gather(job, stage, pass, changes) {
            Ok(gathered) => gathered,
            Err(why) => return CommitOutcome::Failed(format!("{why}; nothing was changed")),
        };
        let id = self.commit_id(job, stage);
        let pointers = Home::commits();
        if let Err(error) = fs::create_dir_all(&pointers) {
            return CommitOutcome::Failed(format!(
                "failed to make {}: {error}; nothing was changed",
                pointers.display()
            ));
        }
        let request = Commit { id: &id, manifest: &manifest, blobs: &blobs, pointers: &pointers, own: &[] };
        match commit_patiently(&request) {
            Ok(()) => CommitOutcome::Done(manifest.changes.len() as u64),
            Err(CommitError::Conflict { paths }) => {
                CommitOutcome::Conflict(paths.iter().map(|path| bytes_of(path)).collect())
            }
            Err(error) => CommitOutcome::Failed(format!("failed to {error}")),
        }
    }

    /// All change sets as one, with all contents on this host.
    fn gather(
        &self,
        job: JobId,
        stage: StageId,
        pass: Digest,
        changes: &[ChangeSet],
    ) -> Result<(Blobs, Manifest), String> {
        let failed = |error: FilesError| format!("failed to {error}");
        let blobs = Blobs::open(&self.home.job_on(self.host, job).join("blobs")).map_err(failed)?;
        let mut caller = Caller::new(self.roads.clone(), job, pass);
        let mut all = Manifest::default();
        for change in changes {
            let manifest = match change.kept.iter().find(|(host, _)| *host == self.host) {
                Some((_, digest)) if !change.all_mirrored => Manifest::read(&blobs, *digest).map_err(failed)?,
                _ => {
                    let fetched = fetch_changes(&mut caller, &change.kept, &blobs);
                    let manifest = fetched.map_err(|error| format!("what the winners changed is lost: {error}"))?;
                    self.in_terms_of_origin(job, stage, manifest)?
                }
            };
            let both = |path: OsBytes| {
                let path = String::from_utf8_lossy(&path).into_owned();
                format!("tasks of the stage changed {path} to different ends, so none of them may win")
            };
            all = all.merged_with(manifest).map_err(both)?;
        }
        Ok((blobs, all))
    }

    /// A change set of another host says what was there before in terms of that host's copy. Here it is what was there
    /// when it was offered; a path that was not offered must not be there.
    fn in_terms_of_origin(&self, job: JobId, stage: StageId, mut manifest: Manifest) -> Result<Manifest, String> {
        let directory = known_before(&self.home.job_on(self.host, job), stage);
        let known =
            read_known(&directory).map_err(|error| format!("failed to read {}: {error}", directory.display()))?;
        let roots: BTreeMap<u16, PathBuf> =
            manifest.roots.iter().map(|root| (root.number, path_of(&root.path))).collect();
        for change in &mut manifest.changes {
            let Some(root) = roots.get(&change.root) else { continue };
            let path = if change.path.is_empty() { root.clone() } else { root.join(path_of(&change.path)) };
            let becomes_directory = matches!(change.now, Content::Directory { .. });
            change.before = match known.get(&path) {
                Some(stamp) => {
                    let vanishes = stamp.is_directory() && !becomes_directory;
                    let beneath = if vanishes { beneath(&known, &path) } else { Vec::new() };
                    Before::Present { stamp: *stamp, beneath }
                }
                None if tree::present(&path).ok().flatten().is_none() => Before::Absent,
                None => return Err(undeclared(&path, self.host)),
            };
        }
        Ok(manifest)
    }

    /// Unlike the id of any other commit of this user, and the same when it is tried again.
    fn commit_id(&self, job: JobId, stage: StageId) -> String {
        format!("{}{stage}", self.home.commits_of(job))
    }
}

/// The lanes changed a path that they could not see.
fn undeclared(path: &Path, host: HostId) -> String {
    format!(
        "{} is there on {host}, and the lanes, on other hosts, were not given it, so that they cannot know whether to \
         replace it: declare it in inputs = […], or move it away",
        path.display()
    )
}

fn read_known(directory: &Path) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let mut known = BTreeMap::new();
    if !directory.exists() {
        return Ok(known);
    }
    for name in tree::names(directory)? {
        let bytes = fs::read(directory.join(name))?;
        let stamps: Vec<(OsBytes, Stamp)> = minicbor::decode(&bytes).map_err(io::Error::other)?;
        known.extend(stamps.into_iter().map(|(path, stamp)| (path_of(&path), stamp)));
    }
    Ok(known)
}

/// Everything known beneath a directory, paths relative to it.
fn beneath(known: &BTreeMap<PathBuf, Stamp>, directory: &Path) -> Vec<(OsBytes, Stamp)> {
    let below = known.iter().filter_map(|(path, stamp)| Some((path.strip_prefix(directory).ok()?, stamp)));
    below.filter(|(path, _)| !path.as_os_str().is_empty()).map(|(path, stamp)| (bytes_of(path), *stamp)).collect()
}

/// Gets a change set with its contents from the first host that has them all.
fn fetch_changes(caller: &mut Caller, kept: &[(HostId, Digest)], blobs: &Blobs) -> Result<Manifest, BulkError> {
    let hosts: Vec<HostId> = kept.iter().map(|(host, _)| *host).collect();
    fetch::from_any(&hosts, |host| {
        let (_, digest) = kept.iter().find(|(holder, _)| *holder == host).ok_or(BulkError::Nowhere)?;
        fetch::blob(caller, &[host], *digest, LONGEST_MANIFEST, blobs)?;
        let unkept = |error: FilesError| BulkError::Unkept {
            path: blobs.path(*digest),
            source: io::Error::other(error.to_string()),
        };
        let manifest = Manifest::read(blobs, *digest).map_err(unkept)?;
        for change in &manifest.changes {
            if let Content::File { digest, len, .. } = change.now {
                fetch::blob(caller, &[host], digest, len, blobs)?;
            }
        }
        Ok(manifest)
    })
}

/// An earlier life of this ARMOR that was killed may take a moment to let go of its commit.
fn commit_patiently(request: &Commit<'_>) -> Result<(), CommitError> {
    for _ in 0..ATTEMPTS {
        match commit::commit(request, &mut |_step| {}) {
            Err(CommitError::Alive { .. }) => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    commit::commit(request, &mut |_step| {})
}
