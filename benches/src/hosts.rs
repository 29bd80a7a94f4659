//! From the loss of a host to the first instruction of the re-execution elsewhere.
//!
//! The program is this one: it says the time on a FIFO when it begins, and then waits to be ended. Hosts have a network
//! between them; a lane that shares its host with nothing the job cannot do without loses it, and the host comes back
//! for the next trial.

use std::process::ExitCode;
use std::time::Duration;

use chameleon_system_tests::chaos::Counter;
use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Fleet, Trial, eventually, network};

use crate::figures::{Sample, Table, ms};
use crate::restart::{now, this_program};

/// The word that makes this program the one that waits.
pub const PROBE: &str = "probe-that-waits";
/// How often each fault strikes.
const TRIALS: usize = 50;
const HOSTS: u16 = 5;
const LANES: usize = 3;
/// How long anything may take before the measurement is given up.
const WITHIN: Duration = Duration::from_secs(60);

/// Says when it began, and waits for its end.
pub fn probe(arguments: &[String]) -> ExitCode {
    let began = now();
    let [fifo] = arguments else { return ExitCode::FAILURE };
    if std::fs::write(fifo, format!("{:020}\n", began.as_nanos())).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}

/// What befalls a host, and how it is made good.
struct Fault {
    what: &'static str,
    strike: fn(&mut Fleet<'_>, u16),
    mend: fn(&mut Fleet<'_>, u16),
}

const FAULTS: [Fault; 4] = [
    Fault {
        what: "every process of the host is killed",
        strike: |fleet, host| fleet.kill(host),
        mend: |fleet, host| drop(fleet.start_again(host)),
    },
    Fault {
        what: "every process of the host is stopped",
        strike: |fleet, host| fleet.freeze(host),
        mend: |fleet, host| fleet.thaw(host),
    },
    Fault {
        what: "its cable is pulled",
        strike: |fleet, host| fleet.network().cable(host, false),
        mend: |fleet, host| fleet.network().cable(host, true),
    },
    Fault {
        what: "nothing that it says arrives",
        strike: |fleet, host| fleet.network().mute(host),
        mend: |fleet, _| fleet.network().heal(),
    },
];

pub fn measure() -> Table {
    let mut table = Table::new(
        &["what befalls a host", "p50", "p99", "longest", "times"],
        "From just before the fault to the first instruction of the lane's next execution on another host: five hosts in \
         network namespaces of this machine, `tmr`, default settings. A daemon that is killed alone is missing here: \
         its lanes go on, and nothing is executed again.",
    );
    if !network::is_possible() {
        table.row(["not possible here: no network namespaces", "", "", "", ""]);
        return table;
    }
    for fault in FAULTS {
        let gaps = struck(&fault);
        let cells = [gaps.median(), gaps.quantile(0.99), gaps.quantile(1.0)].map(ms);
        table.row(std::iter::once(fault.what.to_owned()).chain(cells).chain([gaps.len().to_string()]));
    }
    table
}

fn struck(fault: &Fault) -> Sample {
    let trial = Trial::new();
    let mut fleet = Fleet::wired(&trial, HOSTS);
    let gaps = (0..TRIALS).map(|number| once(fault, &trial, &mut fleet, number)).collect();
    fleet.down();
    gaps
}

fn once(fault: &Fault, trial: &Trial, fleet: &mut Fleet<'_>, number: usize) -> Duration {
    eventually("every host is watched", WITHIN, || {
        (running(&fleet.armors(), "heartbeat") == usize::from(HOSTS)).then_some(())
    });
    let mut counter = Counter::new(&trial.beside(&format!("fifo-{number}")));
    let command = [this_program(), PROBE.to_owned(), counter.path().display().to_string()];
    let job = format!(
        "[job]\nname = \"loses-a-host\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\ncommand = {command:?}\n"
    );
    let (id, host, begun) = placed(fleet, &job, &mut counter);
    let struck = now();
    (fault.strike)(fleet, host);
    let again = eventually("the lane runs elsewhere", WITHIN, || {
        let begins: Vec<u128> = counter.lines().keys().filter_map(|line| line.parse().ok()).collect();
        (begins.len() > begun).then(|| begins.into_iter().max()).flatten()
    });
    (fault.mend)(fleet, host);
    end(fleet, &id);
    Duration::from_nanos(u64::try_from(again.saturating_sub(struck.as_nanos())).unwrap_or(u64::MAX))
}

/// The job, placed so that a host can be lost; that host, and how many executions began until now.
fn placed(fleet: &Fleet<'_>, job: &str, counter: &mut Counter) -> (String, u16, usize) {
    eventually("a lane is alone on its host", WITHIN, || {
        let before = counter.total();
        let id = fleet.submit(1, job);
        eventually("all lanes run", WITHIN, || (counter.total() == before + LANES).then_some(()));
        let host = host_to_lose(&fleet.armors());
        if host.is_none() {
            end(fleet, &id);
        }
        host.map(|host| (id, host, before + LANES))
    })
}

fn end(fleet: &Fleet<'_>, id: &str) {
    let _ = fleet.on(1, &["cancel", id]).run();
    let _ = fleet.await_end(id);
}

fn running(armors: &[Armor], kind: &str) -> usize {
    armors.iter().filter(|armor| armor.kind == kind && armor.state == "running").count()
}

/// A host with a lane, and without the FTM, the SM and the Voter.
fn host_to_lose(armors: &[Armor]) -> Option<u16> {
    let vital = |armor: &Armor| matches!(armor.kind.as_str(), "ftm" | "surrogate" | "voter");
    let is_free = |host: &str| !armors.iter().any(|armor| armor.host == host && vital(armor));
    let lane = armors.iter().find(|armor| armor.kind == "execution" && is_free(&armor.host));
    lane.and_then(|lane| lane.host.trim_start_matches('h').parse().ok())
}
