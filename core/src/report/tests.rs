use crate::job::{Determinism, Files, InjectionKind, Job, Mask, OsBytes, Stage, Stdin};
use crate::message::{Diagnosis, EventRow, Evidence, Occurrence, Outcome, Story, Value, Why};
use crate::names::{
    ArmorName, Attempt, Digest, ExecutionId, HostId, Incarnation, JobId, LaneId, Millis, StageId, TaskId,
};
use crate::strategy::library;
use crate::world::End;

use super::{Containment, Domain, Fault, Place, Recovery, Report};

const JOB: JobId = JobId(1);
const L0: LaneId = LaneId(0);
const L1: LaneId = LaneId(1);
const L2: LaneId = LaneId(2);
const S0: StageId = StageId(0);
const T0: TaskId = TaskId(0);
const FIRST: ExecutionId = ExecutionId { stage: S0, task: T0, attempt: Attempt(0) };

fn job(strategy: &str) -> Job {
    Job {
        name: "sum".to_owned(),
        strategy: library::find(strategy, &|_| Err("no file is read".to_owned())).unwrap(),
        stages: vec![Stage::new("sum", vec![OsBytes::from(b"sum".to_vec())])],
        deadline: None,
        abnormal_exit: vec![],
        notify: vec![],
        hold: false,
        net: false,
        determinism: Determinism::Plain,
        masks: vec![],
        injections: vec![],
        directory: OsBytes::from(b"/".to_vec()),
        environment: vec![],
        stdin: Stdin::Null,
        spool_quota: 1 << 20,
        origin: Default::default(),
        build: None,
        umask: Job::USUAL_UMASK,
        needs: Default::default(),
    }
}

/// Events of the job, ten milliseconds apart.
fn rows(stories: Vec<Story>) -> Vec<EventRow> {
    let row = |(number, story): (u64, Story)| {
        let (unix_ms, boot) = (1_000_000 + number * 10, Millis(number * 10));
        let occurrence = Occurrence { unix_ms, boot, noticed_by: ArmorName::Surrogate(JOB), story };
        EventRow { number, job: Some(JOB), occurrence }
    };
    (0..).zip(stories).map(row).collect()
}

fn report(stories: Vec<Story>) -> Report {
    Report::new(JOB, &job("tmr"), &rows(stories))
}

fn only_fault(stories: Vec<Story>) -> Fault {
    let mut faults = report(stories).faults;
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.remove(0)
}

fn died(restart_after: Option<u64>) -> Story {
    let evidence = Evidence::Ended(End::Signal(9));
    let restart_after = restart_after.map(Millis);
    Story::ProgramDied { lane: L1, execution: FIRST, evidence, ran: Millis(30), restart_after }
}

fn recovered() -> Story {
    let execution = ExecutionId { attempt: Attempt(1), ..FIRST };
    Story::ProgramRecovered { lane: L1, execution, after: Millis(40) }
}

fn value(byte: u8) -> Value {
    Value { end: End::Exit(0), stdout: Digest([byte; 32]), length: 3, changes: Digest::default() }
}

fn dissent() -> Story {
    Story::Dissent { stage: S0, task: T0, loser: L1, lost: value(1), winners: vec![L0, L2], won: value(0) }
}

fn no_quorum() -> Story {
    let ballots = vec![(L0, value(0)), (L1, value(1)), (L2, value(2))];
    Story::NoQuorum { stage: S0, task: T0, ballots, quorum: 2 }
}

fn injected(kind: InjectionKind) -> Story {
    Story::Injected { lane: L1, execution: FIRST, kind }
}

fn result() -> Story {
    Story::Ended(Outcome::Result { end: End::Exit(0) })
}

fn untrusted(released: u64) -> Story {
    Story::Ended(Outcome::Untrusted { why: "all differ".to_owned(), released })
}

#[test]
fn each_kind_of_fault_is_one_story_with_its_end() {
    let armor = ArmorName::Voter(JOB);
    let armor_died = || Story::ArmorDied { name: armor, incarnation: Incarnation(1) };
    let hung =
        Story::ArmorHung { name: armor, incarnation: Incarnation(1), evidence: Evidence::Stopped, silent: Millis(500) };
    let restored = || Story::ArmorRestored { name: armor, incarnation: Incarnation(2), after: Millis(7) };
    let straggler = Story::Straggler { lane: L2, stage: S0, tasks: 1, waited: Millis(6_000) };
    let contradicted = || Story::PrefixContradicted { stage: S0, task: T0, lane: L0, released: 5 };
    let killed = Story::Ended(Outcome::Result { end: End::Signal(9) });
    use Containment::{BeforeError, BeforeFailure, BeforeSpread, Spread};
    use Domain::{AbnormalTermination, Time, Value};
    let table: Vec<(Vec<Story>, Domain, Place, Containment, Recovery)> = vec![
        (
            vec![died(Some(0)), recovered(), result()],
            AbnormalTermination,
            Place::Lane(L1),
            BeforeFailure,
            Recovery::After(Millis(40)),
        ),
        (vec![died(None), result()], AbnormalTermination, Place::Lane(L1), BeforeSpread, Recovery::Masked),
        (vec![died(None), killed], AbnormalTermination, Place::Lane(L1), BeforeSpread, Recovery::Agreed),
        (vec![died(Some(0))], AbnormalTermination, Place::Lane(L1), BeforeSpread, Recovery::None),
        (vec![dissent(), result()], Value, Place::Lane(L1), BeforeSpread, Recovery::Masked),
        (vec![no_quorum(), untrusted(0)], Value, Place::Lanes, BeforeSpread, Recovery::Abort),
        (vec![no_quorum(), result()], Value, Place::Lanes, BeforeSpread, Recovery::Masked),
        (vec![contradicted(), untrusted(5)], Value, Place::Lane(L0), Spread { released: 5 }, Recovery::Abort),
        (vec![contradicted(), result()], Value, Place::Lane(L0), BeforeSpread, Recovery::Masked),
        (vec![straggler, result()], Time, Place::Lane(L2), BeforeSpread, Recovery::Masked),
        (
            vec![armor_died(), restored(), result()],
            AbnormalTermination,
            Place::Armor(armor),
            BeforeError,
            Recovery::After(Millis(7)),
        ),
        (vec![hung, restored()], Time, Place::Armor(armor), BeforeError, Recovery::After(Millis(7))),
        (vec![restored()], AbnormalTermination, Place::Armor(armor), BeforeError, Recovery::After(Millis(7))),
    ];
    for (stories, domain, place, contained, recovery) in table {
        let fault = only_fault(stories.clone());
        assert_eq!(
            (fault.domain, fault.place, fault.contained, fault.recovery),
            (domain, place, contained, recovery),
            "{stories:?}"
        );
    }
}

#[test]
fn a_program_that_dies_again_before_it_recovers_is_one_fault() {
    let fault = only_fault(vec![died(Some(0)), died(Some(20)), recovered(), result()]);
    assert_eq!((fault.repeats, fault.decided.len()), (1, 2));
    let report = report(vec![died(Some(0)), recovered(), died(Some(0)), recovered()]);
    assert_eq!(report.faults.len(), 2, "after a recovery it is another fault");
}

#[test]
fn a_daemon_that_was_replaced_is_noticed_by_its_successor() {
    let mut rows = rows(vec![Story::Accepted, Story::DaemonRestored { adopted: 5, restarted: 0 }, result()]);
    let daemon = ArmorName::Daemon(HostId(1));
    (rows[1].job, rows[1].occurrence.noticed_by) = (None, daemon);
    let faults = Report::new(JOB, &job("tmr"), &rows).faults;
    assert_eq!(faults[0].place, Place::Armor(daemon));
    assert_eq!(faults[0].decided, ["a new daemon took over: 5 ARMORs found alive, 0 started again"]);
}

#[test]
fn an_injection_marks_the_fault_it_made_and_is_told_when_nothing_was_noticed() {
    let flipped = report(vec![injected(InjectionKind::Flip), dissent(), result()]);
    assert_eq!(flipped.faults[0].injected, Some(InjectionKind::Flip));
    assert_eq!(flipped.unnoticed_injections, []);
    let slow = report(vec![injected(InjectionKind::Slow), result()]);
    assert_eq!(slow.unnoticed_injections, [(L1, InjectionKind::Slow)]);
    assert!(slow.injected && slow.faults.is_empty());
    let natural = report(vec![injected(InjectionKind::Flip), died(Some(0)), recovered()]);
    assert_eq!(natural.faults[0].injected, None, "a flipped bit kills nobody");
}

#[test]
fn what_was_decided_about_a_disagreement_is_part_of_its_story() {
    let extended = Story::Extended { stage: S0, tasks: 1, lanes: 5, quorum: 3, why: Why::Disagreement };
    let diagnosis = Diagnosis::Transient { lane: L1, chance: 8 };
    let report = report(vec![
        no_quorum(),
        extended,
        dissent(),
        Story::DiagnosisBegan { stage: S0, task: T0, lanes: vec![L0, L1] },
        Story::Diagnosed { stage: S0, task: T0, diagnosis },
        result(),
    ]);
    assert!(report.faults[0].decided[0].contains("5 lanes, 3 must agree"), "{report:#?}");
    assert!(report.faults[1].decided[2].starts_with("transient fault"), "{report:#?}");
    assert!(report.limits.iter().any(|limit| limit.ends_with("once in 8 times")), "{:?}", report.limits);
}

#[test]
fn one_task_goes_to_more_lanes_and_many_go() {
    let sentence =
        |tasks| Story::Extended { stage: S0, tasks, lanes: 5, quorum: 3, why: Why::Disagreement }.to_string();
    assert!(sentence(1).contains("1 task of stage s0 goes to 5 lanes"), "{}", sentence(1));
    assert!(sentence(2).contains("2 tasks of stage s0 go to 5 lanes"), "{}", sentence(2));
    let out = |released| Story::PrefixContradicted { stage: S0, task: T0, lane: L1, released }.to_string();
    assert!(out(1).ends_with("1 byte of s0/t0 was out") && out(2).ends_with("2 bytes of s0/t0 were out"));
}

#[test]
fn a_lane_that_is_merely_the_slowest_is_no_fault() {
    let straggler = Story::Straggler { lane: L1, stage: S0, tasks: 1, waited: Millis(60) };
    let natural = report(vec![straggler.clone(), result()]);
    assert_eq!((natural.faults.len(), natural.remarks.len()), (0, 1));
    let slowed = only_fault(vec![injected(InjectionKind::Slow), straggler, result()]);
    assert_eq!((slowed.domain, slowed.injected), (Domain::Time, Some(InjectionKind::Slow)));
}

#[test]
fn events_of_other_jobs_and_of_later_times_are_passed_over() {
    let mut rows = rows(vec![Story::Accepted, died(Some(0)), died(Some(0)), result(), died(Some(0))]);
    rows[1].job = Some(JobId(2));
    // Noticed before the job was accepted, told afterwards.
    (rows[2].job, rows[2].occurrence.unix_ms) = (None, 1);
    rows[4].job = None;
    let report = Report::new(JOB, &job("tmr"), &rows);
    assert_eq!(report.faults, []);
    assert_eq!(report.outcome, Some(Outcome::Result { end: End::Exit(0) }));
}

#[test]
fn a_report_ends_with_what_could_not_be_noticed() {
    let limits = |job: &Job| Report::new(JOB, job, &[]).limits.join("\n");
    let alone = limits(&job("single"));
    assert!(alone.contains("nothing was compared") && !alone.contains("standard error"), "{alone}");
    let together = limits(&job("tmr"));
    ["one host", "same build", "same input", "few possible results", "standard error"]
        .iter()
        .for_each(|limit| assert!(together.contains(limit), "{limit}: {together}"));
    let mut open = job("tmr");
    open.net = true;
    open.masks = vec![Mask { name: "stat-cache".to_owned(), paths: vec![] }];
    open.stages[0].files = Files::Scratch;
    ["network", "stat-cache", "thrown away"].iter().for_each(|limit| assert!(limits(&open).contains(limit), "{limit}"));
}
