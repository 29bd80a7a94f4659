//! `chameleon host show HOST`: one host in full, as its Init ARMOR found it. `drain` and `resume`: whether it is used.

use chameleon_core::message::{FtmMessage, HostRow, Query, UserMessage};
use chameleon_core::names::{ArmorName, HostId};
use chameleon_core::profile::{Clock, Profile};
use serde_json::{Value, json};

use crate::commands::hosts;
use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Host {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show one host in full
    Show {
        /// The host, such as h1
        host: HostId,
        /// An object with the keys of `hosts --json`, and profile
        #[arg(long)]
        json: bool,
    },
    /// Place nothing more on a host, and let what can go on elsewhere do so
    Drain {
        /// The host, such as h1
        host: HostId,
    },
    /// Use a host again that was drained
    Resume {
        /// The host, such as h1
        host: HostId,
    },
}

impl Host {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let mut session = place.standing()?.connect()?;
        match self.what {
            What::Show { host, json } => {
                let (row, profile) = shown(&mut session, host)?;
                match json {
                    true => screen::print_json(&json_of(&row, profile.as_deref()))?,
                    false => screen::print(&text_of(&row, profile.as_deref()))?,
                }
            }
            What::Drain { host } => {
                let left = use_of(&mut session, host, true)?;
                screen::print(&drained_text(host, &left))?;
            }
            What::Resume { host } => {
                let _ = use_of(&mut session, host, false)?;
                screen::print(&format!("{host} is used again"))?;
            }
        }
        Ok(0)
    }
}

/// What becomes of the ARMORs of a host that is drained.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    moved: Vec<(ArmorName, HostId)>,
    stays: Vec<(ArmorName, String)>,
}

/// Drains a host, or has it used again.
fn use_of(session: &mut dyn Session, host: HostId, drained: bool) -> Result<Left, Failure> {
    ask(session, &FtmMessage::Drain { host, drained }, |answer| match answer {
        UserMessage::Drained { host: of, drained: now, moved, stays } => {
            ((of, now) == (host, drained)).then_some(Left { moved, stays })
        }
        _ => None,
    })
}

fn drained_text(host: HostId, left: &Left) -> String {
    let mut lines = vec![format!("nothing more is placed on {host}, until `chameleon host resume {host}`")];
    lines.extend(left.moved.iter().map(|(name, to)| format!("{name} goes on on {to}")));
    lines.extend(left.stays.iter().map(|(name, why)| format!("{name} stays until its job ends: {why}")));
    lines.join("\n")
}

/// A host, and what was found there.
///
/// # Errors
/// There is no such host, or the FTM does not answer.
fn shown(session: &mut dyn Session, host: HostId) -> Result<(HostRow, Option<Box<Profile>>), Failure> {
    ask(session, &FtmMessage::Ask(Query::Host(host)), |answer| match answer {
        UserMessage::Host { row, profile } if row.host == host => Some((row, profile)),
        _ => None,
    })
}

fn json_of(row: &HostRow, profile: Option<&Profile>) -> Value {
    let mut value = hosts::json_of(row);
    value["profile"] = profile.map_or(Value::Null, profile_json);
    value
}

/// The profile, as a program reads it.
pub fn profile_json(profile: &Profile) -> Value {
    let tools = profile.tools.iter().map(|tool| json!({ "name": tool.name, "version": tool.version }));
    let abilities = profile.abilities.iter().map(|ability| {
        json!({ "name": ability.name, "found": ability.found, "lacking": ability.lacking.is_some() })
    });
    let findings =
        profile.numeric.findings.iter().map(|finding| json!({ "probe": finding.probe, "found": finding.found }));
    let labels = profile.labels.iter().map(|label| (label.name.clone(), label.value.as_str().into()));
    let clock = profile.clock.map(|clock| json!({ "offset_ms": clock.offset_ms, "bound_ms": clock.bound_ms }));
    json!({
        "system": profile.system,
        "kernel": profile.kernel,
        "architecture": profile.architecture,
        "cpu": profile.cpu,
        "cores": profile.cores,
        "memory": profile.memory,
        "disk_free": profile.disk_free,
        "libc": profile.c_library,
        "speed": profile.speed,
        "clock": clock,
        "labels": labels.collect::<serde_json::Map<String, Value>>(),
        "tools": tools.collect::<Vec<_>>(),
        "abilities": abilities.collect::<Vec<_>>(),
        "lacks": profile.lacks().collect::<Vec<_>>(),
        "numeric_class": profile.numeric.class,
        "numeric_findings": findings.collect::<Vec<_>>(),
    })
}

fn text_of(row: &HostRow, profile: Option<&Profile>) -> String {
    let mut lines = vec![
        format!("host       {}", row.host),
        format!("state      {} since {}", row.state.word(), screen::date(row.since_unix_ms, &screen::zone())),
        format!("runs       {} lanes and {} other ARMORs of {} jobs", row.lanes, row.armors - row.lanes, row.jobs),
    ];
    lines.extend(row.entry.iter().map(|entry| format!("name       {}, reached at {}", entry.name, entry.address)));
    match profile {
        Some(profile) => lines.extend(profile_lines(profile)),
        None => lines.push("profile    not there yet: the Init ARMOR has not reported; ask again in a second".to_owned()),
    }
    lines.join("\n")
}

fn profile_lines(profile: &Profile) -> Vec<String> {
    let mut lines = vec![
        format!("platform   {}, kernel {}", profile.platform(), profile.kernel),
        format!("CPU        {} × {}, {} pieces of work a second", profile.cores, profile.cpu, profile.speed),
        format!("memory     {}", size(profile.memory)),
        format!("disk       {} free", size(profile.disk_free)),
        format!("clock      {}", profile.clock.map_or_else(|| "not compared".to_owned(), clock)),
    ];
    lines.extend(profile.labels.iter().map(|label| format!("label      {} = {}", label.name, label.value)));
    lines.extend(profile.abilities.iter().map(|ability| format!("ability    {}: {}", ability.name, ability.found)));
    lines.extend(profile.tools.iter().map(|tool| format!("tool       {}: {}", tool.name, tool.version)));
    lines.push(format!("numeric    class {}", profile.numeric.class));
    let findings = profile.numeric.findings.iter();
    lines.extend(findings.map(|finding| format!("           {}: {}", finding.probe, finding.found)));
    lines.extend(profile.lacks().map(|sentence| format!("LACKS      {sentence}")));
    lines
}

fn clock(clock: Clock) -> String {
    let Clock { offset_ms, bound_ms } = clock;
    match offset_ms {
        0 => format!("as the FTM's, within {bound_ms} ms"),
        late if late < 0 => format!("{} ms behind the FTM's, within {bound_ms} ms", late.unsigned_abs()),
        early => format!("{early} ms ahead of the FTM's, within {bound_ms} ms"),
    }
}

/// In gibibytes, with one digit.
fn size(bytes: u64) -> String {
    let tenths = bytes / (1 << 30) * 10 + bytes % (1 << 30) * 10 / (1 << 30);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::message::HostState;
    use chameleon_core::names::{JobId, LaneId};
    use chameleon_core::profile::{Ability, Finding, Numeric, Tool};

    use crate::scripted::Scripted;

    fn row() -> HostRow {
        HostRow {
            host: HostId(2),
            state: HostState::Up,
            since_unix_ms: 0,
            jobs: 1,
            armors: 3,
            lanes: 1,
            cores: 4,
            platform: String::new(),
            numeric_class: String::new(),
            entry: None,
        }
    }

    pub fn profile() -> Profile {
        let text = |text: &str| text.to_owned();
        Profile {
            system: text("Linux"),
            kernel: text("6.8.0"),
            architecture: text("aarch64"),
            cpu: text("Neoverse"),
            cores: 4,
            memory: 3 << 29,
            disk_free: 1 << 40,
            c_library: text("glibc 2.36"),
            tools: vec![Tool { name: text("cc"), version: text("cc 12.2") }],
            abilities: vec![Ability { name: text("pidfd"), found: text("works"), lacking: None }, Ability {
                name: text("Landlock"),
                found: text("is not there"),
                lacking: Some(text("Landlock: is not there; mounts do it")),
            }],
            numeric: Numeric {
                class: text("5e6174fd"),
                findings: vec![Finding { probe: text("sin(1e22)"), found: text("-8.5e-1") }],
            },
            speed: 90_000,
            labels: vec![],
            clock: Some(Clock { offset_ms: -12, bound_ms: 1 }),
        }
    }

    #[test]
    fn draining_says_what_goes_and_what_stays() {
        let (lane, fanout) = (ArmorName::Execution(JobId(1), LaneId(0)), ArmorName::Fanout(JobId(1)));
        let (moved, stays) = (vec![(lane, HostId(1))], vec![(fanout, "the files of its job are there".to_owned())]);
        let answer = UserMessage::Drained { host: HostId(2), drained: true, moved, stays };
        let left = use_of(&mut Scripted::answering(vec![answer]), HostId(2), true).unwrap();
        insta::assert_snapshot!(drained_text(HostId(2), &left), @r"
        nothing more is placed on h2, until `chameleon host resume h2`
        execution-j1-l0 goes on on h1
        fanout-j1 stays until its job ends: the files of its job are there
        ");
    }

    #[test]
    fn a_host_is_shown_with_what_it_lacks() {
        let answer = UserMessage::Host { row: row(), profile: Some(Box::new(profile())) };
        let (shown_row, found) = shown(&mut Scripted::answering(vec![answer]), HostId(2)).unwrap();
        assert_eq!((&shown_row, found.as_deref()), (&row(), Some(&profile())));
        insta::assert_snapshot!(profile_lines(&profile()).join("\n"), @r"
        platform   Linux aarch64 glibc 2.36, kernel 6.8.0
        CPU        4 × Neoverse, 90000 pieces of work a second
        memory     1.5 GiB
        disk       1024.0 GiB free
        clock      12 ms behind the FTM's, within 1 ms
        ability    pidfd: works
        ability    Landlock: is not there
        tool       cc: cc 12.2
        numeric    class 5e6174fd
                   sin(1e22): -8.5e-1
        LACKS      Landlock: is not there; mounts do it
        ");
        assert!(text_of(&row(), None).contains("ask again"));
        assert_eq!(json_of(&row(), None)["profile"], Value::Null);
        assert_eq!(json_of(&row(), Some(&profile()))["profile"]["lacks"][0], "Landlock: is not there; mounts do it");
    }
}
