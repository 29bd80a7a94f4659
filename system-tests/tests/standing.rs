//! A standing local system: jobs are handed to it, looked at, cancelled, and nothing is left of it.

use std::time::Duration;

use chameleon_system_tests::processes::Process;
use chameleon_system_tests::{Trial, eventually};
use rustix::process::Signal;

fn job(name: &str, script: &str) -> String {
    format!(
        "[job]\nname = \"{name}\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n"
    )
}

#[test]
fn jobs_are_submitted_waited_for_listed_in_order_and_their_results_kept() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let first = system.submit(&job("first", "sleep 0.3; echo one; echo x > made"));
    let second = system.submit_and_wait(&job("second", "echo two; exit 3")).exits(3);
    assert!(second.out().trim().starts_with('j'), "the id comes first: {second}");
    let _ = system.await_end(&first);
    let rows = system.json(&["ps", "--all"]);
    let names: Vec<&str> = rows.as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["first", "second"], "in order of submission");
    assert_eq!(rows[0]["job"], first.as_str());
    assert_eq!((&rows[0]["exit_code"], &rows[1]["exit_code"]), (&0.into(), &3.into()));
    assert_eq!(system.command(&["result", &first]).run().exits(0).out(), "one\n");
    assert_eq!(trial.read("made"), b"x\n");
    assert_eq!(system.json(&["ps"]).as_array().map(Vec::len), Some(0), "only --all lists what has ended");
    system.down();
}

#[test]
fn every_process_that_runs_or_guards_a_job_is_listed_with_its_keys() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let id = system.submit(&job("long", "sleep 30"));
    let kinds = ["daemon", "execution", "ftm", "surrogate", "voter"];
    let armors = eventually("all ARMORs of the job run", Duration::from_secs(10), || {
        let armors = system.armors();
        let runs = |kind: &&str| armors.iter().any(|armor| armor.kind == *kind && armor.state == "running");
        kinds.iter().all(runs).then_some(armors)
    });
    assert_eq!(armors.iter().filter(|armor| armor.kind == "execution").count(), 3, "a lane is an Execution");
    for armor in &armors {
        assert_eq!(armor.host, "h1", "{armor:?}");
        assert!(trial.processes().iter().any(|process| process.pid == armor.pid), "{armor:?}");
        let serves = !matches!(armor.kind.as_str(), "ftm" | "daemon");
        assert_eq!(armor.job.as_deref(), serves.then_some(id.as_str()), "{armor:?}");
    }
    let _ = system.command(&["cancel", &id]).run().exits(0);
    assert_eq!(system.await_end(&id)["state"], "cancelled");
    eventually("the job's ARMORs are retired", Duration::from_secs(10), || {
        system.armors().iter().all(|armor| armor.job.is_none()).then_some(())
    });
    system.down();
}

#[test]
fn events_are_followed_while_they_happen_and_a_report_tells_the_fault() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let text = job("crashes", "if [ -e once ]; then echo fine; else sleep 0.2; echo fine; fi");
    let id = system.submit(&text);
    let follow = system.command(&["events", &id, "--follow", "--json"]).start();
    let _ = system.await_end(&id);
    let events = system.command(&["events", &id, "--json"]).run().exits(0).out();
    assert!(events.lines().count() >= 3, "accepted, began, ended at least: {events}");
    let followed = follow.wait().exits(0).out();
    assert!(followed.lines().count() >= 3, "{followed}");
    let report = system.command(&["report", &id]).run().exits(0).out();
    assert!(report.contains("execution"), "it tells the cost: {report}");
    assert!(report.contains("could not"), "it tells what it could not have noticed: {report}");
    let _ = system.json(&["report", &id]);
    let logs = system.command(&["logs", &id, "--lane", "1"]).run().exits(0);
    assert!(logs.out().contains("fine\n"), "{logs}");
    assert_eq!(system.json(&["status", &id])["state"], "result");
    system.down();
}

#[test]
fn several_systems_live_side_by_side() {
    let (one, other) = (Trial::new(), Trial::new());
    let (first, second) = (one.stand(1), other.stand(2));
    let _ = first.submit(&job("in-one", "true"));
    assert_eq!(second.json(&["ps", "--all"]).as_array().map(Vec::len), Some(0));
    let hosts: std::collections::BTreeSet<String> = second.armors().into_iter().map(|armor| armor.host).collect();
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), ["h1", "h2"], "each host has its daemon");
    first.down();
    let finished = second.submit_and_wait(&job("in-other", "echo still here")).exits(0);
    let id = finished.out().lines().next().unwrap_or_default().trim().to_owned();
    assert_eq!(second.command(&["result", &id]).run().exits(0).out(), "still here\n");
    second.down();
}

#[test]
fn a_run_uses_the_standing_system_and_leaves_it_standing() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let before: Vec<i32> = system.armors().iter().map(|armor| armor.pid).collect();
    let run = trial.run("-- echo through it").run().exits(0);
    assert_eq!(run.out(), "through it\n");
    assert_eq!(system.json(&["ps", "--all"]).as_array().map(Vec::len), Some(1), "the system has the job");
    let after: Vec<i32> = system.armors().iter().map(|armor| armor.pid).collect();
    assert!(before.iter().all(|pid| after.contains(pid)), "{before:?} {after:?}");
    system.down();
}

#[test]
fn a_run_through_a_standing_system_has_the_umask_of_its_command() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let chameleon = chameleon_system_tests::binary::chameleon();
    let script = "umask 027; exec \"$0\" run -- sh -c umask";
    let run = trial.program("sh").args(["-c", script]).args([chameleon]).env("CHAMELEON_HOME", trial.home()).run();
    assert_eq!(run.exits(0).out(), "0027\n");
    system.down();
}

#[test]
fn a_home_keeps_its_hosts() {
    let trial = Trial::new();
    trial.stand(2).down();
    let fewer = trial.chameleon(["dev", "--detach", "--hosts", "1"]).run().exits(125);
    assert!(fewer.err().contains("2 hosts"), "{fewer}");
    let again = trial.chameleon(["dev", "--detach"]).run().exits(0);
    assert!(again.err().contains("2 hosts"), "{again}");
    let _ = trial.chameleon(["down"]).run().exits(0);
}

#[test]
fn a_standing_system_remembers_its_jobs_after_down_and_up() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let id = system.submit(&job("kept", "echo kept"));
    let _ = system.await_end(&id);
    system.down();
    let system = trial.stand(1);
    assert_eq!(system.job(&id)["state"], "result");
    assert_eq!(system.command(&["result", &id]).run().exits(0).out(), "kept\n");
    system.down();
}

#[test]
fn an_ended_job_can_be_forgotten_with_its_output() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let id = system.submit(&job("forgotten", "echo x"));
    let _ = system.await_end(&id);
    let _ = system.command(&["forget", &id]).run().exits(0);
    assert_eq!(system.json(&["ps", "--all"]).as_array().map(Vec::len), Some(0));
    let _ = system.command(&["result", &id]).run().exits(125);
    system.down();
}

#[test]
fn hosts_are_looked_over_soon_after_they_join() {
    let trial = Trial::new();
    let system = trial.stand(2);
    let hosts = eventually("both hosts were looked over", Duration::from_secs(60), || {
        let hosts = system.json(&["hosts"]).as_array().cloned().unwrap_or_default();
        let found = hosts.len() == 2 && hosts.iter().all(|host| host["cores"].as_u64().is_some_and(|cores| cores > 0));
        found.then_some(hosts)
    });
    assert_eq!(hosts[0]["numeric_class"], hosts[1]["numeric_class"], "both are this machine");
    assert_eq!((hosts[0]["state"].as_str(), hosts[0]["jobs"].as_u64()), (Some("up"), Some(0)));
    let shown = system.json(&["host", "show", "h2"]);
    let profile = &shown["profile"];
    assert!(profile["architecture"].as_str().is_some_and(|name| !name.is_empty()), "{shown}");
    assert!(profile["clock"]["bound_ms"].as_u64().is_some_and(|bound| bound > 0), "{shown}");
    assert!(profile["tools"].is_array() && profile["numeric_findings"].is_array(), "{shown}");
    let _ = system.command(&["host", "show", "h7"]).run().exits(125);
    eventually("the Init ARMORs are retired", Duration::from_secs(20), || {
        system.armors().iter().all(|armor| armor.kind != "init").then_some(())
    });
    system.down();
}

#[test]
fn the_owner_of_a_host_keeps_everybody_out_and_jobs_run_elsewhere() {
    let trial = Trial::new();
    let system = trial.stand(2);
    std::fs::write(trial.home().join("hosts/h2/policy.toml"), "acept = \"nothing\"\n").unwrap();
    eventually("h2 says that its policy is refused", Duration::from_secs(30), || {
        let events = system.command(&["events"]).run().exits(0);
        events.out().contains("policy.toml:1:1: unknown key `acept`").then_some(())
    });
    let id = system.submit(&job("elsewhere", "echo elsewhere"));
    assert_eq!(system.await_end(&id)["state"], "result");
    assert_eq!(system.command(&["result", &id]).run().exits(0).out(), "elsewhere\n");
    let told = system.command(&["events", &id]).run().exits(0);
    assert!(told.out().contains("the policy of h2 cannot be read"), "{told}");
    system.down();
}

#[test]
fn a_wish_that_no_host_meets_is_refused_with_the_reason() {
    let trial = Trial::new();
    let system = trial.stand(2);
    let text = job("apart", "true").replace("[[stage]]", "[placement]\ndistinct = [\"host\"]\n[[stage]]");
    let file = system.job_file(&text);
    let refused = system.command(&["submit"]).args([file]).run().exits(125);
    assert!(refused.err().contains("2 of 3 lanes would have a place"), "{refused}");
    system.down();
}

fn children(pid: i32) -> Vec<Process> {
    let pids = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    pids.split_whitespace().filter_map(|pid| Process::of(pid.parse().ok()?)).collect()
}

/// Nobody has a link to it, and its own ARMORs wait for their greeting: who holds the lock of the host is known all the same.
#[test]
fn a_daemon_that_hangs_before_it_greets_anybody_is_replaced() {
    if !cfg!(target_arch = "x86_64") {
        chameleon_system_tests::skip("a spin is known for x86-64 only");
        return;
    }
    let trial = Trial::new();
    let system = trial.stand(1);
    let daemons = || trial.processes().into_iter().filter(|process| process.role() == Some("daemon"));
    let first = daemons().next().expect("a standing system has a daemon");
    let ftm = system.armors().into_iter().find(|armor| armor.kind == "ftm").expect("and an FTM").pid;
    first.signal(Signal::KILL).expect("it runs");
    // Without a pause, as it has few milliseconds until it greets its first ARMOR: the FTM starts it.
    let spins = |process: &Process| process.role() == Some("daemon") && process.spin().is_ok();
    let mut children = std::iter::repeat_with(|| children(ftm)).take(1_000_000).flatten();
    let second = children.find(spins).expect("the FTM starts another daemon");
    let third = eventually("the one that spins is replaced", Duration::from_secs(60), || {
        daemons().find(|process| process.pid != first.pid && process.pid != second.pid)
    });
    let registered = || system.armors().into_iter().find(|armor| armor.kind == "daemon" && armor.state == "running");
    eventually("the registry knows the third", Duration::from_secs(10), || {
        registered().filter(|daemon| daemon.pid == third.pid)
    });
    let _ = system.submit_and_wait(&job("after", "echo done")).exits(0);
    system.down();
}

/// Stops every process of the only host and kills all of them but the daemon, which nobody guards then.
fn leave_a_stopped_daemon(system: &chameleon_system_tests::Standing<'_>) {
    let daemon = system.armors().into_iter().find(|armor| armor.kind == "daemon").unwrap().pid;
    let others = system.freeze("h1").into_iter().filter(|process| process.pid != daemon);
    others.for_each(|process| drop(process.signal(Signal::KILL)));
}

#[test]
fn a_system_is_ended_though_its_daemon_is_stopped_and_nobody_guards_it() {
    let trial = Trial::new();
    let system = trial.stand(1);
    leave_a_stopped_daemon(&system);
    system.down();
}

#[test]
fn a_system_whose_daemon_was_stopped_while_it_ended_is_started_again() {
    let trial = Trial::new();
    let system = trial.stand(1);
    leave_a_stopped_daemon(&system);
    std::fs::write(trial.home().join("stopping"), []).unwrap();
    system.abandon();
    let system = trial.stand(1);
    assert_eq!(trial.run("-- echo again").run().exits(0).out(), "again\n");
    system.down();
}

#[test]
fn of_two_jobs_with_one_mutex_the_second_waits_and_has_the_higher_token() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let with_mutex = |name: &str, script: &str| job(name, script).replace("strategy", "mutex = \"ledger\"\nstrategy");
    let first = system.submit(&with_mutex("first", "sleep 100"));
    let second = system.submit(&with_mutex("second", "echo $CHAMELEON_FENCING_TOKEN"));
    let beside = system.submit_and_wait(&job("beside", "echo ${CHAMELEON_FENCING_TOKEN-none}")).exits(0);
    let beside = beside.out().lines().next().unwrap_or_default().trim().to_owned();
    assert_eq!(system.command(&["result", &beside]).run().exits(0).out(), "none\n");
    let waits = system.job(&second)["waits_for"].as_str().unwrap_or_default().to_owned();
    assert_eq!(waits, format!("for the mutex \"ledger\", which {first} holds"));
    let _ = system.command(&["cancel", &first]).run().exits(0);
    let _ = system.await_end(&second);
    assert_eq!(system.command(&["result", &second]).run().exits(0).out(), "2\n");
    system.down();
}
