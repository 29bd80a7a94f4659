//! The doctor: asks the FTM what there is to be, looks at what is, and repairs what can safely be repaired.

use std::thread;
use std::time::Duration;

use chameleon_core::audit::{self, Difference, Place as Known, Remedy, Table};
use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::message::{ArmorRow, ArmorState, FtmMessage, JobRow, Query, UserMessage};
use chameleon_core::names::HostId;
use chameleon_node::backup;
use chameleon_node::home::Home;
use chameleon_node::process::Survey;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::session::{Session, ask};
use crate::store;
use crate::system::{BLANKS, Place, System};

/// Between two looks: what is on its way has arrived by then.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What was found.
#[derive(Debug)]
pub struct Examined {
    pub found: Vec<Finding>,
    /// Hosts that are in other homes, to be looked at there.
    pub elsewhere: Vec<HostId>,
}

#[derive(Debug)]
pub struct Finding {
    pub difference: Difference,
    /// What came of repairing it; `None`: that was not tried.
    pub repaired: Option<Result<(), String>>,
}

impl Examined {
    /// How many differences there still are.
    pub fn left(&self) -> usize {
        self.found.iter().filter(|finding| !matches!(finding.repaired, Some(Ok(())))).count()
    }
}

/// Looks twice; what is different both times is repaired if that is wanted.
///
/// # Errors
/// The FTM does not answer, or the home cannot be looked at.
pub fn examine(place: &Place, repair: bool) -> Result<Examined, Failure> {
    let home = Home::open(place.path()).map_err(store::failed)?;
    let look = || {
        let (table, elsewhere) = table(place, &home)?;
        let survey = Survey::of(&home).map_err(store::failed)?;
        let differences = audit::audit(&table, &survey.sights);
        Ok::<_, Failure>((survey, differences, elsewhere))
    };
    let (_, earlier, _) = look()?;
    thread::sleep(BETWEEN_LOOKS);
    let (survey, later, elsewhere) = look()?;
    let repaired = |difference: &Difference| {
        let wanted = repair && difference.remedy() != Remedy::Left;
        wanted.then(|| survey.repair(&home, difference, BLANKS).map_err(|why| why.to_string()))
    };
    let lasting = audit::lasting(&earlier, later).into_iter();
    let found = lasting.map(|difference| Finding { repaired: repaired(&difference), difference }).collect();
    Ok(Examined { found, elsewhere })
}

/// What the FTM says; at rest, what its store does.
fn table(place: &Place, home: &Home) -> Result<(Table, Vec<HostId>), Failure> {
    if let Some(system) = place.running()? {
        return reigning(&system, home);
    }
    let backup = backup::take(home, false).map_err(store::failed)?;
    let records =
        backup.map(|backup| backup.records).ok_or_else(|| Failure::NoSystem { home: home.path().to_owned() })?;
    let mut table = Table::default();
    for record in records {
        match record {
            FtmRecord::Job(record) => drop(table.jobs.insert(record.id, record.end.is_none())),
            FtmRecord::Armor(entry) => {
                let host = entry.decided.host().unwrap_or_default();
                table.armors.insert(entry.name, Known { host, state: ArmorState::Installing, pid: 0 });
            }
            _ => {}
        }
    }
    Ok((table, Vec::new()))
}

fn reigning(system: &System, home: &Home) -> Result<(Table, Vec<HostId>), Failure> {
    let mut session = system.connect()?;
    let jobs = |row: JobRow| (row.job, row.ended_unix_ms.is_none());
    let armors = |row: ArmorRow| (row.name, Known { host: row.host, state: row.state, pid: row.pid });
    let table = Table {
        reigns: true,
        jobs: asked(&mut session, Query::Jobs { all: true }, |answer| match answer {
            UserMessage::Jobs(rows) => Some(rows.into_iter().map(jobs).collect()),
            _ => None,
        })?,
        armors: asked(&mut session, Query::Armors, |answer| match answer {
            UserMessage::Armors(rows) => Some(rows.into_iter().map(armors).collect()),
            _ => None,
        })?,
    };
    let hosts: Vec<HostId> = asked(&mut session, Query::Hosts, |answer| match answer {
        UserMessage::Hosts(rows) => Some(rows.into_iter().map(|row| row.host).collect()),
        _ => None,
    })?;
    let elsewhere = hosts.into_iter().filter(|host| !home.host(*host).exists()).collect();
    Ok((table, elsewhere))
}

fn asked<T>(session: &mut dyn Session, query: Query, take: impl FnMut(UserMessage) -> Option<T>) -> Result<T, Failure> {
    ask(session, &FtmMessage::Ask(query), take)
}

/// What was done about it, in a few words.
fn done(finding: &Finding) -> String {
    match (&finding.repaired, finding.difference.remedy()) {
        (Some(Ok(())), Remedy::StartDaemon) => "a daemon was started".to_owned(),
        (Some(Ok(())), Remedy::Kill) => "it was killed".to_owned(),
        (Some(Ok(())), Remedy::Delete | Remedy::Left) => "it was deleted".to_owned(),
        (Some(Err(why)), _) => format!("not repaired: {why}"),
        (None, Remedy::Left) => "left to the daemon of its host".to_owned(),
        (None, Remedy::StartDaemon | Remedy::Kill | Remedy::Delete) => "`--repair` sees to it".to_owned(),
    }
}

pub fn json_of(examined: &Examined) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "what": finding.difference.word(),
            "host": finding.difference.host().map(|host| host.to_string()),
            "sentence": finding.difference.to_string(),
            "repaired": matches!(finding.repaired, Some(Ok(()))),
            "did": done(finding),
        })
    };
    json!({
        "found": examined.found.iter().map(finding).collect::<Vec<_>>(),
        "left": examined.left(),
        "elsewhere": examined.elsewhere.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub fn text_of(examined: &Examined) -> String {
    let mut lines: Vec<String> =
        examined.found.iter().map(|finding| format!("{}; {}", finding.difference, done(finding))).collect();
    if lines.is_empty() {
        lines.push("what is there is what the FTM says".to_owned());
    }
    if !examined.elsewhere.is_empty() {
        let hosts: Vec<String> = examined.elsewhere.iter().map(ToString::to_string).collect();
        lines.push(format!("{}: in other homes; `chameleon doctor` there looks at them", hosts.join(", ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::JobId;

    #[test]
    fn what_was_found_is_told_with_what_was_done() {
        let left = |job| Difference::LeftJob { host: HostId(1), job: JobId(job) };
        let found = vec![
            Finding { difference: left(7), repaired: Some(Ok(())) },
            Finding { difference: left(8), repaired: Some(Err("no".to_owned())) },
            Finding { difference: left(9), repaired: None },
        ];
        let examined = Examined { found, elsewhere: vec![HostId(2), HostId(3)] };
        assert_eq!(examined.left(), 2);
        insta::assert_snapshot!(text_of(&examined), @r"
        what j7 kept on h1 is there, and nobody knows that job; it was deleted
        what j8 kept on h1 is there, and nobody knows that job; not repaired: no
        what j9 kept on h1 is there, and nobody knows that job; `--repair` sees to it
        h2, h3: in other homes; `chameleon doctor` there looks at them
        ");
        let sound = Examined { found: vec![], elsewhere: vec![] };
        assert_eq!((sound.left(), text_of(&sound).as_str()), (0, "what is there is what the FTM says"));
    }
}
