//! Jobs and ARMORs for models.

use chameleon_core::job::{Determinism, Files, Job, OsBytes, Stage, Stdin};
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Identity;
use chameleon_core::strategy::library;

/// An ARMOR before its first life.
#[must_use]
pub fn identity(name: ArmorName, host: HostId) -> Identity {
    let seed = *blake3::hash(name.to_string().as_bytes()).as_bytes();
    Identity { name, incarnation: Incarnation(0), host, cores: 1, seed }
}

/// A job of one stage with so many tasks, under a strategy of the library.
#[must_use]
pub fn job(strategy: &str, tasks: u64) -> Job {
    let stage = Stage {
        name: "stage".to_owned(),
        command: vec![OsBytes::from(b"prog".to_vec())],
        tasks: Some((0, tasks)),
        files: Files::None,
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    Job {
        name: "modelled".to_owned(),
        strategy: library::find(strategy, &|_| Err(String::new())).expect("the library has it"),
        stages: vec![stage],
        deadline: None,
        abnormal_exit: Vec::new(),
        notify: Vec::new(),
        hold: false,
        net: false,
        determinism: Determinism::Plain,
        masks: Vec::new(),
        injections: Vec::new(),
        directory: OsBytes::from(b"/home/user".to_vec()),
        environment: Vec::new(),
        stdin: Stdin::Null,
        spool_quota: 1 << 20,
    }
}
