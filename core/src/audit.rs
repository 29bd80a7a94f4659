//! The audit: what the FTM's table says compared with what is there, on every host of a home. It tells each difference, and
//! what can safely be done about it.
//!
//! A difference counts if it is there at two looks ([`lasting`]): an ARMOR that is on its way, or is just being retired, is
//! none. What is repaired is of no use to anybody: processes, sockets and directories of what was retired or forgotten. What
//! the system itself repairs, or only a person can judge, is told and left alone. Nobody is deposed for what is found here.

use std::collections::BTreeMap;
use std::fmt;

use crate::message::ArmorState;
use crate::names::{ArmorName, HostId, JobId, Kind};

/// What the FTM says, or at rest its store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Whether an FTM answered: at rest nothing may run.
    pub reigns: bool,
    pub armors: BTreeMap<ArmorName, Place>,
    /// All jobs on record; true: not ended.
    pub jobs: BTreeMap<JobId, bool>,
}

/// Where an ARMOR is to be, and as which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub host: HostId,
    pub state: ArmorState,
    /// 0: none is known.
    pub pid: u32,
}

/// One thing that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// A host of the home, whether a daemon holds its lock, and the process that last did.
    Daemon { host: HostId, holds: bool, last: u32 },
    /// A process of the home, and the name under which it can be spoken to.
    Process { name: Option<ArmorName>, pid: u32 },
    /// The first process of a slot that lives.
    Slot { host: HostId, job: JobId, pid: u32 },
    /// A socket at which nobody listens.
    DeadSocket { name: ArmorName },
    /// What an ARMOR keeps.
    ArmorDirectory { host: HostId, name: ArmorName },
    /// What a job keeps on a host.
    JobDirectory { host: HostId, job: JobId },
    /// What a command that was broken off left: its path in the home.
    Remains { path: String },
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// A host without a daemon.
    NoDaemon {
        host: HostId,
        last: u32,
    },
    /// A process that nobody needs.
    StrayProcess {
        name: Option<ArmorName>,
        pid: u32,
    },
    /// An ARMOR runs as another process than the FTM knows.
    OtherProcess {
        name: ArmorName,
        known: u32,
        pid: u32,
    },
    /// An ARMOR is said to run, and there is no such process.
    NoProcess {
        host: HostId,
        name: ArmorName,
        known: u32,
    },
    /// A program's slot outlived its job.
    StraySlot {
        host: HostId,
        job: JobId,
        pid: u32,
    },
    DeadSocket {
        name: ArmorName,
    },
    LeftArmor {
        host: HostId,
        name: ArmorName,
    },
    LeftJob {
        host: HostId,
        job: JobId,
    },
    Remains {
        path: String,
    },
}

/// What can be done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    StartDaemon,
    Kill,
    Delete,
    /// Its daemon sees to it.
    Left,
}

/// Compares.
#[must_use]
pub fn audit(table: &Table, seen: &[Sight]) -> Vec<Difference> {
    let mut differences: Vec<Difference> = seen.iter().filter_map(|sight| of_sight(table, sight)).collect();
    let is_seen = |name: ArmorName| {
        seen.iter().any(|sight| matches!(sight, Sight::Process { name: Some(found), .. } if *found == name))
    };
    let is_here =
        |host: HostId| seen.iter().any(|sight| matches!(sight, Sight::Daemon { host: here, .. } if *here == host));
    let missing = table.armors.iter().filter(|(name, place)| {
        table.reigns && place.state == ArmorState::Running && is_here(place.host) && !is_seen(**name)
    });
    differences.extend(missing.map(|(&name, place)| Difference::NoProcess {
        host: place.host,
        name,
        known: place.pid,
    }));
    differences.sort();
    differences
}

fn of_sight(table: &Table, sight: &Sight) -> Option<Difference> {
    match sight {
        Sight::Daemon { host, holds: false, last } if table.reigns => {
            Some(Difference::NoDaemon { host: *host, last: *last })
        }
        Sight::Daemon { .. } => None,
        Sight::Process { name, pid } => of_process(table, *name, *pid),
        Sight::Slot { host, job, pid } => {
            let runs = table.reigns && table.jobs.get(job) == Some(&true);
            (!runs).then_some(Difference::StraySlot { host: *host, job: *job, pid: *pid })
        }
        // At rest they are all dead, and the next start makes them anew.
        Sight::DeadSocket { name } => {
            (table.reigns && !is_needed(table, *name)).then_some(Difference::DeadSocket { name: *name })
        }
        Sight::ArmorDirectory { host, name } => {
            let is_left = !is_needed(table, *name) && name.job().is_some();
            is_left.then_some(Difference::LeftArmor { host: *host, name: *name })
        }
        Sight::JobDirectory { host, job } => {
            (!table.jobs.contains_key(job)).then_some(Difference::LeftJob { host: *host, job: *job })
        }
        Sight::Remains { path } => Some(Difference::Remains { path: path.clone() }),
    }
}

fn of_process(table: &Table, name: Option<ArmorName>, pid: u32) -> Option<Difference> {
    let stray = Some(Difference::StrayProcess { name, pid });
    let Some(name) = name.filter(|_| table.reigns) else { return stray };
    // Whether an FTM or a daemon is the right one is for the store and the lock to say.
    if let Kind::User | Kind::Ftm | Kind::Daemon = name.kind() {
        return None;
    }
    match table.armors.get(&name) {
        None => stray,
        Some(place) if place.pid != pid && place.pid != 0 => {
            Some(Difference::OtherProcess { name, known: place.pid, pid })
        }
        Some(_) => None,
    }
}

fn is_needed(table: &Table, name: ArmorName) -> bool {
    match name.kind() {
        Kind::Ftm | Kind::Daemon => true,
        Kind::User => false,
        Kind::Surrogate
        | Kind::Voter
        | Kind::Fanout
        | Kind::Execution
        | Kind::Mirror
        | Kind::Heartbeat
        | Kind::Init => table.armors.contains_key(&name),
    }
}

/// Those of an earlier look that are there at a later one, too.
#[must_use]
pub fn lasting(earlier: &[Difference], later: Vec<Difference>) -> Vec<Difference> {
    later.into_iter().filter(|difference| earlier.contains(difference)).collect()
}

impl Difference {
    /// What can be done about it, and does no harm.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Difference::NoDaemon { .. } => Remedy::StartDaemon,
            Difference::StrayProcess { .. } | Difference::StraySlot { .. } => Remedy::Kill,
            Difference::OtherProcess { .. } | Difference::NoProcess { .. } => Remedy::Left,
            Difference::DeadSocket { .. }
            | Difference::LeftArmor { .. }
            | Difference::LeftJob { .. }
            | Difference::Remains { .. } => Remedy::Delete,
        }
    }

    /// The word by which programs know it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Difference::NoDaemon { .. } => "no-daemon",
            Difference::StrayProcess { .. } => "stray-process",
            Difference::OtherProcess { .. } => "other-process",
            Difference::NoProcess { .. } => "no-process",
            Difference::StraySlot { .. } => "stray-slot",
            Difference::DeadSocket { .. } => "dead-socket",
            Difference::LeftArmor { .. } => "left-armor",
            Difference::LeftJob { .. } => "left-job",
            Difference::Remains { .. } => "remains",
        }
    }

    /// The host where it is, if it is on one.
    #[must_use]
    pub fn host(&self) -> Option<HostId> {
        match self {
            Difference::NoDaemon { host, .. }
            | Difference::NoProcess { host, .. }
            | Difference::StraySlot { host, .. }
            | Difference::LeftArmor { host, .. }
            | Difference::LeftJob { host, .. } => Some(*host),
            Difference::StrayProcess { .. }
            | Difference::OtherProcess { .. }
            | Difference::DeadSocket { .. }
            | Difference::Remains { .. } => None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::NoDaemon { host, last } => {
                write!(f, "{host} has no daemon: the last one, process {last}, does not hold its lock any more")
            }
            Difference::StrayProcess { name: Some(name), pid } => {
                write!(f, "process {pid} runs as {name}, which nobody needs")
            }
            Difference::StrayProcess { name: None, pid } => {
                write!(f, "process {pid} belongs to this home, and nobody knows it")
            }
            Difference::OtherProcess { name, known, pid } => {
                write!(f, "{name} runs as process {pid}, and the FTM knows it as {known}")
            }
            Difference::NoProcess { host, name, known } => {
                write!(f, "{name} is said to run on {host} as process {known}, and does not")
            }
            Difference::StraySlot { host, job, pid } => {
                write!(f, "process {pid} on {host} is a slot of {job}, which does not run")
            }
            Difference::DeadSocket { name } => write!(f, "the socket of {name} is there, and no such ARMOR"),
            Difference::LeftArmor { host, name } => {
                write!(f, "what {name} kept on {host} is there, and it was retired")
            }
            Difference::LeftJob { host, job } => {
                write!(f, "what {job} kept on {host} is there, and nobody knows that job")
            }
            Difference::Remains { path } => write!(f, "{path} was left by a command that was broken off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::LaneId;

    const H1: HostId = HostId(1);
    const RUNS: JobId = JobId(1);
    const ENDED: JobId = JobId(2);
    const UNKNOWN: JobId = JobId(3);
    const SM: ArmorName = ArmorName::Surrogate(RUNS);
    const RETIRED: ArmorName = ArmorName::Execution(ENDED, LaneId(0));

    fn table() -> Table {
        let place = Place { host: H1, state: ArmorState::Running, pid: 10 };
        Table {
            reigns: true,
            armors: BTreeMap::from([(SM, place)]),
            jobs: BTreeMap::from([(RUNS, true), (ENDED, false)]),
        }
    }

    fn daemon(holds: bool) -> Sight {
        Sight::Daemon { host: H1, holds, last: 5 }
    }

    fn process(name: ArmorName, pid: u32) -> Sight {
        Sight::Process { name: Some(name), pid }
    }

    fn found(table: &Table, seen: &[Sight]) -> Vec<(&'static str, Remedy)> {
        audit(table, seen).iter().map(|difference| (difference.word(), difference.remedy())).collect()
    }

    #[test]
    fn a_system_that_is_as_it_says_shows_no_difference() {
        let seen = [
            daemon(true),
            process(SM, 10),
            process(ArmorName::Ftm, 6),
            process(ArmorName::Daemon(H1), 5),
            process(ArmorName::User(9), 99),
            Sight::Slot { host: H1, job: RUNS, pid: 11 },
            Sight::ArmorDirectory { host: H1, name: SM },
            Sight::ArmorDirectory { host: H1, name: ArmorName::Ftm },
            Sight::ArmorDirectory { host: H1, name: ArmorName::Init(H1) },
            Sight::JobDirectory { host: H1, job: RUNS },
            // Its results are kept.
            Sight::JobDirectory { host: H1, job: ENDED },
        ];
        assert_eq!(audit(&table(), &seen), []);
    }

    #[test]
    fn each_difference_is_told_with_what_can_be_done() {
        let sound = [daemon(true), process(SM, 10)];
        let rows = [
            (process(RETIRED, 20), "stray-process", Remedy::Kill),
            (Sight::Process { name: None, pid: 21 }, "stray-process", Remedy::Kill),
            (process(SM, 22), "other-process", Remedy::Left),
            (Sight::Slot { host: H1, job: ENDED, pid: 23 }, "stray-slot", Remedy::Kill),
            (Sight::Slot { host: H1, job: UNKNOWN, pid: 23 }, "stray-slot", Remedy::Kill),
            (Sight::DeadSocket { name: RETIRED }, "dead-socket", Remedy::Delete),
            (Sight::ArmorDirectory { host: H1, name: RETIRED }, "left-armor", Remedy::Delete),
            (Sight::JobDirectory { host: H1, job: UNKNOWN }, "left-job", Remedy::Delete),
            (Sight::Remains { path: "ftm/backup-7".to_owned() }, "remains", Remedy::Delete),
            (daemon(false), "no-daemon", Remedy::StartDaemon),
        ];
        for (sight, word, remedy) in rows {
            let seen = [sound.to_vec(), vec![sight.clone()]].concat();
            assert_eq!(found(&table(), &seen), [(word, remedy)], "{sight:?}");
        }
        assert_eq!(found(&table(), &[daemon(true)]), [("no-process", Remedy::Left)], "its daemon restores it");
        assert_eq!(found(&table(), &[]), [], "what is on other machines is looked at there");
    }

    #[test]
    fn at_rest_nothing_may_run_and_nothing_need() {
        let rests = Table { reigns: false, ..table() };
        assert_eq!(found(&rests, &[daemon(false), Sight::DeadSocket { name: RETIRED }]), []);
        let still = [process(SM, 10), process(ArmorName::Ftm, 6), Sight::Slot { host: H1, job: RUNS, pid: 11 }];
        assert!(audit(&rests, &still).iter().all(|difference| difference.remedy() == Remedy::Kill));
        assert_eq!(audit(&rests, &still).len(), 3);
    }

    #[test]
    fn what_is_gone_at_the_second_look_is_no_difference() {
        let passing = Difference::StrayProcess { name: Some(SM), pid: 1 };
        let lasts = Difference::LeftJob { host: H1, job: UNKNOWN };
        assert_eq!(lasting(&[passing.clone(), lasts.clone()], vec![lasts.clone()]), [lasts]);
        assert_eq!(lasting(&[], vec![passing]), []);
    }
}
