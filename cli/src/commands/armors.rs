//! `chameleon armors`: a line a process that runs or guards jobs.

use chameleon_core::message::{ArmorRow, FtmMessage, Query, UserMessage};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Armors {
    /// An array of objects with the keys id, kind, host, pid, incarnation, state and job
    #[arg(long)]
    json: bool,
}

impl Armors {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let armors = armors(&mut place.standing()?.connect()?)?;
        match self.json {
            true => screen::print_json(&Value::Array(armors.iter().map(json_of).collect()))?,
            false => screen::print(&table_of(&armors))?,
        }
        Ok(0)
    }
}

/// All ARMORs that are not retired.
pub fn armors(session: &mut dyn Session) -> Result<Vec<ArmorRow>, Failure> {
    ask(session, &FtmMessage::Ask(Query::Armors), |answer| match answer {
        UserMessage::Armors(armors) => Some(armors),
        _ => None,
    })
}

/// Its process, as far as it has one.
fn pid(row: &ArmorRow) -> Option<u32> {
    (row.pid != 0).then_some(row.pid)
}

pub fn json_of(row: &ArmorRow) -> Value {
    json!({
        "id": row.name.to_string(),
        "kind": row.name.kind().word(),
        "host": row.host.to_string(),
        "pid": pid(row),
        "incarnation": row.incarnation.0,
        "state": row.state.word(),
        "job": row.name.job().map(|job| job.to_string()),
    })
}

pub fn table_of(rows: &[ArmorRow]) -> String {
    let line = |row: &ArmorRow| {
        [
            row.name.to_string(),
            row.name.kind().to_string(),
            row.host.to_string(),
            pid(row).map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            row.incarnation.0.to_string(),
            row.state.word().to_owned(),
            row.name.job().map_or_else(|| "-".to_owned(), |job| job.to_string()),
        ]
    };
    screen::table(["ID", "KIND", "HOST", "PID", "INCARNATION", "STATE", "JOB"], rows.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::message::ArmorState;
    use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, LaneId};

    use crate::scripted::Scripted;

    #[test]
    fn an_armor_is_listed_with_its_stable_keys() {
        let row = |name, pid, state| ArmorRow { name, host: HostId(1), pid, incarnation: Incarnation(2), state };
        let rows = [
            row(ArmorName::Ftm, 0, ArmorState::Installing),
            row(ArmorName::Execution(JobId(3), LaneId(1)), 4_000_000, ArmorState::Retiring),
        ];
        let answer = UserMessage::Armors(rows.to_vec());
        assert_eq!(armors(&mut Scripted::answering(vec![answer])).unwrap(), rows);
        insta::assert_snapshot!(table_of(&rows), @r#"
        ID               KIND       HOST  PID      INCARNATION  STATE       JOB
        ftm              ftm        h1    -        2            installing  -
        execution-j3-l1  execution  h1    4000000  2            retiring    j3
        "#);
        insta::assert_snapshot!(json_of(&rows[1]).to_string(), @r#"{"host":"h1","id":"execution-j3-l1","incarnation":2,"job":"j3","kind":"execution","pid":4000000,"state":"retiring"}"#);
        assert_eq!((&json_of(&rows[0])["job"], &json_of(&rows[0])["pid"]), (&Value::Null, &Value::Null));
    }
}
