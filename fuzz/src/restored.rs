//! An ARMOR is restored from what it saved: any records are refused, or it lives on with them.

use chameleon_core::armor::Moment;
use chameleon_core::armors::raise;
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, LaneId};
use chameleon_core::shell::Identity;

use crate::made;

const JOB: JobId = JobId(1);
const HOST: HostId = HostId(1);
const NAMES: [ArmorName; 7] = [
    ArmorName::Ftm,
    ArmorName::Daemon(HOST),
    ArmorName::Surrogate(JOB),
    ArmorName::Voter(JOB),
    ArmorName::Fanout(JOB),
    ArmorName::Execution(JOB, LaneId(0)),
    ArmorName::Mirror(JOB),
];

/// Reads what these bytes make.
pub fn run(bytes: &[u8]) {
    let Some(input) = made::<(u8, Vec<Vec<u8>>)>(bytes) else { return };
    let (kind, records) = input;
    let name = NAMES[usize::from(kind) % NAMES.len()];
    let identity = Identity { name, incarnation: Incarnation(2), host: HOST, cores: 2, seed: [7; 32], mirror: None, elected: false };
    let mut armor = raise(identity).expect("every one of them is an ARMOR");
    if armor.restore(&records).is_ok() {
        let _ = armor.resume(Moment { boot: chameleon_core::names::Millis(1), unix_ms: 1 });
    }
}
