//! A standing system: jobs are submitted, seen, cancelled and forgotten, and `down` leaves nothing.

mod person;

use person::{Person, await_that, code, text};
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
fn a_submitted_job_is_listed_explained_and_its_result_kept() {
    let person = Person::new();
    let _standing = person.stands();
    std::fs::write(person.directory().join("job.toml"), SUM).unwrap();
    let output = person.types(&["submit", "job.toml", "--wait"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "j1\n"), "{}", text(&output.stderr));
    let tasks = "task 0\ntask 1\ntask 2\n";
    assert_eq!(text(&person.types(&["result", "j1"]).stdout), tasks);
    assert_eq!(json(&person, &["result", "j1", "--json"])["stdout"], tasks);
    assert_eq!(
        text(&person.types(&["logs", "j1", "--lane", "1"]).stdout),
        format!("==> lane l1 slot 0 stdout <==\n{tasks}\n")
    );
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
fn two_systems_do_not_share_a_home_and_a_foreign_directory_is_left_alone() {
    let person = Person::new();
    let _standing = person.stands();
    let second = person.types(&["dev", "--detach"]);
    assert_eq!(code(&second), 125);
    assert!(text(&second.stderr).contains("runs at"), "{}", text(&second.stderr));
    std::fs::write(person.directory().join("thesis"), "x").unwrap();
    let foreign = person.types(&["--home", person.directory().to_str().unwrap(), "dev", "--detach"]);
    assert_eq!(code(&foreign), 125, "{}", text(&foreign.stderr));
    assert_eq!(std::fs::read_dir(person.directory()).unwrap().count(), 1);
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
fn notice_is_given_of_a_fault() {
    let person = Person::new();
    let _standing = person.stands();
    let notify = format!("cat >>{}/notices", person.directory().display());
    let arguments = ["run", "--notify", &notify, "--inject", "kill:0", "--", "sleep", "0.2"];
    assert_eq!(code(&person.types(&arguments)), 0);
    let notices = person.directory().join("notices");
    await_that("a notice is delivered", || std::fs::read_to_string(&notices).is_ok_and(|text| text.contains("l0")));
}
