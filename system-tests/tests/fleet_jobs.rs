//! Jobs on hosts that have a network between them, and nobody is hurt: every host has an address, a home and
//! processes of its own, and everything that they say to each other goes over TLS.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use chameleon_system_tests::{Fleet, Trial, eventually, network};
use rustix::process::Signal;

const RUNS_WITHIN: Duration = Duration::from_secs(60);

fn job(strategy: &str, stages: &[&str]) -> String {
    let stages = stages.iter().map(|name| {
        format!(
            "[[stage]]\nname = \"{name}\"\ncommand = [\"sh\", \"-c\", \"sleep 1; echo {name}\"]\nfiles = \"none\"\n"
        )
    });
    format!("[job]\nname = \"{strategy}\"\nstrategy = \"{strategy}\"\n{}", stages.collect::<String>())
}

/// On how many hosts lanes of a job run at a time.
fn spread(fleet: &Fleet<'_>, id: &str) -> usize {
    fleet.hosts_of("execution", id).into_iter().collect::<BTreeSet<String>>().len()
}

#[test]
fn jobs_run_under_every_strategy_on_five_hosts() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, 5);
    for (strategy, lanes) in [("single", 1), ("dual", 2), ("tmr", 3)] {
        // From a host that is not the FTM's.
        let id = fleet.submit(4, &job(strategy, &["s"]));
        eventually(&format!("{strategy} is spread"), RUNS_WITHIN, || (spread(&fleet, &id) == lanes).then_some(()));
        let ended = fleet.await_end(&id);
        assert_eq!(ended["state"], "result", "{strategy}: {ended}");
    }
    fleet.down();
}

#[test]
fn a_pipeline_of_three_stages_goes_over_several_hosts() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, 5);
    let id = fleet.submit(1, &job("tmr", &["one", "two", "three"]));
    eventually("it is spread", RUNS_WITHIN, || (spread(&fleet, &id) == 3).then_some(()));
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}");
    fleet.down();
}

/// A job of many short tasks, each on three hosts.
fn long() -> String {
    job("tmr", &["s"]).replace("sleep 1", "sleep 0.1").replace("files =", "tasks = \"0..60\"\nfiles =")
}

#[test]
fn no_link_ends_with_a_daemon_and_no_job_with_the_ftm() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, 3);
    let id = fleet.submit(1, &long());
    eventually("it is spread", RUNS_WITHIN, || (spread(&fleet, &id) == 3).then_some(()));
    for name in ["daemon-h2", "daemon-h3", "ftm"] {
        let armors = fleet.armors();
        let armor = armors.iter().find(|armor| armor.id == name).expect("it runs");
        armor.process().expect("it runs").signal(Signal::KILL).expect("it is killed");
    }
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}");
    eventually("all are back", RUNS_WITHIN, || {
        let armors = fleet.armors();
        let back = ["daemon-h2", "daemon-h3", "ftm"].iter().all(|name| {
            armors.iter().any(|armor| armor.id == *name && armor.incarnation == 2 && armor.state == "running")
        });
        back.then_some(())
    });
    let told = fleet.on(1, &["events", &id]).run().exits(0);
    assert!(!told.out().contains("execution-"), "no lane has noticed: {told}");
    fleet.down();
}

#[test]
fn lost_packets_cost_time_and_nothing_else() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, 3);
    fleet.network().lose(10);
    let id = fleet.submit(1, &long());
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}");
    fleet.network().heal();
    fleet.down();
}

#[test]
fn hosts_are_killed_frozen_and_thawed_whole() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let mut fleet = Fleet::wired(&trial, 3);
    let others = fleet.processes(3);
    fleet.freeze(2);
    assert!(fleet.processes(2).iter().all(|process| process.state == 'T'));
    fleet.thaw(2);
    eventually("it goes on", RUNS_WITHIN, || {
        fleet.processes(2).iter().all(|process| process.state != 'T').then_some(())
    });
    fleet.kill(2);
    assert!(fleet.processes(2).is_empty());
    assert!(others.iter().all(chameleon_system_tests::Process::runs), "nobody else is hurt");
    // After a reboot it is who it was, and needs no new token.
    let again = fleet.start_again(2);
    assert!(again.err().contains("host/h2"), "{again}");
    eventually("it is heard of in its next life", RUNS_WITHIN, || {
        fleet.daemon(2).filter(|daemon| daemon.incarnation == 2)
    });
    fleet.down();
}

#[test]
fn files_and_inputs_go_to_another_machine_and_results_come_back() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, 3);
    trial.write("in.txt", "what is read\n");
    trial.write("tool", "#!/bin/sh\necho by a tool\n");
    fs::set_permissions(trial.directory().join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let job = "[job]\nname = \"t\"\nstrategy = \"tmr\"\n[placement]\ndistinct = [\"host\"]\n[[stage]]\nname = \"s\"\n\
        inputs = [\"in.txt\"]\ncommand = [\"sh\", \"-c\", \"cat in.txt; echo made > made\"]\n\
        [[stage]]\nname = \"again\"\nstdin = { stage = \"s\" }\nfiles = \"none\"\n\
        command = [\"sh\", \"-c\", \"./tool; cat - made\"]\n";
    // From a host that is not the FTM's.
    let id = fleet.submit(2, job);
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}");
    assert_eq!(trial.read("made"), b"made\n");
    let expected = "what is read\nby a tool\nwhat is read\nmade\n";
    assert_eq!(fleet.on(2, &["result", &id]).run().exits(0).out(), expected);
    let on_host = |host: u16| fleet.home(host).join(format!("hosts/h{host}/jobs/{id}"));
    for host in [1, 3] {
        let copy = on_host(host).join("mirror-0").join(trial.directory().strip_prefix("/").unwrap()).join("in.txt");
        assert_eq!(fs::read(&copy).unwrap(), b"what is read\n", "{} came to h{host}", copy.display());
        assert!(!fleet.home(host).join("links/bulk-h2").exists(), "not by a way that they share");
    }
    // What the winner nearest to the user has is lost: another host gives it.
    for lane in fs::read_dir(on_host(2)).unwrap().flatten().filter(|entry| entry.path().join("slot-0").exists()) {
        let _ = fs::remove_file(lane.path().join("slot-0/out.pack"));
    }
    assert_eq!(fleet.on(2, &["result", &id]).run().exits(0).out(), expected);
    let refused = fleet.on(3, &["logs", &id, "--json"]).run().exits(0).json();
    assert!(refused.as_array().is_some_and(|packs| !packs.is_empty()), "who serves it may look: {refused}");
    fleet.down();
}
