//! From events to faults: what belongs to the same fault becomes one story.
//!
//! A fault is opened by the event that notices it. Later events about the same lane and task, or the
//! same ARMOR, say what was decided and when it was over. Whatever is still open when the job has
//! ended is closed by how it ended.

use std::collections::BTreeMap;

use crate::job::InjectionKind;
use crate::message::{Diagnosis, EventRow, Evidence, Outcome, Story, Why};
use crate::names::{ArmorName, ExecutionId, LaneId, Millis, StageId, TaskId};
use crate::world::End;

use super::sentence::{count, lanes};
use super::{Containment, Domain, Fault, Place, Recovery};

/// A lane that ran shorter than this when it was stopped was slow, as lanes are on a busy host, and
/// not hanging.
const HANGING: Millis = Millis(1_000);

/// What the events amount to.
#[derive(Debug, Default)]
pub(super) struct Assembled {
    pub faults: Vec<Fault>,
    pub unnoticed: Vec<(LaneId, InjectionKind)>,
}

/// Assembles the faults of one job.
pub(super) fn assemble(rows: &[&EventRow]) -> Assembled {
    let mut assembly = Assembly::default();
    rows.iter().for_each(|row| assembly.read(row));
    assembly.close()
}

/// A fault with what tells which later events belong to it.
#[derive(Debug)]
struct Open {
    fault: Fault,
    /// The task it is about; `None`: the whole stage, or no stage at all.
    about: Option<(StageId, TaskId)>,
    noticed: Millis,
}

#[derive(Debug, Default)]
struct Assembly {
    /// When each stage began.
    began: BTreeMap<StageId, Millis>,
    open: Vec<Open>,
    /// Put in on purpose, and not yet seen in a fault.
    injections: Vec<(LaneId, StageId, TaskId, InjectionKind)>,
    outcome: Option<Outcome>,
}

impl Assembly {
    fn read(&mut self, row: &EventRow) {
        match &row.occurrence.story {
            Story::ProgramDied { .. }
            | Story::ProgramRecovered { .. }
            | Story::SlotUnavailable { .. }
            | Story::Unclear { .. }
            | Story::Injected { .. } => self.program(row),
            Story::Dissent { .. }
            | Story::NoQuorum { .. }
            | Story::PrefixContradicted { .. }
            | Story::VoteVoided { .. } => self.wrong_value(row),
            Story::DiagnosisBegan { stage, task, .. } => self.decide(*stage, Some(*task), &row.occurrence.story),
            Story::Diagnosed { stage, task, diagnosis } => self.diagnosed(*stage, *task, diagnosis),
            Story::Extended { stage, .. } | Story::Varied { stage, .. } => {
                self.decide(*stage, None, &row.occurrence.story);
            }
            Story::Straggler { .. } | Story::LaneDropped { .. } => self.late(row),
            Story::ArmorDied { .. }
            | Story::ArmorHung { .. }
            | Story::ArmorRestored { .. }
            | Story::ArmorLost { .. }
            | Story::ArmorMoved { .. }
            | Story::DaemonRestored { .. } => self.armor(row),
            Story::InputRefused { stage, .. } => {
                let fault = noticed(row, Domain::Value, Place::Lanes, Containment::BeforeError);
                self.push(row, Some((*stage, TaskId(0))), fault);
            }
            Story::Ended(outcome) => self.outcome = Some(outcome.clone()),
            Story::StageBegan { stage, .. } => drop(self.began.insert(*stage, row.occurrence.boot)),
            Story::Accepted
            | Story::LanePaused { .. }
            | Story::LaneResumed(_)
            | Story::Blocked { .. }
            | Story::Unconfined(..)
            | Story::Committed { .. }
            | Story::CommitConflict { .. }
            | Story::NotifyFailed { .. }
            | Story::Enrolled { .. }
            | Story::Revoked { .. }
            | Story::Cost { .. }
            | Story::LeftOut { .. }
            | Story::Undecided { .. }
            | Story::Resolved(_)
            | Story::Masked(..)
            | Story::PolicyRefused { .. }
            | Story::Spread { .. }
            | Story::HostLost { .. }
            | Story::HostReturned { .. }
            | Story::HostSlow { .. }
            | Story::HostDrained { .. }
            | Story::ReignBegan(..)
            | Story::HostQuarantined { .. }
            | Story::HostOnParole { .. }
            | Story::HostTrusted { .. }
            | Story::HostTried { .. }
            | Story::ReviveFailed { .. }
            | Story::ArmorTransferred { .. }
            | Story::LinkCut { .. }
            | Story::LinkRestored { .. } => {}
        }
    }

    fn program(&mut self, row: &EventRow) {
        match &row.occurrence.story {
            Story::ProgramDied { lane, execution, evidence, ran, restart_after } => {
                self.died(row, *lane, *execution, evidence, *ran, *restart_after);
            }
            Story::ProgramRecovered { lane, execution, after } => {
                let about = Some((execution.stage, execution.task));
                let found = self.open.iter_mut().rfind(|open| open.is_death(Place::Lane(*lane), about));
                if let Some(open) = found {
                    open.fault.recovery = Recovery::After(*after);
                    open.fault.contained = Containment::BeforeFailure;
                }
            }
            Story::SlotUnavailable { lane, .. } => {
                let place = Place::Lane(*lane);
                let fault = noticed(row, Domain::AbnormalTermination, place, Containment::BeforeSpread);
                self.push(row, None, fault);
            }
            Story::Unclear { lane, stage, task, .. } => {
                let place = Place::Lane(*lane);
                let mut fault = noticed(row, Domain::AbnormalTermination, place, Containment::Unknown);
                fault.decided.push("not started again: it may run at most once".to_owned());
                self.push(row, Some((*stage, *task)), fault);
            }
            Story::Injected { lane, execution, kind } => {
                self.injections.push((*lane, execution.stage, execution.task, *kind));
            }
            _ => {}
        }
    }

    /// The same program dying again before it recovered is the same fault.
    fn died(
        &mut self,
        row: &EventRow,
        lane: LaneId,
        execution: ExecutionId,
        evidence: &Evidence,
        ran: Millis,
        restart_after: Option<Millis>,
    ) {
        let (place, about) = (Place::Lane(lane), Some((execution.stage, execution.task)));
        let decision = match restart_after {
            Some(Millis(0)) => "started again at once with the same input".to_owned(),
            Some(wait) => format!("started again with the same input after {wait}"),
            None => "restart limit reached: this end became the lane's ballot".to_owned(),
        };
        let injected = self.take_injection(lane, about, &[InjectionKind::Kill, InjectionKind::Stop]);
        let unrecovered = |open: &&mut Open| open.is_death(place, about) && open.fault.recovery == Recovery::None;
        if let Some(open) = self.open.iter_mut().rfind(unrecovered) {
            open.fault.repeats += 1;
            open.fault.decided.push(decision);
            open.fault.injected = open.fault.injected.or(injected);
            return;
        }
        let domain = match evidence {
            Evidence::Ended(_) | Evidence::SlotLost(_) | Evidence::LeaseEnded => Domain::AbnormalTermination,
            Evidence::Stopped | Evidence::Spinning | Evidence::Silent | Evidence::NoProgress => Domain::Time,
        };
        let mut fault = noticed(row, domain, place, Containment::BeforeSpread);
        fault.what = format!("the program {evidence}").trim_end_matches(',').to_owned();
        fault.injected = injected;
        fault.noticed_after = Some(ran);
        fault.decided.push(decision);
        self.push(row, about, fault);
    }

    fn wrong_value(&mut self, row: &EventRow) {
        let (stage, task, place) = match &row.occurrence.story {
            Story::Dissent { stage, task, loser, .. } => (*stage, *task, Place::Lane(*loser)),
            Story::NoQuorum { stage, task, .. } => (*stage, *task, Place::Lanes),
            Story::PrefixContradicted { stage, task, lane, .. } | Story::VoteVoided { stage, task, lane } => {
                (*stage, *task, Place::Lane(*lane))
            }
            _ => return,
        };
        let about = Some((stage, task));
        if let Story::Dissent { winners, .. } = &row.occurrence.story
            && let Some(open) = self.open.iter_mut().rfind(|open| open.is_contradiction(place, about))
        {
            open.fault.what = row.occurrence.story.to_string();
            open.fault.decided.push(format!("the value of {} stands", lanes(winners)));
            open.fault.recovery = Recovery::Masked;
            return;
        }
        let mut fault = noticed(row, Domain::Value, place, Containment::BeforeSpread);
        fault.noticed_after = self.began.get(&stage).map(|began| row.occurrence.boot.since(*began));
        match &row.occurrence.story {
            Story::Dissent { winners, .. } => {
                fault.decided.push(format!("the value of {} stands", lanes(winners)));
                fault.recovery = Recovery::Masked;
            }
            Story::PrefixContradicted { released, .. } if *released > 0 => {
                fault.contained = Containment::Spread { released: *released };
            }
            _ => {}
        }
        self.push(row, about, fault);
    }

    /// A decision about a task, or about all open tasks of a stage.
    fn decide(&mut self, stage: StageId, task: Option<TaskId>, story: &Story) {
        let concerned = |open: &&mut Open| {
            let same = open.about.is_some_and(|(at, of)| at == stage && task.is_none_or(|task| task == of));
            same && open.fault.domain == Domain::Value && (task.is_some() || open.fault.place == Place::Lanes)
        };
        self.open.iter_mut().filter(concerned).for_each(|open| open.fault.decided.push(story.to_string()));
    }

    fn diagnosed(&mut self, stage: StageId, task: TaskId, diagnosis: &Diagnosis) {
        let of_lane = match diagnosis {
            Diagnosis::Transient { lane, .. } | Diagnosis::LaneFaulty { lane, .. } => Some(Place::Lane(*lane)),
            Diagnosis::Nondeterministic { .. } | Diagnosis::Divided | Diagnosis::Inconclusive => None,
        };
        let about = |open: &&mut Open| {
            let same = open.about == Some((stage, task)) && open.fault.domain == Domain::Value;
            same && (open.fault.place == Place::Lanes || of_lane.is_none_or(|place| open.fault.place == place))
        };
        self.open.iter_mut().filter(about).for_each(|open| open.fault.decided.push(diagnosis.to_string()));
    }

    fn late(&mut self, row: &EventRow) {
        let (lane, domain, waited) = match &row.occurrence.story {
            Story::Straggler { lane, waited, .. } => (*lane, Domain::Time, Some(*waited)),
            Story::LaneDropped { lane, why: Why::NotRunning(_), .. } => (*lane, Domain::AbnormalTermination, None),
            Story::LaneDropped { lane, .. } => (*lane, Domain::Time, None),
            _ => return,
        };
        let injected = self.take_injection(lane, None, &[InjectionKind::Slow, InjectionKind::Stop]);
        if injected.is_none() && waited.is_some_and(|waited| waited < HANGING) {
            return;
        }
        let mut fault = noticed(row, domain, Place::Lane(lane), Containment::BeforeSpread);
        fault.injected = injected;
        fault.noticed_after = waited;
        fault.decided.push("the vote goes on without this lane".to_owned());
        fault.recovery = Recovery::Masked;
        self.push(row, None, fault);
    }

    fn armor(&mut self, row: &EventRow) {
        match &row.occurrence.story {
            Story::ArmorDied { name, .. } => {
                let place = Place::Armor(*name);
                self.push(row, None, noticed(row, Domain::AbnormalTermination, place, Containment::BeforeError));
            }
            Story::ArmorHung { name, silent, .. } => {
                let mut fault = noticed(row, Domain::Time, Place::Armor(*name), Containment::BeforeError);
                fault.noticed_after = Some(*silent);
                fault.decided.push("killed and started again".to_owned());
                self.push(row, None, fault);
            }
            Story::ArmorRestored { name, after, incarnation } => {
                let decision = format!("restored from its records as incarnation {}", incarnation.0);
                self.restored(row, *name, Some(*after), decision);
            }
            Story::DaemonRestored { adopted, restarted } => {
                let found = count(*adopted, "ARMOR");
                let decision = format!("a new daemon took over: {found} found alive, {restarted} started again");
                self.restored(row, row.occurrence.noticed_by, None, decision);
            }
            Story::ArmorMoved { name, to, why, .. } => {
                let place = Place::Armor(*name);
                let mut fault = noticed(row, Domain::AbnormalTermination, place, Containment::BeforeError);
                fault.what.clone_from(why);
                fault.decided.push(format!("{name} goes on on {to}"));
                self.push(row, None, fault);
            }
            Story::ArmorLost { name, .. } => match self.down(*name) {
                Some(open) => open.fault.decided.push(row.occurrence.story.to_string()),
                None => {
                    let place = Place::Armor(*name);
                    self.push(row, None, noticed(row, Domain::AbnormalTermination, place, Containment::BeforeSpread));
                }
            },
            _ => {}
        }
    }

    /// A part that is back; if nobody noticed its death, its return tells of it.
    fn restored(&mut self, row: &EventRow, name: ArmorName, after: Option<Millis>, decision: String) {
        if self.down(name).is_none() {
            let place = Place::Armor(name);
            let mut fault = noticed(row, Domain::AbnormalTermination, place, Containment::BeforeError);
            fault.what = format!("{name} was gone");
            self.push(row, None, fault);
        }
        if let Some(open) = self.down(name) {
            let since = row.occurrence.boot.since(open.noticed);
            open.fault.recovery = Recovery::After(after.unwrap_or(since));
            open.fault.decided.push(decision);
        }
    }

    /// The fault of a part that is not back yet.
    fn down(&mut self, name: ArmorName) -> Option<&mut Open> {
        let is_down =
            |open: &&mut Open| open.fault.place == Place::Armor(name) && open.fault.recovery == Recovery::None;
        self.open.iter_mut().rfind(is_down)
    }

    fn push(&mut self, row: &EventRow, about: Option<(StageId, TaskId)>, mut fault: Fault) {
        if let (Place::Lane(lane), Domain::Value) = (fault.place, fault.domain) {
            fault.injected = self.take_injection(lane, about, &[InjectionKind::Flip, InjectionKind::Lie]);
        }
        self.open.push(Open { fault, about, noticed: row.occurrence.boot });
    }

    /// The injection that explains a fault of this lane and task, taken off the list of unnoticed ones.
    fn take_injection(
        &mut self,
        lane: LaneId,
        about: Option<(StageId, TaskId)>,
        kinds: &[InjectionKind],
    ) -> Option<InjectionKind> {
        let explains = |(at, stage, task, kind): &(LaneId, StageId, TaskId, InjectionKind)| {
            *at == lane && about.is_none_or(|about| about == (*stage, *task)) && kinds.contains(kind)
        };
        let index = self.injections.iter().position(explains)?;
        Some(self.injections.remove(index).3)
    }

    /// Closes what is still open by how the job ended.
    fn close(mut self) -> Assembled {
        if let Some(outcome) = &self.outcome {
            self.open.iter_mut().for_each(|open| open.close(outcome));
        }
        let unnoticed = self.injections.iter().map(|(lane, .., kind)| (*lane, *kind)).collect();
        Assembled { faults: self.open.into_iter().map(|open| open.fault).collect(), unnoticed }
    }
}

impl Open {
    /// Whether it is a contradiction of what was decided, whose lane's ballot was not heard yet.
    fn is_contradiction(&self, place: Place, about: Option<(StageId, TaskId)>) -> bool {
        let unheard = self.fault.domain == Domain::Value && self.fault.recovery == Recovery::None;
        unheard && self.fault.place == place && self.about == about
    }

    /// Whether it is a death of the program at this place, doing this task.
    fn is_death(&self, place: Place, about: Option<(StageId, TaskId)>) -> bool {
        self.fault.place == place && self.about == about && self.fault.domain != Domain::Value
    }

    fn close(&mut self, outcome: &Outcome) {
        let fault = &mut self.fault;
        let is_death = fault.domain == Domain::AbnormalTermination && matches!(fault.place, Place::Lane(_));
        let closed = match outcome {
            Outcome::Result { end: End::Exit(_) } => Recovery::Masked,
            Outcome::Result { .. } if is_death => Recovery::Agreed,
            Outcome::Result { .. } => Recovery::Masked,
            Outcome::Untrusted { .. }
            | Outcome::Deadline
            | Outcome::Failed { .. }
            | Outcome::Cancelled { .. }
            | Outcome::Unknown { .. } => Recovery::Abort,
        };
        if fault.recovery == Recovery::None {
            fault.recovery = closed;
        }
        let result = matches!(outcome, Outcome::Result { .. });
        if result && matches!(fault.contained, Containment::Spread { .. }) {
            fault.contained = Containment::BeforeSpread;
        }
    }
}

/// A fault as it is noticed.
fn noticed(row: &EventRow, domain: Domain, place: Place, contained: Containment) -> Fault {
    Fault {
        domain,
        place,
        injected: None,
        what: row.occurrence.story.to_string(),
        repeats: 0,
        noticed_by: row.occurrence.noticed_by,
        noticed_unix_ms: row.occurrence.unix_ms,
        noticed_after: None,
        decided: Vec::new(),
        contained,
        recovery: Recovery::None,
    }
}
