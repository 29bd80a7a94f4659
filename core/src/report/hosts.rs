//! One sentence for each thing that can happen to a host or to what lies between hosts.

use std::fmt;

use crate::message::{Hearing, HostFault, Incident, Story, Tried};
use crate::names::Millis;
use crate::report::sentence::count;

impl Story {
    pub(super) fn host(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::HostLost { host, fault, heard, moved } => {
                write!(f, "{host} is lost: {fault}; ")?;
                let heard: Vec<String> = heard.iter().map(|(by, hearing)| format!("{by} heard {hearing}")).collect();
                write!(f, "{}; {} installed elsewhere", heard.join(", "), count(*moved, "ARMOR"))
            }
            Story::HostReturned { host, after } => {
                write!(f, "{host} is here again, {after} after it was lost; what was moved is retired there")
            }
            Story::HostSlow { host, observer, hearing } => write!(
                f,
                "{host} was not heard by {observer} for longer than {} and is heard again: it is slow, nothing is moved",
                hearing.bound
            ),
            Story::LinkCut { from, to, hearing, heard_by, one_way } => {
                let back = match one_way {
                    Some(true) => format!("; {from} still hears {to}"),
                    Some(false) => format!("; nor does {from} hear {to}"),
                    None => String::new(),
                };
                write!(
                    f,
                    "the link from {from} to {to} is cut: {to} heard {hearing}, while {heard_by} hears {from}{back}"
                )
            }
            Story::ReignBegan(reign, why) => write!(f, "{} has the FTM under {}: {why}", reign.host, reign.term),
            Story::HostDrained { host, drained: true } => write!(f, "{host} is drained: nothing more is placed there"),
            Story::HostDrained { host, drained: false } => write!(f, "{host} is used again"),
            Story::HostQuarantined { host, times, wait, why } => {
                let why: Vec<String> = why.iter().map(ToString::to_string).collect();
                let again = if *times > 1 { format!(" (time {times})") } else { String::new() };
                write!(f, "{host} is quarantined{again}, no new lanes go there: {}; ", why.join(", "))?;
                write!(f, "it is tested in {wait}")
            }
            Story::HostOnParole(host, tasks) => {
                write!(f, "{host} is on parole: it is to do {} with known answers", count((*tasks).into(), "task"))
            }
            Story::HostTrusted { host, pardoned: false } => {
                write!(f, "{host} did its test tasks right and gets lanes again")
            }
            Story::HostTrusted { host, pardoned: true } => write!(f, "{host} was pardoned and gets lanes again"),
            Story::HostTried(Tried { host, tries, by_command, again }) => {
                let how = if *by_command { "called, and its revive command started" } else { "called" };
                let next = match again {
                    Some(wait) => format!("again in {wait}"),
                    None => "that was the last time, a person must look".to_owned(),
                };
                write!(f, "{host}, which is lost, was {how} (time {tries}); {next}")
            }
            Story::ReviveFailed(host, why) => write!(f, "{host} could not be started: {why}"),
            Story::LinkRestored { from, to } => write!(f, "{to} hears {from} again"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incident::Lost(fault) => write!(f, "it was lost ({fault})"),
            Incident::DaemonDied => f.write_str("its daemon died"),
            Incident::Blamed(job) => write!(f, "a lane of {job} repeated a wrong value there"),
            Incident::TestFailed => f.write_str("it failed a test task"),
        }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostFault::Dead => "its processes are dead",
            HostFault::Frozen => "its processes are frozen, its machine still answers",
            HostFault::Unreachable => "it is dead or cut off, nothing answers there",
        })
    }
}

/// `nothing for 0.6 s (0.4 s would be an accident)`.
impl fmt::Display for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.silent {
            Millis(u64::MAX) => write!(f, "nothing ever"),
            silent => write!(f, "nothing for {silent} where up to {} may be an accident", self.bound),
        }
    }
}
