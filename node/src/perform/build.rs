//! The build step of a job, on each host that runs its lanes: sources come from the origin, the command runs in a
//! slot of its own, and what it makes is kept for every later job with the same sources and the same command, as long as
//! the compilers are the same, too.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chameleon_core::job::check::is_within;
use chameleon_core::job::{Build, Files as Keep, Job, OsBytes};
use chameleon_core::names::{Attempt, Digest, ExecutionId, JobId, StageId, TaskId};
use chameleon_core::world::{Offer, Whereabouts};
use minicbor::{Decode, Encode};
use rustix::fs::FlockOperation;
use tokio::runtime::Handle;

use super::files::{Files, path_of};
use super::inputs::{LONGEST_LISTING, mirror};
use crate::bulk::{Caller, fetch};
use crate::files::blobs::Blobs;
use crate::files::listing::{Entry, Kind, Limit, Listing, note_laid};
use crate::files::manifest::{Content, Manifest};
use crate::files::tree;
use crate::os::spawn;
use crate::process::shims;
use crate::profile::platform;
use crate::slot::{Ended, Exit, Region, Slot, SlotEvent, SlotSpec, Start};

/// How much of a failed build's words is told.
const LAST_LINES: usize = 12;
const LAST_BYTES: u64 = 4 << 10;

/// All that a build is made of, as the origin offers it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Recipe {
    #[n(0)]
    build: Build,
    /// The run directory.
    #[n(1)]
    directory: OsBytes,
    #[n(2)]
    sources: Vec<Listing>,
}

impl Recipe {
    /// The same for the same sources and the same command; times do not matter.
    fn digest(&self) -> Digest {
        let mode = |listing: &Listing| listing.entries.first().map(|entry| entry.mode);
        let sources: Vec<(&OsBytes, Option<u32>, Digest)> =
            self.sources.iter().map(|listing| (&listing.path, mode(listing), listing.digest())).collect();
        let encoded = minicbor::to_vec((&self.build, &self.directory, sources));
        Digest(*blake3::hash(&encoded.expect("writing to memory cannot fail")).as_bytes())
    }
}

impl Files {
    // ---- on the origin ----

    /// Makes the sources of a build ready to be fetched. What lies where it is to put something is none of them.
    pub(super) fn offer_build(
        &self,
        job: JobId,
        stage: StageId,
        build: &Build,
        whereabouts: &Whereabouts,
    ) -> Result<Offer, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("the sources of {build} cannot be given: {error}");
        let mut recipe = Recipe { build: build.clone(), directory: whereabouts.directory.clone(), sources: Vec::new() };
        for path in &build.source {
            let path = path_of(path);
            let (mut listing, mut stamps) =
                Listing::of(&path, self.home.path(), Limit::NONE).map_err(|error| unreadable(&error))?;
            let is_source = |entry: &Entry| {
                let full = path.join(path_of(&entry.path));
                !build.outputs.iter().any(|output| full.starts_with(path_of(output)))
            };
            let kept: Vec<bool> = listing.entries.iter().map(is_source).collect();
            let mut keep = kept.iter();
            stamps.retain(|_| keep.next() == Some(&true));
            listing.entries.retain(is_source);
            self.put_on_offer(job, stage, &path, &listing, &stamps).map_err(|error| unreadable(&error))?;
            recipe.sources.push(listing);
        }
        let blobs = Blobs::open(&self.home.job_on(self.host, job).join("blobs")).map_err(|error| unreadable(&error))?;
        let encoded = minicbor::to_vec(&recipe).expect("writing to memory cannot fail");
        let kept = blobs.put(&encoded).map_err(|error| unreadable(&error))?;
        Ok(Offer { digest: recipe.digest(), listing: Some(kept) })
    }

    // ---- on every host that runs lanes ----

    /// Builds, unless this host has built the same before, and lays what came of it where the slots of the stage find
    /// it.
    pub(super) fn fetch_build(
        &self,
        job: JobId,
        stage: StageId,
        build: &Build,
        offer: &Offer,
        whereabouts: &Whereabouts,
    ) -> Result<Digest, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{build} failed on {}: {error}", self.host);
        let place = self.home.builds(self.host).join(key(offer.digest, &platform::of(build)).to_string());
        // Held by whoever builds this on this host; the others find it built.
        let lock = File::create(place.with_extension("lock")).map_err(|error| failed(&error))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(&error))?;
        if !place.exists() {
            self.make((job, stage), build, offer, whereabouts, &place).map_err(|error| failed(&error))?;
        }
        let (blobs, listings) = read_built(&place).map_err(|error| failed(&error))?;
        let mirror = mirror(&self.home.job_on(self.host, job), stage);
        for listing in listings {
            let laid = listing.lay(&blobs, &mirror).and_then(|()| note_laid(&mirror, &listing));
            laid.map_err(|error| failed(&error))?;
        }
        Ok(offer.digest)
    }

    /// Builds in a directory beside `place`, which is there afterwards, whole.
    fn make(
        &self,
        (job, stage): (JobId, StageId),
        build: &Build,
        offer: &Offer,
        whereabouts: &Whereabouts,
        place: &Path,
    ) -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let recipe = self.fetch_recipe(job, offer, whereabouts)?;
        // What is kept is found by others by what it is said to be made of.
        if recipe.build != *build || recipe.directory != whereabouts.directory {
            return Err("it is not the build that was offered".to_owned());
        }
        let work = place.with_extension("work");
        Handle::current().block_on(shims::end_earlier(&work.join("slot")));
        clear(&work)?;
        let mirrored = work.join("mirror");
        let sources = Blobs::open(&self.home.job_on(self.host, job).join("blobs")).map_err(|error| said(&error))?;
        for listing in &recipe.sources {
            let laid = listing.lay(&sources, &mirrored).and_then(|()| note_laid(&mirrored, listing));
            laid.map_err(|error| said(&error))?;
        }
        let facilities = self.home.facilities(self.host);
        let spec = SlotSpec { facilities, ..spec(build, &whereabouts.directory, &work, mirrored) };
        let ended = Handle::current().block_on(run(&spec, stage, &build.command))?;
        if ended.exit != Exit::Code(0) {
            return Err(format!("{}{}", how(ended.exit), last_words(&spec.work, &ended)));
        }
        let blobs = Blobs::open(&spec.blobs).map_err(|error| said(&error))?;
        let manifest = match ended.changes {
            Some(changes) => Manifest::read(&blobs, changes.manifest).map_err(|error| said(&error))?,
            None => Manifest::default(),
        };
        let listings = made(build, &whereabouts.directory, &manifest)
            .map_err(|output| format!("it made no {output}{}", last_words(&spec.work, &ended)))?;
        keep(&work, place, &listings).map_err(|error| said(&error))
    }

    fn fetch_recipe(&self, job: JobId, offer: &Offer, whereabouts: &Whereabouts) -> Result<Recipe, String> {
        let said = |error: &dyn std::fmt::Display| format!("its sources did not come: {error}");
        let digest = offer.listing.ok_or_else(|| said(&"nothing is said of what belongs to them"))?;
        let blobs = Blobs::open(&self.home.job_on(self.host, job).join("blobs")).map_err(|error| said(&error))?;
        let mut caller = Caller::new(self.roads.clone(), job, whereabouts.origin.pass);
        let origin = [whereabouts.origin.host];
        fetch::blob(&mut caller, &origin, digest, LONGEST_LISTING, &blobs).map_err(|error| said(&error))?;
        let bytes = blobs.read(digest).map_err(|error| said(&error))?;
        let recipe: Recipe = minicbor::decode(&bytes).map_err(|error| said(&error))?;
        if recipe.digest() != offer.digest {
            return Err(said(&"they are not those that were offered"));
        }
        for listing in &recipe.sources {
            listing.check().map_err(|error| said(&error))?;
            for (digest, len) in listing.contents() {
                fetch::blob(&mut caller, &origin, digest, len, &blobs).map_err(|error| said(&error))?;
            }
        }
        Ok(recipe)
    }
}

/// What is built is known by: all that it is made of, and what it is made by.
fn key(recipe: Digest, platform: &str) -> Digest {
    Digest(*blake3::hash(&[recipe.0.as_slice(), platform.as_bytes()].concat()).as_bytes())
}

/// The slot that a build runs in: it sees its sources where they are on the origin, and all it writes in the run
/// directory is kept.
fn spec(build: &Build, directory: &OsBytes, work: &Path, mirror: PathBuf) -> SlotSpec {
    SlotSpec {
        shim: spawn::THIS_PROGRAM.into(),
        work: work.join("slot"),
        blobs: work.join("blobs"),
        mirror: Some(mirror),
        directory: path_of(directory),
        files: Keep::Overlay,
        outputs: Vec::new(),
        inputs: Vec::new(),
        program: OsString::from_vec(build.command.first().map(|word| word.to_vec()).unwrap_or_default()),
        environment: build.environment.iter().map(|entry| OsString::from_vec(entry.to_vec())).collect(),
        umask: Job::USUAL_UMASK,
        net: false,
        masked: Arc::new(|_path: &[u8]| false),
        facilities: None,
    }
}

/// Runs the command to its end.
async fn run(spec: &SlotSpec, stage: StageId, command: &[OsBytes]) -> Result<Ended, String> {
    let mut slot = Slot::open(spec).map_err(|error| format!("failed to {error}"))?;
    shims::note(&spec.work, slot.shim_pid());
    let start = Start {
        execution: ExecutionId { stage, task: TaskId(0), attempt: Attempt::default() },
        argv: command.to_vec(),
        stdin: None,
        fault: None,
    };
    slot.start(start).map_err(|error| format!("failed to {error}"))?;
    loop {
        match slot.next().await {
            SlotEvent::Ended(ended) => return Ok(*ended),
            SlotEvent::Refused { why, .. } | SlotEvent::Lost { why } => return Err(why),
            SlotEvent::Ready
            | SlotEvent::Unconfined { .. }
            | SlotEvent::Started { .. }
            | SlotEvent::Output { .. }
            | SlotEvent::Blocked { .. }
            | SlotEvent::Pong(_) => {}
        }
    }
}

fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
    }
}

/// What it said last, on standard error or else on standard output, a line each.
fn last_words(work: &Path, ended: &Ended) -> String {
    let tail = |pack: &str, region: Region| -> Option<String> {
        let length = region.len.min(LAST_BYTES);
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let from = region.offset + region.len - length;
        File::open(work.join(pack)).ok()?.read_exact_at(&mut bytes, from).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        let clean = |line: &&str| line.chars().filter(|c| !c.is_control()).collect::<String>();
        (!last.is_empty()).then(|| last.iter().map(clean).map(|line| format!("\n  {line}")).collect())
    };
    let words = tail("err.pack", ended.stderr).or_else(|| tail("out.pack", ended.stdout));
    words.map_or_else(|| "; it said nothing".to_owned(), |words| format!("; it said last:{words}"))
}

/// What the build made of what it was to make; or the first of its outputs that is not there.
fn made(build: &Build, directory: &[u8], manifest: &Manifest) -> Result<Vec<Listing>, String> {
    let directory = Path::new(OsStr::from_bytes(directory));
    let listing = |output: &OsBytes| {
        let root = path_of(output);
        let entry = |change: &crate::files::manifest::Change| {
            let full = directory.join(path_of(&change.path));
            let beneath = is_within(full.as_os_str().as_bytes(), output).then(|| full.strip_prefix(&root).ok())??;
            let (mode, kind) = match &change.now {
                Content::File { mode, len, digest } => (*mode, Kind::File { len: *len, digest: *digest }),
                Content::Directory { mode } => (*mode, Kind::Directory),
                Content::Symlink { target } => (0o777, Kind::Symlink(target.clone())),
                Content::Deleted => return None,
            };
            Some(Entry { path: beneath.as_os_str().as_bytes().to_vec().into(), mode, modified: change.modified, kind })
        };
        let entries: Vec<Entry> = manifest.changes.iter().filter(|change| change.root == 0).filter_map(entry).collect();
        match entries.is_empty() {
            true => Err(root.display().to_string()),
            false => Ok(Listing { path: output.clone(), entries }),
        }
    };
    build.outputs.iter().map(listing).collect()
}

/// Puts what was built in its place, whole.
fn keep(work: &Path, place: &Path, listings: &[Listing]) -> io::Result<()> {
    let kept = work.join("kept");
    fs::create_dir(&kept)?;
    fs::rename(work.join("blobs"), kept.join("blobs"))?;
    fs::write(kept.join("outputs"), minicbor::to_vec(listings).expect("writing to memory cannot fail"))?;
    fs::rename(kept, place)?;
    tree::remove(work)
}

fn read_built(place: &Path) -> Result<(Blobs, Vec<Listing>), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let blobs = Blobs::open(&place.join("blobs")).map_err(|error| said(&error))?;
    let bytes = fs::read(place.join("outputs")).map_err(|error| said(&error))?;
    Ok((blobs, minicbor::decode(&bytes).map_err(|error| said(&error))?))
}

/// Removes what an earlier attempt left, and begins anew.
fn clear(work: &Path) -> Result<(), String> {
    let cleared = tree::remove(work).and_then(|()| fs::create_dir_all(work));
    cleared.map_err(|error| format!("failed to clear {}: {error}", work.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tree::Time;

    fn recipe(source: &str, mode: u32, command: &str) -> Recipe {
        let bytes = |text: &str| OsBytes::from(text.as_bytes().to_vec());
        let digest = Digest(*blake3::hash(source.as_bytes()).as_bytes());
        let kind = Kind::File { len: source.len() as u64, digest };
        let entry = Entry { path: bytes(""), mode, modified: Time(0, 0), kind };
        let build = Build {
            source: vec![bytes("/run/main.c")],
            command: vec![bytes(command)],
            outputs: vec![bytes("/run/main")],
            environment: vec![],
        };
        let sources = vec![Listing { path: bytes("/run/main.c"), entries: vec![entry] }];
        Recipe { build, directory: bytes("/run"), sources }
    }

    #[test]
    fn whatever_a_build_is_made_of_or_by_gives_it_another_place() {
        let same = || key(recipe("int main", 0o644, "make").digest(), "x86_64 gcc 12");
        assert_eq!(same(), same());
        let others = [
            key(recipe("int Main", 0o644, "make").digest(), "x86_64 gcc 12"),
            key(recipe("int main", 0o755, "make").digest(), "x86_64 gcc 12"),
            key(recipe("int main", 0o644, "ninja").digest(), "x86_64 gcc 12"),
            key(recipe("int main", 0o644, "make").digest(), "x86_64 gcc 13"),
        ];
        assert!(others.iter().all(|other| *other != same()), "{others:?}");
    }
}
