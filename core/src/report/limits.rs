//! What a run could not have noticed, however well it went: the things that all lanes share, and
//! those that were not compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Files, Job};
use crate::message::{Diagnosis, EventRow, Story};
use crate::names::{HostId, LaneId, StageId};

/// Each a sentence without its full stop.
pub(super) fn of(job: &Job, rows: &[&EventRow]) -> Vec<String> {
    let compared = is_compared(job);
    let shared = if compared { SHARED.as_slice() } else { &[ALONE] };
    let mut limits = if compared { company(rows) } else { Vec::new() };
    limits.extend(shared.iter().map(|limit| (*limit).to_owned()));
    limits.extend(uncompared(job));
    limits.extend(few_outcomes(rows));
    limits
}

/// Whether several lanes run any of its stages.
fn is_compared(job: &Job) -> bool {
    (0..).map(StageId).take(job.stages.len()).any(|stage| job.strategy_of(stage).redundancy.replicas > 1)
}

const ALONE: &str = "one lane: nothing was compared, a wrong result that ends normally goes unnoticed";

const SHARED: [&str; 3] = [
    "the lanes ran the same build: a mistake in the program gives the same wrong result in each",
    "the lanes had the same input: a wrong input makes a wrong result in each",
    "where a program has few possible results, wrong ones may agree by chance",
];

/// Which lanes shared a host, and what that hides.
fn company(rows: &[&EventRow]) -> Vec<String> {
    let mut hosts: BTreeMap<HostId, BTreeSet<LaneId>> = BTreeMap::new();
    for row in rows {
        if let Story::Spread { lanes } = &row.occurrence.story {
            for (lane, host) in lanes {
                hosts.entry(*host).or_default().insert(*lane);
            }
        }
    }
    const HIDDEN: &str = "a fault of its hardware or kernel that hits all of them alike";
    if hosts.len() < 2 {
        return vec![format!("the lanes shared one host: {HIDDEN}")];
    }
    let crowded = hosts.into_iter().filter(|(_, lanes)| lanes.len() > 1);
    let sentence = |(host, lanes): (HostId, BTreeSet<LaneId>)| {
        let names: Vec<String> = lanes.iter().map(ToString::to_string).collect();
        format!("lanes {} shared {host}: {HIDDEN}", listing_and(&names))
    };
    crowded.map(sentence).collect()
}

/// `a, b and c`.
fn listing_and(names: &[String]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

fn uncompared(job: &Job) -> Vec<String> {
    let mut limits = Vec::new();
    if job.net {
        limits.push("the network was open: what went out of it was neither held nor compared".to_owned());
    }
    if job.stages.iter().any(|stage| stage.files == Files::Scratch) {
        limits.push("files written in the run directory were thrown away without being compared".to_owned());
    }
    if let Some((last, others)) = job.masks.split_last() {
        let names: Vec<&str> = others.iter().chain([last]).map(|mask| mask.name.as_str()).collect();
        limits.push(format!("files under the mask {} were not compared", names.join(", ")));
    }
    if is_compared(job) {
        limits.push("standard error, file times and owners were not compared".to_owned());
    }
    limits
}

/// Where a diagnosis rests on a value that chance could have brought.
fn few_outcomes(rows: &[&EventRow]) -> Option<String> {
    let chance = rows.iter().filter_map(|row| match row.occurrence.story {
        Story::Diagnosed { diagnosis: Diagnosis::Transient { chance, .. }, .. } => Some(chance),
        _ => None,
    });
    let chance = chance.min()?;
    Some(format!("a nondeterministic program with few outcomes looks like a transient fault once in {chance} times"))
}
