//! Invented files: what programs read, what is committed, and where decided output lies.

use std::collections::BTreeMap;

use chameleon_core::names::{ArmorName, Digest, HostId, JobId};
use chameleon_core::shell::Input;
use chameleon_core::world::{self, ChangeSet, CommitOutcome, FileCommand, FileEvent, IndexEntry, Offer, Region};

use crate::faults::Mischief;
use crate::jobs::DIRECTORY;
use crate::process::{Arrival, Pid, Process};
use crate::slots::{digest, part, region};
use crate::world::{Next, World};

/// How long the file system usually takes, in microseconds.
const FILE_US: u64 = 800;

/// What is on the disk besides journals and packs.
#[derive(Debug, Default)]
pub struct Files {
    /// By absolute path.
    pub contents: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The spooled standard input of each job.
    pub spools: BTreeMap<JobId, Vec<u8>>,
    /// Where the decided output of each job lies.
    pub index: BTreeMap<JobId, Vec<IndexEntry>>,
}

/// Something that the file system does for a process.
#[derive(Debug, Clone)]
pub struct FileDone {
    event: FileEvent,
    /// Files that are made by it.
    made: Vec<(Vec<u8>, Vec<u8>)>,
    /// Entries behind so many.
    index: Option<(JobId, u64, Vec<IndexEntry>)>,
}

impl World {
    pub(crate) fn file_command(&mut self, pid: Pid, command: FileCommand) {
        let Some(name) = self.processes.get(&pid).and_then(Process::name) else { return };
        let done = match command {
            FileCommand::Commit { job, stage, pass: _, changes } => {
                let made = self.committed(job, &changes);
                let outcome = match &made {
                    Some(made) => CommitOutcome::Done(made.len() as u64),
                    None => CommitOutcome::Failed("a change set is missing".to_owned()),
                };
                FileDone { event: FileEvent::Committed { stage, outcome }, made: made.unwrap_or_default(), index: None }
            }
            FileCommand::Digest { job, stage, input } => {
                let outcome = self.digest_of(name, job, &input);
                FileDone::only(FileEvent::Digested { stage, input, outcome })
            }
            FileCommand::Offer { job, stage, input, whereabouts: _ } => {
                let offer = |digest| Offer { digest, listing: None };
                let outcome = self.digest_of(name, job, &input).map(offer);
                FileDone::only(FileEvent::Offered { stage, input, outcome })
            }
            FileCommand::Fetch { job, stage, input, offer, whereabouts: _ } => {
                let arrived = self.digest_of(name, job, &input);
                let outcome = arrived.and_then(|digest| match digest == offer.digest {
                    true => Ok(digest),
                    false => Err(format!("{input} arrived with other bytes than were offered")),
                });
                FileDone::only(FileEvent::Fetched { stage, input, outcome })
            }
            FileCommand::Prefix { execution, region: whole, offset, .. } => {
                let so_far = self.first_bytes(pid, whole, offset);
                FileDone::only(FileEvent::Prefix { execution, so_far })
            }
            FileCommand::KeepIndex { job, pass: _, at, entries } => {
                let outcome = Ok(at + entries.len() as u64);
                FileDone { event: FileEvent::IndexKept { outcome }, made: Vec::new(), index: Some((job, at, entries)) }
            }
        };
        self.later(FILE_US, Next::File { of: pid, done });
    }

    /// The file system has done it; if the process is gone meanwhile, it may have or may not.
    pub(crate) fn file_done(&mut self, of: Pid, done: FileDone) {
        if !self.processes.contains_key(&of) && self.chance.per_mille(500) {
            return;
        }
        self.files.contents.extend(done.made);
        if let Some((job, at, entries)) = done.index {
            let index = self.files.index.entry(job).or_default();
            index.truncate(usize::try_from(at).unwrap_or(usize::MAX));
            index.extend(entries);
        }
        self.arrive(of, Arrival::Input(Input::File(done.event)));
    }

    fn committed(&self, job: JobId, changes: &[ChangeSet]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut made = Vec::new();
        for change in changes {
            let held = |(_, manifest): &(HostId, Digest)| self.lanes.change_sets.get(&(job, *manifest));
            let changes = change.kept.iter().find_map(held)?;
            let absolute = |path: &[u8]| [DIRECTORY, b"/", path].concat();
            made.extend(changes.files.iter().map(|(path, content)| (absolute(path), content.clone())));
        }
        Some(made)
    }

    fn digest_of(&self, name: ArmorName, job: JobId, input: &world::Input) -> Result<Digest, String> {
        let mischief = match name {
            ArmorName::Execution(_, lane) => self.standing.mischief.get(&lane),
            _ => None,
        };
        if let (Some(Mischief::NoCompiler), world::Input::Build(build)) = (mischief, input) {
            return Err(format!("{build} failed: there is no compiler"));
        }
        let mut bytes = match input {
            world::Input::Spool(length) => {
                part(self.files.spools.get(&job).map(Vec::as_slice).unwrap_or_default(), 0, *length).to_vec()
            }
            world::Input::Program(path) | world::Input::Directory(path) => path.to_vec(),
            world::Input::Build(build) => build.to_string().into_bytes(),
            world::Input::Path(path) => {
                self.files.contents.get(path.as_slice()).cloned().ok_or_else(|| format!("{input} does not exist"))?
            }
        };
        if mischief == Some(&Mischief::OtherInput) {
            bytes.push(b'!');
        }
        Ok(digest(&bytes))
    }

    fn first_bytes(&self, pid: Pid, whole: Region, offset: u64) -> Region {
        let identity = self.processes.get(&pid).and_then(Process::identity);
        let pack = identity.and_then(|identity| match identity.name {
            ArmorName::Execution(job, lane) => self.lanes.packs.get(&(identity.host, job, lane, whole.slot)),
            _ => None,
        });
        let bytes = pack.map(|pack| pack.out.as_slice()).unwrap_or_default();
        region(whole.slot, bytes, whole.offset, offset.min(whole.length))
    }
}

impl FileDone {
    fn only(event: FileEvent) -> Self {
        FileDone { event, made: Vec::new(), index: None }
    }
}
