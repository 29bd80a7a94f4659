//! Retired means gone, and nothing runs that the registry does not know (DESIGN §5): once every job has
//! ended and the dust has settled, only the daemons, the Heartbeats, the FTM and blank processes live. A
//! host that is away keeps what it has until it returns and is told.

use chameleon_core::names::{ArmorName, Kind};

use crate::invariants::Violation;
use crate::process::Process;
use crate::world::World;

/// The sentence that holds.
const NAME: &str = "retired means gone, and nothing runs that the registry does not know";

/// Whether nothing of any ended job runs.
#[must_use]
pub fn nothing_is_left(world: &World) -> Option<Violation> {
    let stays = |name: ArmorName| matches!(name.kind(), Kind::Daemon | Kind::Ftm | Kind::User | Kind::Heartbeat);
    let is_away = |host| world.fabric.is_down(host) || world.fabric.is_frozen(host);
    let left: Vec<String> = world
        .processes
        .values()
        .filter(|process| !is_away(process.host))
        .filter_map(Process::name)
        .filter(|name| !stays(*name))
        .map(|name| name.to_string())
        .collect();
    let kept: Vec<String> = world
        .disk
        .owners()
        .filter(|(host, name)| !stays(*name) && !is_away(*host))
        .map(|(_, name)| format!("the journal of {name}"))
        .collect();
    let all: Vec<String> = left.into_iter().chain(kept).collect();
    let text = format!("{} are left after all jobs have ended, and {} slots", all.join(", "), world.lanes.count());
    let slots = world.fabric.is_whole() && world.lanes.count() > 0;
    let violation = Violation { invariant: NAME, at_us: world.agenda.now_us(), text };
    (!all.is_empty() || slots).then_some(violation)
}
