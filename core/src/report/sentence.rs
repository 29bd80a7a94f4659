//! One sentence for each thing that can happen: the lines of `events`, and the parts of a report.

use std::fmt;

use crate::message::{Diagnosis, Evidence, Outcome, Resolution, Story, Value, Why};
use crate::names::LaneId;
use crate::world::{BlockedWhy, End};

impl Story {
    /// A stable word for the kind of event, as in `events --json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Story::Accepted => "accepted",
            Story::StageBegan { .. } => "stage-began",
            Story::ProgramDied { .. } => "program-died",
            Story::ProgramRecovered { .. } => "program-recovered",
            Story::Dissent { .. } => "dissent",
            Story::NoQuorum { .. } => "no-quorum",
            Story::DiagnosisBegan { .. } => "diagnosis-began",
            Story::Diagnosed { .. } => "diagnosed",
            Story::Extended { .. } => "extended",
            Story::Varied { .. } => "varied",
            Story::Straggler { .. } => "straggler",
            Story::LaneDropped { .. } => "lane-dropped",
            Story::LanePaused { .. } => "lane-paused",
            Story::LaneResumed(_) => "lane-resumed",
            Story::PrefixContradicted { .. } => "prefix-contradicted",
            Story::VoteVoided { .. } => "vote-voided",
            Story::Blocked { .. } => "blocked",
            Story::Unconfined(..) => "unconfined",
            Story::InputRefused { .. } => "input-refused",
            Story::LeftOut { .. } => "left-out",
            Story::Committed { .. } => "committed",
            Story::CommitConflict { .. } => "commit-conflict",
            Story::Injected { .. } => "injected",
            Story::Ended(_) => "ended",
            Story::ArmorDied { .. } => "armor-died",
            Story::ArmorHung { .. } => "armor-hung",
            Story::ArmorRestored { .. } => "armor-restored",
            Story::DaemonRestored { .. } => "daemon-restored",
            Story::ArmorLost { .. } => "armor-lost",
            Story::Enrolled { .. } => "enrolled",
            Story::Revoked { .. } => "revoked",
            Story::NotifyFailed { .. } => "notify-failed",
            Story::Cost { .. } => "cost",
            Story::SlotUnavailable { .. } => "slot-unavailable",
            Story::Masked(..) => "masked",
            Story::Spread { .. } => "spread",
            Story::PolicyRefused { .. } => "policy-refused",
            Story::HostLost { .. } => "host-lost",
            Story::HostReturned { .. } => "host-returned",
            Story::HostSlow { .. } => "host-slow",
            Story::LinkCut { .. } => "link-cut",
            Story::LinkRestored { .. } => "link-restored",
            Story::ArmorMoved { .. } => "armor-moved",
            Story::HostDrained { .. } => "host-drained",
            Story::ReignBegan(..) => "reign-began",
            Story::HostQuarantined { .. } => "host-quarantined",
            Story::HostOnParole { .. } => "host-on-parole",
            Story::HostTrusted { .. } => "host-trusted",
            Story::HostTried { .. } => "host-tried",
            Story::ReviveFailed { .. } => "revive-failed",
            Story::ArmorTransferred { .. } => "armor-transferred",
            Story::Unclear { .. } => "unclear",
            Story::Undecided { .. } => "undecided",
            Story::Resolved(_) => "resolved",
        }
    }
}

/// A sentence without its full stop.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::Accepted
            | Story::StageBegan { .. }
            | Story::Committed { .. }
            | Story::CommitConflict { .. }
            | Story::LeftOut { .. }
            | Story::InputRefused { .. }
            | Story::Masked(..)
            | Story::Undecided { .. }
            | Story::Resolved(_)
            | Story::NotifyFailed { .. }
            | Story::Ended(_)
            | Story::Cost { .. } => self.job(f),
            Story::PolicyRefused { host, why } => write!(f, "{host} accepts nothing, its policy is refused: {why}"),
            Story::Spread { lanes } => {
                let places: Vec<String> = lanes.iter().map(|(lane, host)| format!("{lane} on {host}")).collect();
                write!(f, "lanes were placed: {}", places.join(", "))
            }
            Story::ProgramDied { .. }
            | Story::ProgramRecovered { .. }
            | Story::Injected { .. }
            | Story::Blocked { .. }
            | Story::Unconfined(..)
            | Story::Unclear { .. }
            | Story::SlotUnavailable { .. } => self.program(f),
            Story::Dissent { .. }
            | Story::NoQuorum { .. }
            | Story::DiagnosisBegan { .. }
            | Story::Diagnosed { .. }
            | Story::Extended { .. }
            | Story::Varied { .. }
            | Story::PrefixContradicted { .. }
            | Story::VoteVoided { .. } => self.vote(f),
            Story::Straggler { .. } | Story::LaneDropped { .. } | Story::LanePaused { .. } | Story::LaneResumed(_) => {
                self.lane(f)
            }
            Story::ArmorDied { .. }
            | Story::ArmorHung { .. }
            | Story::ArmorRestored { .. }
            | Story::DaemonRestored { .. }
            | Story::ArmorLost { .. }
            | Story::ArmorMoved { .. }
            | Story::ArmorTransferred { .. } => self.armor(f),
            Story::HostLost { .. }
            | Story::HostReturned { .. }
            | Story::HostSlow { .. }
            | Story::HostDrained { .. }
            | Story::ReignBegan(..)
            | Story::HostQuarantined { .. }
            | Story::HostOnParole { .. }
            | Story::HostTrusted { .. }
            | Story::HostTried { .. }
            | Story::ReviveFailed { .. }
            | Story::LinkCut { .. }
            | Story::LinkRestored { .. } => self.host(f),
            Story::Enrolled { member, name } => write!(f, "{member} ({name}) was let into the cluster"),
            Story::Revoked { member, name } => write!(f, "{member} ({name}) was revoked and is let in no more"),
        }
    }
}

impl Story {
    fn job(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::Accepted => write!(f, "job accepted"),
            Story::StageBegan { stage, lanes, quorum } => {
                write!(f, "stage {stage} began with {}, {quorum} must agree", count(lanes.len() as u64, "lane"))
            }
            Story::Committed { stage, changes } => {
                write!(f, "{} of stage {stage} put in place", count(*changes, "changed path"))
            }
            Story::CommitConflict { stage, paths } => {
                let paths: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(path)).collect();
                write!(f, "changes of stage {stage} withheld: somebody else changed {}", paths.join(", "))
            }
            Story::LeftOut { stage, why } => write!(f, "lanes on other hosts do without in stage {stage}: {why}"),
            Story::InputRefused { stage, why } => write!(f, "input of stage {stage} refused, nothing started: {why}"),
            Story::Masked(mask) => write!(f, "files under the mask {mask} were not compared"),
            Story::Undecided { stage, task, why } => write!(f, "no result of {stage}/{task}, the others go on: {why}"),
            Story::Resolved(resolution) => write!(f, "{resolution}"),
            Story::NotifyFailed { notice, why } => {
                write!(f, "notice {notice} could not be delivered and is tried again: {why}")
            }
            Story::Ended(outcome) => write!(f, "job ended: {outcome}"),
            Story::Cost { executions, cpu_us, results, result_cpu_us } => write!(
                f,
                "{} took {} of CPU time, for {} of {}",
                count(*executions, "execution"),
                seconds(*cpu_us),
                count(*results, "result"),
                seconds(*result_cpu_us)
            ),
            _ => Ok(()),
        }
    }

    fn program(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::ProgramDied { lane, execution, evidence, ran, restart_after } => {
                write!(f, "program of lane {lane} {evidence} after {ran} (execution {execution}), ")?;
                match restart_after {
                    Some(wait) if wait.0 == 0 => write!(f, "started again at once"),
                    Some(wait) => write!(f, "started again in {wait}"),
                    None => write!(f, "restart limit reached: this end is the lane's ballot"),
                }
            }
            Story::ProgramRecovered { lane, execution, after } => {
                write!(f, "program of lane {lane} finished {after} after it had died (execution {execution})")
            }
            Story::Injected { lane, execution, kind } => {
                write!(f, "INJECTED on purpose: {} in lane {lane} (execution {execution})", injected(*kind))
            }
            Story::Blocked { lane, path, why } => {
                let path = String::from_utf8_lossy(path);
                write!(f, "lane {lane} {}", blocked(&path, *why))
            }
            Story::Unconfined(host, why) => write!(
                f,
                "programs on {host} were not kept from it, only given a copy of the run directory: what they wrote \
                 elsewhere was done at once, and the network was open ({why})"
            ),
            Story::SlotUnavailable { lane, why } => write!(f, "lane {lane} has no place to run programs in: {why}"),
            Story::Unclear { lane, stage, task, why } => {
                write!(f, "{stage}/{task} may have run in lane {lane} and is not started again: {why}")
            }
            _ => Ok(()),
        }
    }

    fn vote(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::Dissent { stage, task, loser, lost, winners, won } => write!(
                f,
                "lane {loser} voted {}, {} voted {} ({stage}/{task})",
                value(lost),
                lanes(winners),
                value(won)
            ),
            Story::NoQuorum { stage, task, ballots, quorum } => {
                let ballots: Vec<_> = ballots.iter().map(|(lane, voted)| format!("{lane} {}", value(voted))).collect();
                write!(f, "no {quorum} lanes agree ({stage}/{task}): {}", ballots.join("; "))
            }
            Story::DiagnosisBegan { stage, task, lanes: repeating } => {
                write!(f, "{} repeat {stage}/{task} to see whether they agree with themselves", lanes(repeating))
            }
            Story::Diagnosed { stage, task, diagnosis } => write!(f, "{diagnosis} ({stage}/{task})"),
            Story::Extended { stage, tasks, lanes, quorum, why } => {
                let (tasks, go) = (count(*tasks, "task"), if *tasks == 1 { "goes" } else { "go" });
                write!(f, "{why}: {tasks} of stage {stage} {go} to {lanes} lanes, {quorum} must agree")
            }
            Story::Varied { stage, tasks, lanes, quorum, why } => write!(
                f,
                "{why}: the strategy's variation for {} of stage {stage}, {lanes} lanes, {quorum} must agree",
                count(*tasks, "task")
            ),
            Story::PrefixContradicted { stage, task, lane, released } => write!(
                f,
                "lane {lane} contradicts output that was already decided, {} of {stage}/{task} {} out",
                count(*released, "byte"),
                if *released == 1 { "was" } else { "were" }
            ),
            Story::VoteVoided { stage, task, lane } => {
                write!(f, "vote of lane {lane} on {stage}/{task} is void: it voted twice, and differently")
            }
            _ => Ok(()),
        }
    }

    fn lane(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::Straggler { lane, stage, tasks, waited } => write!(
                f,
                "lane {lane} still ran {} of stage {stage} {waited} after the vote was decided, and was stopped",
                count(*tasks, "task")
            ),
            Story::LaneDropped { lane, stage, why } => write!(f, "lane {lane} dropped from stage {stage}: {why}"),
            Story::LanePaused { lane, at } => {
                write!(f, "lane {lane} held back at {}: it is too far ahead of the others", count(*at, "byte"))
            }
            Story::LaneResumed(lane) => write!(f, "lane {lane} goes on"),
            _ => Ok(()),
        }
    }

    fn armor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Story::ArmorDied { name, incarnation } => write!(f, "{name} died (incarnation {})", incarnation.0),
            Story::ArmorHung { name, incarnation, evidence, silent } => {
                write!(f, "{name} {evidence} for {silent} and was killed (incarnation {})", incarnation.0)
            }
            Story::ArmorRestored { name, incarnation, after } => {
                write!(f, "{name} restored {after} after its death (incarnation {})", incarnation.0)
            }
            Story::DaemonRestored { adopted, restarted } => {
                write!(f, "daemon replaced: {} found alive, {restarted} started again", count(*adopted, "ARMOR"))
            }
            Story::ArmorLost { name, why } => write!(f, "{name} cannot be kept running: {why}"),
            Story::ArmorMoved { name, from, to, why } => write!(f, "{name} goes on on {to} instead of {from}: {why}"),
            Story::ArmorTransferred { name, from, to, why } => write!(f, "{name} is moved from {from} to {to}: {why}"),
            _ => Ok(()),
        }
    }
}

/// A verb: what the program or the ARMOR did.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Ended(End::Exit(code)) => write!(f, "exited {code}, which the job calls abnormal,"),
            Evidence::Ended(End::Signal(number)) => write!(f, "was killed by {}", signal(*number)),
            Evidence::Ended(End::NotFound) => write!(f, "was not found"),
            Evidence::Ended(End::NotExecutable) => write!(f, "could not be executed"),
            Evidence::SlotLost(why) => write!(f, "was lost with its slot ({why})"),
            Evidence::Stopped => write!(f, "was stopped, not by Chameleon,"),
            Evidence::Spinning => write!(f, "used the CPU without answering"),
            Evidence::Silent => write!(f, "had the CPU and did not answer"),
            Evidence::LeaseEnded => write!(f, "was killed when the lease of its host, cut off, had ended"),
            Evidence::NoProgress => write!(f, "answered and had work to do, and did none"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Disagreement => write!(f, "no value reached the quorum"),
            Why::LanesLost => write!(f, "too few lanes were left to reach the quorum"),
            Why::TooSlow => write!(f, "it kept the others waiting beyond its limit"),
            Why::NotRunning(why) => write!(f, "it could not be kept running: {why}"),
        }
    }
}

/// What a lane tried in vain, and the flag that would allow it.
fn blocked(path: &str, why: BlockedWhy) -> String {
    match why {
        BlockedWhy::ReadOnly => {
            format!("was not allowed to write {path}: only the run directory is held; --output {path} would allow it")
        }
        BlockedWhy::NoFiles => {
            format!("was not allowed to write {path}: no files are held; --files overlay would allow it")
        }
        BlockedWhy::Network => {
            format!("was not allowed to reach {path}: the network is off; --net would allow it")
        }
        BlockedWhy::Outside => {
            format!("changed {path}, next to an output of another name: it is not kept; --output {path} would keep it")
        }
        BlockedWhy::Unsupported => {
            format!("left a pipe, socket or device at {path}: such things are not kept; /tmp is the place for them")
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diagnosis::Nondeterministic { lane, first, again } => write!(
                f,
                "nondeterministic program: lane {lane} disagrees with itself, {} and then {}; nobody is blamed",
                value(first),
                value(again)
            ),
            Diagnosis::Transient { lane, chance } => write!(
                f,
                "transient fault: lane {lane} came to the value of the others when it tried again; a program with few \
                 outcomes would look the same once in {chance}; nobody is blamed"
            ),
            Diagnosis::LaneFaulty { lane, attempts } => write!(
                f,
                "lane {lane} repeats its wrong value ({}): its surroundings are at fault",
                count(u64::from(attempts.0), "attempt")
            ),
            Diagnosis::Divided => write!(f, "all lanes agree with themselves and not with each other"),
            Diagnosis::Inconclusive => write!(f, "a repetition could not be finished: no diagnosis"),
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.happened { "it happened" } else { "it did not happen" };
        let forced = if self.forced { ", forced before its host's lease had ended for certain" } else { "" };
        write!(f, "{} says that {what}{forced}: {}", self.who, self.note)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Result { end: End::Exit(code) } => write!(f, "result, exit {code}"),
            Outcome::Result { end: End::Signal(number) } => write!(f, "result, killed by {}", signal(*number)),
            Outcome::Result { end: End::NotFound } => write!(f, "result, program not found (127)"),
            Outcome::Result { end: End::NotExecutable } => write!(f, "result, program not executable (126)"),
            Outcome::Untrusted { why, released: 0 } => write!(f, "no trustworthy result (123): {why}"),
            Outcome::Untrusted { why, released } => {
                write!(f, "no trustworthy result (123): {why}; {} were already released", count(*released, "byte"))
            }
            Outcome::Unknown { why, .. } => write!(f, "outcome unknown (122), a person must look: {why}"),
            Outcome::Deadline => write!(f, "deadline passed (124)"),
            Outcome::Failed { why } => write!(f, "Chameleon failed (125): {why}"),
            Outcome::Cancelled { code } => write!(f, "cancelled ({code})"),
        }
    }
}

/// `exit 0, 12 bytes 1a2b3c4d`: enough to tell results apart.
#[must_use]
pub fn value(value: &Value) -> String {
    let end = match value.end {
        End::Exit(code) => format!("exit {code}"),
        End::Signal(number) => signal(number),
        End::NotFound => "not found".to_owned(),
        End::NotExecutable => "not executable".to_owned(),
    };
    let files = if value.changes == crate::names::Digest::default() {
        String::new()
    } else {
        format!(" and files {}", value.changes.short())
    };
    format!("[{end}, {} {}{files}]", count(value.length, "byte"), value.stdout.short())
}

/// `1 lane`, `2 lanes`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Microseconds as seconds of two significant places.
#[must_use]
pub fn seconds(us: u64) -> String {
    match us {
        us if us < 10_000 => format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10),
        us if us < 1_000_000 => format!("{} ms", us / 1_000),
        us => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// `SIGKILL`, or `signal 40` for one without a name.
#[must_use]
pub fn signal(number: u8) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::from(number).checked_sub(1).and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"))
}

/// `lane l0`, `lanes l0 and l2`.
#[must_use]
pub fn lanes(lanes: &[LaneId]) -> String {
    let names: Vec<String> = lanes.iter().map(ToString::to_string).collect();
    match names.split_last() {
        None => "no lane".to_owned(),
        Some((only, [])) => format!("lane {only}"),
        Some((last, others)) => format!("lanes {} and {last}", others.join(", ")),
    }
}

/// What an injection does, as a noun.
#[must_use]
pub fn injected(kind: crate::job::InjectionKind) -> &'static str {
    use crate::job::InjectionKind as Kind;
    match kind {
        Kind::Kill => "the program is killed",
        Kind::Stop => "the program is stopped",
        Kind::Slow => "the program is slowed down",
        Kind::Flip => "a bit of the output is flipped",
        Kind::Lie => "the ballot lies",
    }
}
