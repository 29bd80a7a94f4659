//! Jobs for invented users.

use chameleon_core::job::{Determinism, Files, Job, Origin, OsBytes, Stage, Stdin};
use chameleon_core::names::{Digest, HostId};
use chameleon_core::strategy::{Strategy, library};

/// The directory in which invented users are.
pub const DIRECTORY: &[u8] = b"/home/user";

/// A strategy of the library.
#[must_use]
pub fn strategy(name: &str) -> Option<Strategy> {
    library::find(name, &|_| Err("an invented world has no strategy files".to_owned())).ok()
}

/// A stage that runs this command line once.
#[must_use]
pub fn stage(number: usize, line: &str) -> Stage {
    let command = line.split_whitespace().map(|word| OsBytes::from(word.as_bytes().to_vec())).collect();
    Stage { files: Files::None, ..Stage::new(format!("stage {number}"), command) }
}

/// A job of these stages, with nothing special about it.
#[must_use]
pub fn job(strategy: Strategy, stages: Vec<Stage>) -> Job {
    Job {
        name: "invented".to_owned(),
        strategy,
        stages,
        deadline: None,
        abnormal_exit: Vec::new(),
        notify: Vec::new(),
        hold: false,
        net: false,
        determinism: Determinism::Plain,
        masks: Vec::new(),
        injections: Vec::new(),
        directory: OsBytes::from(DIRECTORY.to_vec()),
        environment: Vec::new(),
        stdin: Stdin::Null,
        spool_quota: 1 << 20,
        origin: Origin { host: HostId(1), pass: Digest::default() },
        build: None,
        umask: Job::USUAL_UMASK,
        needs: Default::default(),
    }
}
