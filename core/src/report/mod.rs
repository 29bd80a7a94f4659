//! What a job's events mean to a person: each fault as one story, the cost, and what could not have
//! been noticed. Values that can be printed and compared; `cli` prints them.

mod assembly;
mod hosts;
mod limits;
pub mod sentence;
#[cfg(test)]
mod tests;

use crate::job::{InjectionKind, Job};
use crate::message::{EventRow, Outcome, Story};
use crate::names::{ArmorName, JobId, LaneId, Millis};

/// Everything a person is told about how a job went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub job: JobId,
    pub name: String,
    pub strategy: String,
    /// `None`: it runs.
    pub outcome: Option<Outcome>,
    /// Faults that were put in on purpose and of which nothing was noticed.
    pub unnoticed_injections: Vec<(LaneId, InjectionKind)>,
    /// Whether any fault was put in on purpose.
    pub injected: bool,
    /// In the order in which they were noticed.
    pub faults: Vec<Fault>,
    /// What else a person should know, each a sentence without its full stop.
    pub remarks: Vec<String>,
    pub cost: Option<Cost>,
    /// What this run could not have noticed, each a sentence without its full stop.
    pub limits: Vec<String>,
}

/// One fault, from its notice to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub domain: Domain,
    pub place: Place,
    /// Put in on purpose.
    pub injected: Option<InjectionKind>,
    /// What was noticed, a sentence without its full stop.
    pub what: String,
    /// How often the same happened again before it was over.
    pub repeats: u32,
    pub noticed_by: ArmorName,
    /// Milliseconds since 1970, UTC.
    pub noticed_unix_ms: u64,
    /// From the start of the program or, of a wrong value, of its stage; or from the last sign of life.
    pub noticed_after: Option<Millis>,
    /// What was decided about it, in order.
    pub decided: Vec<String>,
    pub contained: Containment,
    pub recovery: Recovery,
}

/// How a failure shows itself (the review: "failures are divided into three domains").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// A process ended when it should not have.
    AbnormalTermination,
    /// It said something wrong.
    Value,
    /// It made no progress, or too little.
    Time,
}

impl Domain {
    /// The words a person reads.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Domain::AbnormalTermination => "abnormal termination",
            Domain::Value => "value",
            Domain::Time => "time",
        }
    }
}

/// Where the fault was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a lane: the program, or what it runs on.
    Lane(LaneId),
    /// Among the lanes, in none of them for certain.
    Lanes,
    /// In a part of Chameleon itself.
    Armor(ArmorName),
}

/// How far a fault came (the review, "fault / error isolation / containment").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Containment {
    /// The system could handle it: no lane behaved differently for it.
    BeforeError,
    /// A lane was affected, and its result was right all the same.
    BeforeFailure,
    /// A lane's result was wrong or missing, and it went no further than the vote.
    BeforeSpread,
    /// So many bytes of output were already released when it was noticed.
    Spread { released: u64 },
    /// Nobody can say: the program did something that cannot be held, or did not.
    Unknown,
}

/// Whether and when what the fault disturbed went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recovery {
    /// So long after it was noticed.
    After(Millis),
    /// The others' result stood; nothing waited.
    Masked,
    /// All lanes that agreed ended so: it is the result.
    Agreed,
    /// The job ended without a result.
    Abort,
    /// It was not, or not yet.
    None,
}

/// What a job cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub executions: u64,
    /// CPU time of all executions, microseconds.
    pub cpu_us: u64,
    pub results: u64,
    /// CPU time of the executions whose results stand, microseconds.
    pub result_cpu_us: u64,
}

impl Report {
    /// Reads the events of the whole system from the job's acceptance on; those of other jobs are
    /// passed over.
    #[must_use]
    pub fn new(id: JobId, job: &Job, rows: &[EventRow]) -> Report {
        let rows: Vec<&EventRow> = concerning(id, rows).collect();
        let assembled = assembly::assemble(&rows);
        let is_fault = |remark: &String| assembled.faults.iter().any(|fault| fault.what == *remark);
        let remarks = rows.iter().filter_map(|row| remark(&row.occurrence.story));
        let remarks = remarks.filter(|remark| !is_fault(remark)).collect();
        Report {
            job: id,
            name: job.name.clone(),
            strategy: job.strategy.name.clone(),
            outcome: outcome(&rows),
            unnoticed_injections: assembled.unnoticed,
            injected: rows.iter().any(|row| matches!(row.occurrence.story, Story::Injected { .. })),
            faults: assembled.faults,
            remarks,
            cost: rows.iter().rev().find_map(|row| cost(&row.occurrence.story)),
            limits: limits::of(job, &rows),
        }
    }
}

/// The job's own events, and those of parts that serve every job while it ran: noticed after its
/// acceptance, and told before its end.
fn concerning(id: JobId, rows: &[EventRow]) -> impl Iterator<Item = &EventRow> {
    let mine = |row: &&EventRow| row.job == Some(id);
    let accepted = rows.iter().find(mine).map_or(u64::MAX, |row| row.occurrence.unix_ms);
    let last = rows.iter().rfind(mine);
    let ended = last.filter(|row| matches!(row.occurrence.story, Story::Ended(_))).map_or(u64::MAX, |row| row.number);
    let shared = move |row: &EventRow| row.job.is_none() && row.occurrence.unix_ms >= accepted && row.number < ended;
    rows.iter().filter(move |row| row.job == Some(id) || shared(row))
}

fn outcome(rows: &[&EventRow]) -> Option<Outcome> {
    rows.iter().rev().find_map(|row| match &row.occurrence.story {
        Story::Ended(outcome) => Some(outcome.clone()),
        _ => None,
    })
}

fn cost(story: &Story) -> Option<Cost> {
    match *story {
        Story::Cost { executions, cpu_us, results, result_cpu_us } => {
            Some(Cost { executions, cpu_us, results, result_cpu_us })
        }
        _ => None,
    }
}

/// What is no fault of a lane or of Chameleon, and yet nothing to keep from a person.
fn remark(story: &Story) -> Option<String> {
    match story {
        Story::Blocked { .. }
        | Story::Unconfined(..)
        | Story::CommitConflict { .. }
        | Story::Committed { .. }
        | Story::NotifyFailed { .. }
        | Story::Straggler { .. }
        | Story::LeftOut { .. }
        | Story::Undecided { .. }
        | Story::Resolved(_)
        | Story::Masked(..)
        | Story::PolicyRefused { .. }
        | Story::Spread { .. } => Some(story.to_string()),
        _ => None,
    }
}
