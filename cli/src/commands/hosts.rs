//! `chameleon hosts`: a line a host; with `--links`, a line for what lies between two.

use chameleon_core::message::{FtmMessage, HostRow, LinkRow, Query, UserMessage};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Hosts {
    /// An array of objects with stable keys
    #[arg(long)]
    json: bool,
    /// What lies between hosts instead: round trip, loss and bandwidth, as they were measured
    #[arg(long)]
    links: bool,
}

impl Hosts {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let mut session = place.standing()?.connect()?;
        if self.links {
            let links = links(&mut session)?;
            match self.json {
                true => screen::print_json(&Value::Array(links.iter().map(json_of_link).collect()))?,
                false => screen::print(&table_of_links(&links))?,
            }
            return Ok(0);
        }
        let hosts = hosts(&mut session)?;
        match self.json {
            true => screen::print_json(&Value::Array(hosts.iter().map(json_of).collect()))?,
            false => screen::print(&table_of(&hosts, &screen::zone()))?,
        }
        Ok(0)
    }
}

/// All hosts that have ever joined.
fn hosts(session: &mut dyn Session) -> Result<Vec<HostRow>, Failure> {
    ask(session, &FtmMessage::Ask(Query::Hosts), |answer| match answer {
        UserMessage::Hosts(hosts) => Some(hosts),
        _ => None,
    })
}

/// What was measured between hosts.
fn links(session: &mut dyn Session) -> Result<Vec<LinkRow>, Failure> {
    ask(session, &FtmMessage::Ask(Query::Links), |answer| match answer {
        UserMessage::Links(links) => Some(links),
        _ => None,
    })
}

fn json_of_link(row: &LinkRow) -> Value {
    json!({
        "from": row.from.to_string(),
        "to": row.to.to_string(),
        "round_trip_us": row.round_trip_us,
        "loss_per_mille": row.loss_per_mille,
        "bytes_per_s": row.bytes_per_s,
    })
}

fn table_of_links(rows: &[LinkRow]) -> String {
    let or_not = |value: Option<String>| value.unwrap_or_else(|| "not measured".to_owned());
    let line = |row: &LinkRow| {
        [
            row.from.to_string(),
            row.to.to_string(),
            or_not(row.round_trip_us.map(|us| format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10))),
            or_not(row.loss_per_mille.map(|loss| format!("{}.{} %", loss / 10, loss % 10))),
            or_not(row.bytes_per_s.map(|speed| format!("{}.{} MB/s", speed / 1_000_000, speed % 1_000_000 / 100_000))),
        ]
    };
    screen::table(["FROM", "TO", "ROUND TRIP", "LOSS", "BANDWIDTH"], rows.iter().map(line))
}

pub fn json_of(row: &HostRow) -> Value {
    json!({
        "host": row.host.to_string(),
        "name": row.entry.as_ref().map(|entry| &entry.name),
        "address": row.entry.as_ref().map(|entry| &entry.address),
        "state": row.state.word(),
        "since_unix_ms": row.since_unix_ms,
        "cores": known(row, row.cores),
        "lanes": row.lanes,
        "armors": row.armors,
        "jobs": row.jobs,
        "platform": known(row, row.platform.clone()),
        "numeric_class": known(row, row.numeric_class.clone()),
    })
}

/// Null before the host was looked over.
fn known<T>(row: &HostRow, value: T) -> Option<T> {
    (row.cores > 0).then_some(value)
}

fn table_of(rows: &[HostRow], zone: &TimeZone) -> String {
    let line = |row: &HostRow| {
        let dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        [
            row.host.to_string(),
            dash(row.entry.as_ref().map(|entry| entry.name.clone())),
            row.state.word().to_owned(),
            dash(known(row, row.cores.to_string())),
            row.lanes.to_string(),
            row.armors.to_string(),
            row.jobs.to_string(),
            dash(known(row, row.platform.clone())),
            dash(known(row, row.numeric_class.clone())),
            screen::date(row.since_unix_ms, zone),
            dash(row.entry.as_ref().map(|entry| entry.address.clone())),
        ]
    };
    let headings =
        ["HOST", "NAME", "STATE", "CORES", "LANES", "ARMORS", "JOBS", "PLATFORM", "NUMERIC", "SINCE", "ADDRESS"];
    screen::table(headings, rows.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::book::Entry;
    use chameleon_core::message::HostState;
    use chameleon_core::names::HostId;

    use crate::scripted::Scripted;

    fn row(host: u32, state: HostState, cores: u16) -> HostRow {
        let text = |text: &str| if cores > 0 { text.to_owned() } else { String::new() };
        HostRow {
            host: HostId(host),
            state,
            since_unix_ms: 1_700_000_000_000,
            jobs: 1,
            armors: 4,
            lanes: 2,
            cores,
            platform: text("Linux x86_64 glibc 2.36"),
            numeric_class: text("5e6174fd"),
            entry: (host == 2).then(|| Entry {
                host: HostId(host),
                name: "rack-7".to_owned(),
                address: "10.0.0.2:7117".to_owned(),
                may_serve: false,
            }),
        }
    }

    #[test]
    fn a_link_is_listed_with_what_was_measured_and_says_what_was_not() {
        let (from, to) = (HostId(1), HostId(2));
        let there = LinkRow {
            from,
            to,
            round_trip_us: Some(1_234),
            loss_per_mille: Some(52),
            bytes_per_s: Some(110_500_000),
        };
        let back = LinkRow { from: to, to: from, round_trip_us: None, loss_per_mille: Some(0), bytes_per_s: None };
        let answer = UserMessage::Links(vec![there, back]);
        assert_eq!(links(&mut Scripted::answering(vec![answer])).unwrap(), [there, back]);
        insta::assert_snapshot!(table_of_links(&[there, back]), @r"
        FROM  TO  ROUND TRIP    LOSS   BANDWIDTH
        h1    h2  1.23 ms       5.2 %  110.5 MB/s
        h2    h1  not measured  0.0 %  not measured
        ");
        assert_eq!((&json_of_link(&back)["bytes_per_s"], &json_of_link(&there)["loss_per_mille"]), (
            &Value::Null,
            &Value::from(52)
        ));
    }

    #[test]
    fn a_host_is_listed_also_before_it_was_looked_over() {
        let rows = [row(1, HostState::Up, 8), row(2, HostState::Away, 0)];
        let answer = UserMessage::Hosts(rows.to_vec());
        assert_eq!(hosts(&mut Scripted::answering(vec![answer])).unwrap(), rows);
        insta::assert_snapshot!(table_of(&rows, &TimeZone::UTC), @r"
        HOST  NAME    STATE  CORES  LANES  ARMORS  JOBS  PLATFORM                 NUMERIC   SINCE                ADDRESS
        h1    -       up     8      2      4       1     Linux x86_64 glibc 2.36  5e6174fd  2023-11-14 22:13:20  -
        h2    rack-7  away   -      2      4       1     -                        -         2023-11-14 22:13:20  10.0.0.2:7117
        ");
        assert_eq!(json_of(&rows[1])["platform"], Value::Null);
        assert_eq!(json_of(&rows[0])["cores"], 8);
    }
}
