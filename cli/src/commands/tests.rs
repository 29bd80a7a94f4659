//! `docs/commands.md` says what the commands are; these tests keep it true.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Arg, ArgAction, CommandFactory};
use serde_json::Value;

use super::*;

fn page() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    std::fs::read_to_string(path).expect("docs/commands.md is part of the tree")
}

/// The section under this heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let begins = page.find(&format!("## {heading}\n")).unwrap_or_else(|| panic!("docs/commands.md has no {heading:?}"));
    let rest = &page[begins + 3..];
    rest.find("\n## ").map_or(rest, |ends| &rest[..ends])
}

/// `--replicas <N>`, `JOB.toml`: as it is typed.
fn typed(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map(ToString::to_string).unwrap_or_default();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    match argument.get_long() {
        None => value,
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
    }
}

/// Those of a command and of what is below it.
fn arguments(command: &clap::Command) -> Vec<&Arg> {
    command.get_arguments().chain(command.get_subcommands().flat_map(arguments)).collect()
}

#[test]
fn every_command_and_every_argument_is_on_the_page_with_its_own_words() {
    let page = page();
    for command in CommandLine::command().get_subcommands() {
        let section = section(&page, &format!("chameleon {}", command.get_name()));
        let about = command.get_about().expect("a command says what it does").to_string();
        assert!(section.contains(&about), "{}: {about}", command.get_name());
        for argument in arguments(command).into_iter().filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().expect("an argument says what it does").to_string();
            let line = format!("| `{}` | {} |", typed(argument).replace('|', "\\|"), help.replace('|', "\\|"));
            assert!(section.contains(&line), "{} lacks the line\n{line}", command.get_name());
        }
    }
}

#[test]
fn the_page_has_no_command_and_no_argument_that_is_not_there() {
    let page = page();
    let command = CommandLine::command();
    let known: BTreeSet<String> = command
        .get_subcommands()
        .flat_map(|command| {
            arguments(command).into_iter().map(|argument| format!("`{}`", typed(argument).replace('|', "\\|")))
        })
        .collect();
    for heading in page.lines().filter_map(|line| line.strip_prefix("## chameleon ")) {
        assert!(command.find_subcommand(heading).is_some(), "there is no command {heading}");
        let rows = section(&page, &format!("chameleon {heading}")).lines().filter(|line| line.starts_with("| `"));
        for row in rows {
            let name = row.split(" | ").next().unwrap_or_default().trim_start_matches("| ");
            assert!(known.contains(name), "{heading}: {row}");
        }
    }
}

/// The keys of a JSON object, as the page lists them.
fn keys_on_the_page(heading: &str) -> BTreeSet<String> {
    let page = page();
    let rows = section(&page, heading).lines().filter_map(|line| line.strip_prefix("- `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn the_keys_of_json_are_those_on_the_page() {
    let (job, armor, event, report) = samples::all();
    let status = crate::status_file::Status { exit_code: 0, job: None, ending: None, failure: None, faults: 0 };
    let table = [
        ("JSON of ps", ps::json_of(&job)),
        ("JSON of armors", armors::json_of(&armor)),
        ("JSON of hosts", hosts::json_of(&samples::host())),
        ("JSON of ftm status", crate::reign::json_of(None, None)),
        ("JSON of doctor", crate::doctor::json_of(&samples::examined())),
        ("JSON of backup", crate::store::json_of(&samples::backup())),
        ("JSON of restore", crate::store::json_of_restore(0, &samples::restored())),
        ("JSON of ftm recover", crate::store::json_of_recovery(&samples::recovered())),
        ("JSON of a profile", host::profile_json(&chameleon_core::profile::Profile::default())),
        ("JSON of events", events::json_of(&event)),
        ("JSON of report", crate::story::json(&report)),
        ("JSON of strategies", strategies::json_of(&strategies::find("tmr").unwrap())),
        ("JSON of result", result::json_of(&job, 0, b"")),
        ("JSON of cancel", cancel::json_of(job.job, &chameleon_core::message::Outcome::Deadline)),
        ("JSON of resolve", resolve::json_of(job.job, &samples::resolution())),
        ("JSON of logs", logs::json_of(&samples::pack())),
        ("The status file", status.json()),
    ];
    for (heading, object) in table {
        assert_eq!(keys(&object), keys_on_the_page(heading), "{heading}");
    }
}

#[test]
fn the_definitions_fit_together() {
    CommandLine::command().debug_assert();
}

#[test]
fn the_help_says_what_the_commands_are() {
    let mut command = CommandLine::command().term_width(100);
    insta::assert_snapshot!(command.render_help().to_string(), @r#"
    Results you can trust from machines you can't: runs unmodified programs and makes them dependable
    from the outside

    Usage: chameleon [OPTIONS] <COMMAND>

    Commands:
      run         Run a program, or a job file, as the shell would, with redundancy behind it
      submit      Hand a job file to the standing system and print the job's number
      dev         Start a standing local system
      ftm         Make this host a candidate for the FTM, or make a cluster
      daemon      Make this machine a host of a cluster
      token       Let others into the cluster
      login       Get an identity in a cluster, to use it from here
      revoke      Let a host or a person into the cluster no more
      down        End the standing system; nothing is left running
      ps          List jobs, in the order in which they were submitted
      status      Show one job
      armors      List ARMORs, the processes that run and guard jobs
      hosts       List hosts, with what runs there
      host        Show one host, or say how it is to be used
      move        Let one ARMOR of a running job go on on another host
      events      List what happened
      report      Tell each fault of a job as a story, what the job cost, and what could not be noticed
      result      Print the decided standard output of a job
      logs        Print what the lanes of a job printed, decided or not
      cancel      End a job without a result
      unresolved  List jobs that may have run and must not run twice, until a person has looked
      resolve     Say what became of a job whose outcome is unknown
      forget      Drop an ended job with all its output
      doctor      Compare what the FTM says with what is there, on every host of this home
      backup      Write what the FTM knows into one file
      restore     Make a backup the store of this home
      strategies  List and explain strategies

    Options:
          --home <DIRECTORY>  Where the system keeps everything; several live side by side [default:
                              $CHAMELEON_HOME, else ~/.local/state/chameleon]
      -h, --help              Print help
      -V, --version           Print version

    Exit codes: the program's own; 122 outcome unknown; 123 no trustworthy result; 124 deadline; 125
    Chameleon failed; 126 and 127 the program could not be started.
    "#);
}

/// One of each.
mod samples {
    use crate::doctor::Examined;
    use chameleon_core::message::{
        ArmorRow, ArmorState, EventRow, HostRow, HostState, JobRow, Occurrence, Resolution, Story,
    };
    use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, LaneId, Millis, SlotId};
    use chameleon_core::report::Report;
    use chameleon_node::backup::{Backup, Done, Recovered};
    use chameleon_node::bulk::Stream;
    use chameleon_node::bulk::frame::Pack;

    pub fn resolution() -> Resolution {
        Resolution { happened: true, who: "me".to_owned(), note: "seen".to_owned(), forced: false, unix_ms: 0 }
    }

    pub fn backup() -> Backup {
        let (cluster, candidates, records) = (None, None, Vec::new());
        Backup { taken_unix_ms: 0, written_by: String::new(), hosts: vec![HostId(1)], cluster, candidates, records }
    }

    pub fn examined() -> Examined {
        Examined { found: vec![], elsewhere: vec![] }
    }

    pub fn restored() -> Done {
        Done { ended: vec![JobId(1)], aside: None }
    }

    pub fn recovered() -> Recovered {
        let (survivor, ended) = ("m2".to_owned(), vec![JobId(1)]);
        Recovered::Rebuilt { survivor, known_until_unix_ms: None, ended, aside: None }
    }

    pub fn pack() -> super::logs::Output {
        let pack = Pack { lane: LaneId(0), slot: SlotId(0), stream: Stream::Out, length: 1 };
        super::logs::Output { host: HostId(1), pack, path: "out.pack".into() }
    }

    pub fn host() -> HostRow {
        HostRow {
            host: HostId(1),
            state: HostState::Up,
            since_unix_ms: 0,
            jobs: 0,
            armors: 0,
            lanes: 0,
            cores: 1,
            platform: String::new(),
            numeric_class: String::new(),
            entry: None,
        }
    }

    pub fn all() -> (JobRow, ArmorRow, EventRow, Report) {
        let job = JobRow {
            job: JobId(1),
            name: "sum".to_owned(),
            strategy: "tmr".to_owned(),
            submitted_unix_ms: 0,
            ended_unix_ms: None,
            outcome: None,
            waits_for: None,
            resolution: None,
        };
        let armor = ArmorRow {
            name: ArmorName::Ftm,
            host: HostId(1),
            pid: 1,
            incarnation: Incarnation(1),
            state: ArmorState::Running,
        };
        let occurrence = Occurrence { unix_ms: 0, boot: Millis(0), noticed_by: ArmorName::Ftm, story: Story::Accepted };
        let event = EventRow { number: 0, job: None, occurrence };
        let report = Report {
            job: JobId(1),
            name: "sum".to_owned(),
            strategy: "tmr".to_owned(),
            outcome: None,
            unnoticed_injections: vec![],
            injected: false,
            faults: vec![],
            remarks: vec![],
            cost: None,
            limits: vec![],
        };
        (job, armor, event, report)
    }
}
