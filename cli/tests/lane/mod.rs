//! A slot with everything it needs around it, for tests that run real programs in real namespaces.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::job::{Files, InjectionKind};
use chameleon_core::names::{Attempt, ExecutionId, StageId, TaskId};
use chameleon_node::files::blobs::Blobs;
use chameleon_node::files::manifest::{Content, Manifest};
use chameleon_node::os::facilities::Facilities;
use chameleon_node::slot::{Ended, Region, Slot, SlotEvent, SlotSpec, Start};

/// Longer than anything here takes on a busy machine.
pub const BOUND: Duration = Duration::from_secs(60);

/// A run directory, a slot that works on it, and what the slot keeps.
pub struct Lane {
    pub spec: SlotSpec,
    pub slot: Slot,
    pub task: u64,
}

/// What one program did.
pub struct Outcome {
    pub ended: Ended,
    pub before: Vec<SlotEvent>,
}

/// Which ones are tested: Linux's, or those that the environment names.
pub fn facilities() -> Facilities {
    std::env::var(Facilities::VARIABLE).map_or(Facilities::Linux, |word| word.parse().unwrap())
}

/// The specification of a slot on `directory`, keeping its things in `keep`.
pub fn spec(directory: &Path, keep: &Path) -> SlotSpec {
    SlotSpec {
        mirror: None,
        shim: env!("CARGO_BIN_EXE_chameleon").into(),
        work: keep.join("slot"),
        blobs: keep.join("blobs"),
        directory: directory.to_owned(),
        files: Files::Overlay,
        outputs: Vec::new(),
        inputs: Vec::new(),
        program: OsString::from("sh"),
        environment: vec!["PATH=/usr/local/bin:/usr/bin:/bin".into(), "LC_ALL=C".into(), "HOME=/nonexistent".into()],
        umask: 0o022,
        net: false,
        masked: Arc::new(|_| false),
        facilities: Some(facilities()),
    }
}

impl Lane {
    pub fn open(spec: SlotSpec) -> Lane {
        let slot = Slot::open(&spec).unwrap_or_else(|error| panic!("failed to {error}"));
        Lane { spec, slot, task: 0 }
    }

    pub fn start(&mut self, argv: &[&str], fault: Option<InjectionKind>) -> ExecutionId {
        self.task += 1;
        let execution = ExecutionId { stage: StageId(0), task: TaskId(self.task), attempt: Attempt(0) };
        let argv = argv.iter().map(|word| word.as_bytes().to_vec().into()).collect();
        self.slot.start(Start { execution, argv, stdin: None, fault }).unwrap();
        execution
    }

    /// What happens next, once it was told what programs are not kept from.
    pub async fn next(&mut self) -> SlotEvent {
        loop {
            match tokio::time::timeout(BOUND, self.slot.next()).await.expect("the slot reported nothing in time") {
                SlotEvent::Unconfined { .. } if self.spec.facilities == Some(Facilities::Posix) => {}
                event => return event,
            }
        }
    }

    /// Runs one program to its end.
    pub async fn run(&mut self, argv: &[&str]) -> Outcome {
        self.start(argv, None);
        self.finish().await
    }

    /// Runs a shell script to its end.
    pub async fn sh(&mut self, script: &str) -> Outcome {
        self.run(&["sh", "-c", script]).await
    }

    pub async fn finish(&mut self) -> Outcome {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                SlotEvent::Ended(ended) => return Outcome { ended: *ended, before },
                SlotEvent::Lost { why } => panic!("the slot is lost: {why}"),
                SlotEvent::Refused { why, .. } => panic!("refused: failed to {why}"),
                other => before.push(other),
            }
        }
    }

    pub fn stdout(&self, outcome: &Outcome) -> String {
        String::from_utf8(self.bytes("out.pack", outcome.ended.stdout)).unwrap()
    }

    pub fn stderr(&self, outcome: &Outcome) -> String {
        String::from_utf8(self.bytes("err.pack", outcome.ended.stderr)).unwrap()
    }

    pub fn bytes(&self, pack: &str, region: Region) -> Vec<u8> {
        let all = std::fs::read(self.spec.work.join(pack)).unwrap();
        all[region.offset as usize..][..region.len as usize].to_vec()
    }

    pub fn blobs(&self) -> Blobs {
        Blobs::open(&self.spec.blobs).unwrap()
    }

    pub fn manifest(&self, outcome: &Outcome) -> Manifest {
        outcome
            .ended
            .changes
            .map_or_else(Manifest::default, |changes| Manifest::read(&self.blobs(), changes.manifest).unwrap())
    }

    /// The changed paths, each with a letter: file, directory, link, or `-` for deleted.
    pub fn changed(&self, outcome: &Outcome) -> Vec<String> {
        let letter = |content: &Content| match content {
            Content::File { .. } => 'f',
            Content::Directory { .. } => 'd',
            Content::Symlink { .. } => 'l',
            Content::Deleted => '-',
        };
        let manifest = self.manifest(outcome);
        let line = |path: &[u8], now| format!("{} {}", letter(now), String::from_utf8_lossy(path));
        manifest.changes.iter().map(|change| line(&change.path, &change.now)).collect()
    }
}

/// A fresh directory, below `parent` if one is given.
pub fn folder(parent: Option<&str>) -> tempfile::TempDir {
    parent.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap()
}

/// A path as a string, for scripts.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Where a test's lane keeps its things and where it runs, both removed at the end.
pub struct Place {
    pub run: tempfile::TempDir,
    pub keep: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { run: folder(None), keep: folder(None) }
    }

    pub fn lane(&self) -> Lane {
        Lane::open(self.spec())
    }

    pub fn spec(&self) -> SlotSpec {
        spec(self.run.path(), self.keep.path())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.run.path().join(name)
    }
}
