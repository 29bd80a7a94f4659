//! Jobs and ARMORs for models.

use chameleon_core::job::Job;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Identity;

/// An ARMOR before its first life.
#[must_use]
pub fn identity(name: ArmorName, host: HostId) -> Identity {
    let seed = *blake3::hash(name.to_string().as_bytes()).as_bytes();
    Identity { name, incarnation: Incarnation(0), host, cores: 1, seed, mirror: None, elected: false }
}

/// A job of one stage with so many tasks, under a strategy of the library.
#[must_use]
pub fn job(strategy: &str, tasks: u64) -> Job {
    let strategy = chameleon_sim::jobs::strategy(strategy).expect("the library has it");
    let mut stage = chameleon_sim::jobs::stage(0, "prog");
    stage.tasks = Some((0, tasks));
    chameleon_sim::jobs::job(strategy, vec![stage])
}
