//! What a person types and sees, with the real binary and real systems.

mod person;

use person::{CHAMELEON, Person, await_that, code, text};
use serde_json::Value;

const SUM: &str = r#"
[job]
name = "sum"
strategy = "tmr"

[[stage]]
name = "s"
command = ["sh", "-c", "echo task {task}"]
tasks = "0..3"
"#;

fn json(person: &Person, arguments: &[&str]) -> Value {
    let output = person.types(arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", text(&output.stderr)))
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_none() {
    let person = Person::new();
    let table = [
        ("$C run -- echo hi >/dev/full", 125, "No space left"),
        ("$C run -- echo hi >&-", 125, "Bad file descriptor"),
        ("$C run -- true >&-", 0, ""),
    ];
    for (script, exit, sentence) in table {
        let output = person.shell(script);
        assert_eq!(code(&output), exit, "{script}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(sentence), "{script}: {}", text(&output.stderr));
    }
    let output = person.shell("$C run -- yes | head -n 2; echo ${PIPESTATUS[0]}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("y\ny\n141\n".to_owned(), String::new()));
    person.assert_nothing_is_left();
}

#[test]
fn a_signal_cancels_and_leaves_nothing() {
    let person = Person::new();
    for (signal, exit) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        // The program says that it runs; then the command is asked to end.
        let script = format!(
            "rm -f out; set -m; $C run -- sh -c 'echo runs; exec sleep 100' >out & \
             until grep -q runs out 2>/dev/null; do sleep 0.02; done; kill -{signal} $!; wait $!"
        );
        let output = person.shell(&script);
        assert_eq!(code(&output), exit, "{signal}: {}", text(&output.stderr));
    }
    person.assert_nothing_is_left();
}

#[test]
fn a_nondeterministic_program_is_no_result_and_its_first_difference_is_shown() {
    let person = Person::new();
    let output = person.types(&["run", "--hold", "--", "sh", "-c", "echo same; date +%N"]);
    let told = text(&output.stderr);
    assert_eq!((code(&output), output.stdout.len()), (123, 0), "{told}");
    ["nondeterministic program", "first difference at byte", "(line 2)"]
        .iter()
        .for_each(|expected| assert!(told.contains(expected), "{expected}: {told}"));
}

#[test]
fn what_was_typed_wrong_is_refused_with_125_and_a_sentence() {
    let person = Person::new();
    std::fs::write(person.directory().join("job.toml"), "[job]\nname = \"x\"\nstrategy = \"tmrr\"\n").unwrap();
    let table: [(&[&str], &str); 7] = [
        (&["run"], "there is nothing to run"),
        (&["run", "sort"], "chameleon run -- sort"),
        (&["run", "--replicas", "x", "--", "true"], "invalid digit"),
        (&["run", "--quorum", "9", "--", "true"], "quorum"),
        (&["run", "--inject", "flip", "--", "true"], "KIND:LANE"),
        (&["run", "job.toml"], "did you mean \"tmr\"?"),
        (&["ps"], "chameleon dev --detach"),
    ];
    for (arguments, sentence) in table {
        let output = person.types(arguments);
        let told = text(&output.stderr);
        assert_eq!(code(&output), 125, "{arguments:?}: {told}");
        assert!(told.contains(sentence), "{arguments:?}: {told}");
    }
    let output = person.shell("$C run -- cat </");
    assert!(code(&output) == 125 && text(&output.stderr).contains("directory"), "{}", text(&output.stderr));
    assert_eq!(code(&person.command(CHAMELEON).arg("--help").output().unwrap()), 0);
}

#[test]
fn a_submitted_job_is_listed_explained_and_its_result_kept() {
    let person = Person::new();
    let _standing = person.stands();
    std::fs::write(person.directory().join("job.toml"), SUM).unwrap();
    let output = person.types(&["submit", "job.toml", "--wait"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "j1\n"), "{}", text(&output.stderr));
    let tasks = "task 0\ntask 1\ntask 2\n";
    assert_eq!(text(&person.types(&["result", "j1"]).stdout), tasks);
    assert_eq!(json(&person, &["result", "j1", "--json"])["stdout"], tasks);
    assert_eq!(text(&person.types(&["logs", "j1", "--lane", "1"]).stdout), tasks);
    assert_eq!(json(&person, &["status", "j1", "--json"])["stages"][0]["tasks"]["end"], 3);
    let report = text(&person.types(&["report", "j1"]).stdout);
    assert!(report.contains("Cost: ") && report.contains("could not have noticed"), "{report}");
    let events = text(&person.types(&["events", "j1", "--follow", "--json"]).stdout);
    let words: Vec<Value> =
        events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect();
    assert_eq!((&words[0], words.last().unwrap()), (&Value::from("accepted"), &Value::from("ended")));
    assert_eq!(code(&person.types(&["forget", "j1"])), 0);
    assert_eq!(code(&person.types(&["result", "j1"])), 125);
}

#[test]
fn jobs_are_listed_in_order_and_a_running_one_can_be_cancelled() {
    let person = Person::new();
    let _standing = person.stands();
    std::fs::write(person.directory().join("quick.toml"), SUM).unwrap();
    std::fs::write(person.directory().join("slow.toml"), SUM.replace("echo task {task}", "sleep 100; : {task}"))
        .unwrap();
    for file in ["quick.toml", "slow.toml", "quick.toml"] {
        assert_eq!(code(&person.types(&["submit", file])), 0);
    }
    let states = || -> Vec<(String, String)> {
        let rows = json(&person, &["ps", "--all", "--json"]);
        let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        rows.as_array().unwrap().iter().map(|row| (word(row, "job"), word(row, "state"))).collect()
    };
    let expected = |second: &str| ["result", second, "result"].map(str::to_owned);
    await_that("the quick ones have ended", || states().into_iter().map(|(_, state)| state).eq(expected("running")));
    assert_eq!(states().into_iter().map(|(job, _)| job).collect::<Vec<_>>(), ["j1", "j2", "j3"]);
    assert_eq!(code(&person.types(&["result", "j2"])), 125, "it still runs");
    assert_eq!(text(&person.types(&["cancel", "j2"]).stdout), "j2 cancelled\n");
    assert_eq!(code(&person.types(&["result", "j2"])), 143, "it has no result");
    assert_eq!(text(&person.types(&["ps"]).stdout).lines().count(), 1, "none runs any more");
}

#[test]
fn run_uses_the_standing_system_and_armors_are_seen() {
    let person = Person::new();
    let _standing = person.stands();
    let output = person.types(&["run", "--", "echo", "hello"]);
    assert_eq!(text(&output.stdout), "hello\n", "{}", text(&output.stderr));
    assert_eq!(json(&person, &["ps", "--all", "--json"])[0]["name"], "echo");
    let armors = json(&person, &["armors", "--json"]);
    let kinds: Vec<&str> = armors.as_array().unwrap().iter().filter_map(|armor| armor["kind"].as_str()).collect();
    assert!(kinds.contains(&"ftm") && kinds.contains(&"daemon"), "{armors}");
    let users = std::fs::read_dir(person.home().join("links")).unwrap().flatten();
    let users = users.filter(|entry| entry.file_name().to_string_lossy().starts_with("user-"));
    assert_eq!(users.count(), 0, "a command leaves no name behind");
}

#[test]
fn a_fault_injected_into_the_system_reaches_its_jobs_and_ends_with_it() {
    let person = Person::new();
    assert_eq!(code(&person.types(&["dev", "--detach", "--inject", "flip:1"])), 0);
    let output = person.types(&["run", "--", "echo", "result"]);
    assert_eq!(text(&output.stdout), "result\n");
    assert!(text(&output.stderr).contains("INJECTED on purpose"), "{}", text(&output.stderr));
    assert_eq!(code(&person.types(&["down"])), 0);
    let _standing = person.stands();
    assert_eq!(text(&person.types(&["run", "--", "echo", "result"]).stderr), "");
}

#[test]
fn a_line_that_the_lanes_agree_on_is_seen_while_they_still_run() {
    let person = Person::new();
    let script = "set -m; $C run -- sh -c 'echo first; exec sleep 100' >out & \
                  until grep -q first out 2>/dev/null; do sleep 0.02; done; kill -TERM $!; wait $!";
    assert_eq!(code(&person.shell(script)), 143);
}
