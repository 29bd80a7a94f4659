//! A report as a person reads it: each fault a story, then the cost, then what went unseen.

use chameleon_core::message::Outcome;
use chameleon_core::report::sentence::{count, injected, seconds};
use chameleon_core::report::{Containment, Cost, Fault, Place, Recovery, Report};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::screen;

/// The whole report.
pub fn text(report: &Report, zone: &TimeZone) -> String {
    let outcome = report.outcome.as_ref().map_or_else(|| "still running".to_owned(), Outcome::to_string);
    let mut lines = vec![format!("{} {} under {}: {outcome}", report.job, report.name, report.strategy)];
    if report.injected {
        lines.push("FAULTS WERE INJECTED ON PURPOSE: what follows is a demonstration or a test".to_owned());
    }
    for (number, fault) in report.faults.iter().enumerate() {
        lines.push(String::new());
        lines.extend(fault_lines(number + 1, fault, zone));
    }
    lines.push(String::new());
    if report.faults.is_empty() {
        lines.push("No fault was noticed.".to_owned());
    }
    lines.extend(
        report
            .unnoticed_injections
            .iter()
            .map(|(lane, kind)| format!("INJECTED in lane {lane}, and nothing was noticed of it: {}", injected(*kind))),
    );
    lines.extend(report.remarks.iter().map(|remark| format!("Note: {remark}.")));
    lines.extend(report.cost.as_ref().map(cost_line));
    lines.extend([String::new(), "What this run could not have noticed:".to_owned()]);
    lines.extend(report.limits.iter().map(|limit| format!("  - {limit}")));
    lines.join("\n")
}

/// The faults in two lines, for the end of a run; nothing if there were none. How the program itself
/// ended, and all lanes alike, is its result and told as such.
pub fn summary(report: &Report, whole: &str) -> Option<String> {
    let places: Vec<String> =
        report.faults.iter().filter(|fault| fault.recovery != Recovery::Agreed).map(short).collect();
    let number = places.len() as u64;
    if number == 0 && report.unnoticed_injections.is_empty() {
        return None;
    }
    let marked = if report.injected { " (INJECTED on purpose)" } else { "" };
    let shown = places.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    let more = places.len().checked_sub(4).map_or_else(String::new, |more| format!("; and {} more", more + 1));
    Some(format!("chameleon: {}{marked}: {shown}{more}\nchameleon: {whole}", count(number, "fault")))
}

/// `value in lane l1, masked`.
fn short(fault: &Fault) -> String {
    let over = match fault.recovery {
        Recovery::After(after) => format!("recovered after {after}"),
        Recovery::Masked | Recovery::Agreed | Recovery::Abort | Recovery::None => recovery(fault),
    };
    format!("{} {}, {over}", fault.domain.words(), place(fault.place))
}

fn fault_lines(number: usize, fault: &Fault, zone: &TimeZone) -> Vec<String> {
    let mark = fault.injected.map_or_else(String::new, |kind| format!(" — INJECTED: {}", injected(kind)));
    let again = match fault.repeats {
        0 => String::new(),
        repeats => format!(", and again {} before it was over", count(repeats.into(), "time")),
    };
    let after = fault.noticed_after.map_or_else(String::new, |after| format!(", after {after}"));
    let time = screen::time(fault.noticed_unix_ms, zone);
    let mut lines = vec![
        format!("Fault {number}: {} {}{mark}", fault.domain.words(), place(fault.place)),
        format!("  what       {}{again}", fault.what),
        format!("  noticed    {time} by {}{after}", fault.noticed_by),
    ];
    lines.extend(fault.decided.chunk_by(PartialEq::eq).map(|same| {
        let often = if same.len() > 1 { format!(" ({} times)", same.len()) } else { String::new() };
        format!("  decided    {}{often}", same[0])
    }));
    lines.push(format!("  contained  {}", containment(fault)));
    lines.push(format!("  recovered  {}", recovery(fault)));
    lines
}

fn place(place: Place) -> String {
    match place {
        Place::Lane(lane) => format!("in lane {lane}"),
        Place::Lanes => "among the lanes".to_owned(),
        Place::Armor(name) => format!("in Chameleon itself, {name}"),
    }
}

fn containment(fault: &Fault) -> String {
    match (fault.contained, fault.recovery) {
        (_, Recovery::Agreed) => "not: the lanes agree on it".to_owned(),
        (Containment::BeforeError, _) => "before an error: no lane behaved differently".to_owned(),
        (Containment::BeforeFailure, _) => "before a failure: the lane's result was right all the same".to_owned(),
        (Containment::BeforeSpread, _) => "before it spread: it went no further than the vote".to_owned(),
        (Containment::Spread { released }, _) => {
            format!("too late: {} of output were already out", count(released, "byte"))
        }
    }
}

fn recovery(fault: &Fault) -> String {
    match (fault.recovery, fault.place) {
        (Recovery::After(after), _) => format!("after {after}"),
        (Recovery::Masked, Place::Armor(_)) => "not before the end, and not needed".to_owned(),
        (Recovery::Masked, _) => "masked: the others' result stands".to_owned(),
        (Recovery::Agreed, _) => "not: it is the job's result".to_owned(),
        (Recovery::Abort, _) => "not: the job ended without a result".to_owned(),
        (Recovery::None, _) => "not yet".to_owned(),
    }
}

fn cost_line(cost: &Cost) -> String {
    let Cost { executions, cpu_us, results, result_cpu_us } = *cost;
    let each = cpu_us.checked_div(results).map_or_else(String::new, |each| format!(", {} each", seconds(each)));
    let spent = format!("Cost: {} and {} of CPU time", count(executions, "execution"), seconds(cpu_us));
    let plain = match results {
        0 => String::new(),
        _ => format!("; a plain run: about {}", seconds(result_cpu_us)),
    };
    format!("{spent} for {}{each}{plain}.", count(results, "result"))
}

/// The report with stable keys.
pub fn json(report: &Report) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "domain": fault.domain.words(),
            "place": place_word(fault.place),
            "injected": fault.injected.map(chameleon_core::word::Word::word),
            "what": fault.what,
            "repeats": fault.repeats,
            "noticed_by": fault.noticed_by.to_string(),
            "noticed_unix_ms": fault.noticed_unix_ms,
            "noticed_after_ms": fault.noticed_after.map(|after| after.0),
            "decided": fault.decided,
            "contained": containment_word(fault.contained),
            "recovery": recovery_word(fault.recovery),
            "recovered_after_ms": match fault.recovery { Recovery::After(after) => Some(after.0), _ => None },
        })
    };
    let unnoticed = |(lane, kind): &(_, _)| format!("{}:{lane}", chameleon_core::word::Word::word(*kind));
    json!({
        "job": report.job.to_string(),
        "name": report.name,
        "strategy": report.strategy,
        "outcome": report.outcome.as_ref().map(Outcome::word),
        "injected": report.injected,
        "unnoticed_injections": report.unnoticed_injections.iter().map(unnoticed).collect::<Vec<_>>(),
        "faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
        "remarks": report.remarks,
        "cost": report.cost.map(|cost| json!({
            "executions": cost.executions,
            "cpu_us": cost.cpu_us,
            "results": cost.results,
            "result_cpu_us": cost.result_cpu_us,
        })),
        "limits": report.limits,
    })
}

fn place_word(place: Place) -> String {
    match place {
        Place::Lane(lane) => lane.to_string(),
        Place::Lanes => "lanes".to_owned(),
        Place::Armor(name) => name.to_string(),
    }
}

fn containment_word(contained: Containment) -> &'static str {
    match contained {
        Containment::BeforeError => "before-error",
        Containment::BeforeFailure => "before-failure",
        Containment::BeforeSpread => "before-spread",
        Containment::Spread { .. } => "spread",
    }
}

fn recovery_word(recovery: Recovery) -> &'static str {
    match recovery {
        Recovery::After(_) => "recovered",
        Recovery::Masked => "masked",
        Recovery::Agreed => "agreed",
        Recovery::Abort => "abort",
        Recovery::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::job::InjectionKind;
    use chameleon_core::names::{ArmorName, JobId, LaneId, Millis};
    use chameleon_core::report::Domain;
    use chameleon_core::world::End;

    fn fault() -> Fault {
        Fault {
            domain: Domain::AbnormalTermination,
            place: Place::Lane(LaneId(1)),
            injected: Some(InjectionKind::Kill),
            what: "the program was killed by SIGKILL".to_owned(),
            repeats: 0,
            noticed_by: ArmorName::Execution(JobId(1), LaneId(1)),
            noticed_unix_ms: 1_700_000_000_123,
            noticed_after: Some(Millis(12)),
            decided: vec!["started again at once with the same input".to_owned()],
            contained: Containment::BeforeFailure,
            recovery: Recovery::After(Millis(31)),
        }
    }

    fn wrong() -> Fault {
        Fault {
            domain: Domain::Value,
            place: Place::Lane(LaneId(2)),
            injected: None,
            what: "lane l2 voted otherwise".to_owned(),
            repeats: 2,
            noticed_by: ArmorName::Voter(JobId(1)),
            noticed_after: None,
            decided: vec![],
            contained: Containment::BeforeSpread,
            recovery: Recovery::Masked,
            ..fault()
        }
    }

    fn report(faults: Vec<Fault>) -> Report {
        Report {
            job: JobId(1),
            name: "sum".to_owned(),
            strategy: "tmr".to_owned(),
            outcome: Some(Outcome::Result { end: End::Exit(0) }),
            unnoticed_injections: vec![],
            injected: faults.iter().any(|fault| fault.injected.is_some()),
            faults,
            remarks: vec!["lane l0 was not allowed to write /etc/x".to_owned()],
            cost: Some(Cost { executions: 4, cpu_us: 1_250_000, results: 1, result_cpu_us: 300_000 }),
            limits: vec!["the lanes shared one host".to_owned()],
        }
    }

    #[test]
    fn a_report_reads_as_a_story() {
        insta::assert_snapshot!(text(&report(vec![fault(), wrong()]), &TimeZone::UTC), @r#"
        j1 sum under tmr: result, exit 0
        FAULTS WERE INJECTED ON PURPOSE: what follows is a demonstration or a test

        Fault 1: abnormal termination in lane l1 — INJECTED: the program is killed
          what       the program was killed by SIGKILL
          noticed    22:13:20.123 by execution-j1-l1, after 12 ms
          decided    started again at once with the same input
          contained  before a failure: the lane's result was right all the same
          recovered  after 31 ms

        Fault 2: value in lane l2
          what       lane l2 voted otherwise, and again 2 times before it was over
          noticed    22:13:20.123 by voter-j1
          contained  before it spread: it went no further than the vote
          recovered  masked: the others' result stands

        Note: lane l0 was not allowed to write /etc/x.
        Cost: 4 executions and 1.25 s of CPU time for 1 result, 1.25 s each; a plain run: about 300 ms.

        What this run could not have noticed:
          - the lanes shared one host
        "#);
    }

    #[test]
    fn a_report_without_faults_says_so() {
        let text = text(&report(vec![]), &TimeZone::UTC);
        assert!(text.contains("\nNo fault was noticed.\n") && !text.contains("ON PURPOSE"), "{text}");
    }

    #[test]
    fn a_summary_is_two_lines_and_only_there_when_there_were_faults() {
        assert_eq!(summary(&report(vec![]), "x"), None);
        insta::assert_snapshot!(summary(&report(vec![fault(), wrong()]), "`chameleon report j1` tells more").unwrap(), @r#"
        chameleon: 2 faults (INJECTED on purpose): abnormal termination in lane l1, recovered after 31 ms; value in lane l2, masked: the others' result stands
        chameleon: `chameleon report j1` tells more
        "#);
        let many = summary(&report(vec![wrong(); 5]), "x").unwrap();
        assert!(many.contains("5 faults") && many.contains("; and 2 more\n"), "{many}");
    }

    #[test]
    fn a_report_has_stable_keys() {
        insta::assert_snapshot!(json(&report(vec![fault()])).to_string(), @r#"{"cost":{"cpu_us":1250000,"executions":4,"result_cpu_us":300000,"results":1},"faults":[{"contained":"before-failure","decided":["started again at once with the same input"],"domain":"abnormal termination","injected":"kill","noticed_after_ms":12,"noticed_by":"execution-j1-l1","noticed_unix_ms":1700000000123,"place":"l1","recovered_after_ms":31,"recovery":"recovered","repeats":0,"what":"the program was killed by SIGKILL"}],"injected":true,"job":"j1","limits":["the lanes shared one host"],"name":"sum","outcome":"result","remarks":["lane l0 was not allowed to write /etc/x"],"strategy":"tmr","unnoticed_injections":[]}"#);
    }
}
