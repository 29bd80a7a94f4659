//! `chameleon host show HOST`: one host in full, as its Init ARMOR found it. `drain`, `resume` and `pardon`: whether it is
//! used. `revive`: how it is started when it is lost.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use chameleon_core::job::OsBytes;
use chameleon_core::message::{Conduct, FtmMessage, HostRow, Query, UserMessage};
use chameleon_core::names::{ArmorName, HostId};
use chameleon_core::profile::{Clock, Profile};
use chameleon_core::test_task::TASKS;
use jiff::tz::TimeZone;
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
        /// An object with the keys of `hosts --json`, profile, and what is on record
        #[arg(long)]
        json: bool,
    },
    /// Place nothing more on a host, and let what can go on elsewhere do so
    Drain {
        /// The host, such as h1
        host: HostId,
    },
    /// Trust a host again that is in quarantine, without waiting for its test tasks
    Pardon {
        /// The host, such as h1
        host: HostId,
    },
    /// Start a host by a command whenever it is lost; without a command, by none
    Revive {
        /// The host, such as h1
        host: HostId,
        /// What is run on the FTM's host, such as ssh, or whatever switches the machine on
        #[arg(last = true)]
        command: Vec<OsString>,
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
                let shown = shown(&mut session, host)?;
                match json {
                    true => screen::print_json(&json_of(&shown))?,
                    false => screen::print(&text_of(&shown))?,
                }
            }
            What::Drain { host } => {
                let left = use_of(&mut session, host, true)?;
                screen::print(&drained_text(host, &left))?;
            }
            What::Pardon { host } => {
                let text = match pardoned(&mut session, host)? {
                    true => format!("{host} gets lanes again"),
                    false => format!("{host} is not in quarantine"),
                };
                screen::print(&text)?;
            }
            What::Revive { host, command } => {
                let command = command.into_iter().map(|word| OsStringExt::into_vec(word).into()).collect();
                let command = revived_by(&mut session, host, command)?;
                let text = match command.is_empty() {
                    true => format!("{host} is only called when it is lost"),
                    false => format!("when {host} is lost, it is started by {}", typed(&command)),
                };
                screen::print(&text)?;
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

/// Has a host trusted again; whether it was not.
fn pardoned(session: &mut dyn Session, host: HostId) -> Result<bool, Failure> {
    ask(session, &FtmMessage::Pardon { host }, |answer| match answer {
        UserMessage::Pardoned { host: of, was_quarantined } => (of == host).then_some(was_quarantined),
        _ => None,
    })
}

/// Has a host started by this command when it is lost.
fn revived_by(session: &mut dyn Session, host: HostId, command: Vec<OsBytes>) -> Result<Vec<OsBytes>, Failure> {
    ask(session, &FtmMessage::ReviveBy { host, command }, |answer| match answer {
        UserMessage::RevivedBy { host: of, command } => (of == host).then_some(command),
        _ => None,
    })
}

fn typed(command: &[OsBytes]) -> String {
    command.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

/// All that is known of a host.
#[derive(Debug, PartialEq)]
struct Shown {
    row: HostRow,
    profile: Option<Box<Profile>>,
    conduct: Box<Conduct>,
    revive: Vec<OsBytes>,
}

/// # Errors
/// There is no such host, or the FTM does not answer.
fn shown(session: &mut dyn Session, host: HostId) -> Result<Shown, Failure> {
    ask(session, &FtmMessage::Ask(Query::Host(host)), |answer| match answer {
        UserMessage::Host { row, profile, conduct, revive } if row.host == host => {
            Some(Shown { row, profile, conduct, revive })
        }
        _ => None,
    })
}

fn json_of(shown: &Shown) -> Value {
    let mut value = hosts::json_of(&shown.row);
    value["profile"] = shown.profile.as_deref().map_or(Value::Null, profile_json);
    value["revive"] = shown.revive.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let incidents = shown.conduct.incidents.iter();
    value["incidents"] = incidents.map(|(at, what)| json!({ "unix_ms": at, "what": what.to_string() })).collect();
    value["quarantine"] = shown.conduct.quarantine.map_or(Value::Null, |quarantine| {
        json!({
            "times": shown.conduct.times,
            "since_unix_ms": quarantine.since_unix_ms,
            "tested_at_unix_ms": quarantine.since_unix_ms + quarantine.wait.0,
            "test_tasks_done": quarantine.parole,
        })
    });
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

fn text_of(shown: &Shown) -> String {
    let (row, zone) = (&shown.row, screen::zone());
    let mut lines = vec![
        format!("host       {}", row.host),
        format!("state      {} since {}", row.state.word(), screen::date(row.since_unix_ms, &zone)),
        format!("runs       {} lanes and {} other ARMORs of {} jobs", row.lanes, row.armors - row.lanes, row.jobs),
    ];
    lines.extend(row.entry.iter().map(|entry| format!("name       {}, reached at {}", entry.name, entry.address)));
    if !shown.revive.is_empty() {
        lines.push(format!("revive     {}", typed(&shown.revive)));
    }
    lines.extend(conduct_lines(&shown.conduct, &zone));
    match &shown.profile {
        Some(profile) => lines.extend(profile_lines(profile)),
        None => lines.push("profile    not there yet: the Init ARMOR has not reported; ask again in a second".to_owned()),
    }
    lines.join("\n")
}

/// What speaks against a host, and what follows.
fn conduct_lines(conduct: &Conduct, zone: &TimeZone) -> Vec<String> {
    let incidents = conduct.incidents.iter();
    let mut lines: Vec<String> =
        incidents.map(|(at, what)| format!("incident   {}: {what}", screen::date(*at, zone))).collect();
    lines.extend(conduct.quarantine.map(|quarantine| match quarantine.parole {
        Some(done) => format!("quarantine on parole, {done} of {TASKS} test tasks done"),
        None => {
            let tested = screen::date(quarantine.since_unix_ms + quarantine.wait.0, zone);
            format!("quarantine no new lanes (time {}); tested from {tested} on", conduct.times)
        }
    }));
    lines
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
    use chameleon_core::message::{HostFault, HostState, Incident};
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
        let (row, found, conduct) = (row(), Some(Box::new(profile())), Box::<Conduct>::default());
        let answer = UserMessage::Host { row: row.clone(), profile: found.clone(), conduct: conduct.clone(), revive: vec![] };
        let all = shown(&mut Scripted::answering(vec![answer]), HostId(2)).unwrap();
        assert_eq!(all, Shown { row, profile: found, conduct, revive: vec![] });
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
        assert_eq!(json_of(&all)["profile"]["lacks"][0], "Landlock: is not there; mounts do it");
        let before = Shown { profile: None, ..all };
        assert!(text_of(&before).contains("ask again"));
        assert_eq!((&json_of(&before)["profile"], &json_of(&before)["quarantine"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_host_in_quarantine_is_shown_with_what_speaks_against_it() {
        let mut conduct = Conduct::default();
        conduct.put_down(1_700_000_000_000, Incident::Lost(HostFault::Frozen));
        conduct.put_down(1_700_000_060_000, Incident::Blamed(JobId(4)));
        conduct.quarantine(1_700_000_060_000);
        insta::assert_snapshot!(conduct_lines(&conduct, &TimeZone::UTC).join("\n"), @r"
        incident   2023-11-14 22:13:20: it was lost (its processes are frozen, its machine still answers)
        incident   2023-11-14 22:14:20: a lane of j4 repeated a wrong value there
        quarantine no new lanes (time 1); tested from 2023-11-14 22:14:30 on
        ");
        conduct.parole();
        assert_eq!(conduct_lines(&conduct, &TimeZone::UTC)[2], "quarantine on parole, 0 of 3 test tasks done");
        let all = Shown { row: row(), profile: None, conduct: Box::new(conduct), revive: vec!["ssh".as_bytes().to_vec().into()] };
        assert_eq!(json_of(&all)["revive"][0], "ssh");
        assert!(text_of(&all).contains("revive     ssh"));
        assert_eq!((&json_of(&all)["incidents"][1]["what"], &json_of(&all)["quarantine"]["times"]), (
            &Value::from("a lane of j4 repeated a wrong value there"),
            &Value::from(1)
        ));
        let answer = UserMessage::Pardoned { host: HostId(2), was_quarantined: true };
        assert!(pardoned(&mut Scripted::answering(vec![answer]), HostId(2)).unwrap());
    }
}
