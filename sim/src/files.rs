//! Invented files: what programs read, what is committed, and where decided output lies.

use std::collections::BTreeMap;

use chameleon_core::job::OsBytes;
use chameleon_core::names::{ArmorName, Digest, JobId};
use chameleon_core::shell::Input;
use chameleon_core::world::{self, CommitOutcome, FileCommand, FileEvent, Piece, Region};

use crate::faults::Mischief;
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
    pub index: BTreeMap<JobId, Vec<Piece>>,
}

/// Something that the file system does for a process.
#[derive(Debug, Clone)]
pub struct FileDone {
    event: FileEvent,
    /// Files that are made by it.
    made: Vec<(Vec<u8>, Vec<u8>)>,
    index: Option<(JobId, Vec<Piece>)>,
}

impl World {
    pub(crate) fn file_command(&mut self, pid: Pid, command: FileCommand) {
        let Some(name) = self.processes.get(&pid).and_then(Process::name) else { return };
        let done = match command {
            FileCommand::Commit { job, stage, directory, manifests } => {
                let made = self.committed(job, &directory, &manifests);
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
            FileCommand::Prefix { execution, region: whole, offset, .. } => {
                let so_far = self.first_bytes(pid, whole, offset);
                FileDone::only(FileEvent::Prefix { execution, so_far })
            }
            FileCommand::KeepIndex { job, pieces } => {
                FileDone { event: FileEvent::IndexKept { failure: None }, made: Vec::new(), index: Some((job, pieces)) }
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
        if let Some((job, pieces)) = done.index {
            self.files.index.insert(job, pieces);
        }
        self.arrive(of, Arrival::Input(Input::File(done.event)));
    }

    fn committed(&self, job: JobId, directory: &OsBytes, manifests: &[Digest]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut made = Vec::new();
        for manifest in manifests {
            let changes = self.lanes.change_sets.get(&(job, *manifest))?;
            let absolute = |path: &[u8]| [directory.as_slice(), b"/", path].concat();
            made.extend(changes.files.iter().map(|(path, content)| (absolute(path), content.clone())));
        }
        Some(made)
    }

    fn digest_of(&self, name: ArmorName, job: JobId, input: &world::Input) -> Result<Digest, String> {
        let deceived = matches!(name, ArmorName::Execution(_, lane)
            if self.standing.mischief.get(&lane) == Some(&Mischief::OtherInput));
        let mut bytes = match input {
            world::Input::Spool(length) => {
                part(self.files.spools.get(&job).map(Vec::as_slice).unwrap_or_default(), 0, *length).to_vec()
            }
            world::Input::Program(path) => path.to_vec(),
            world::Input::Path(path) => {
                self.files.contents.get(path.as_slice()).cloned().ok_or_else(|| format!("{input} does not exist"))?
            }
        };
        if deceived {
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
