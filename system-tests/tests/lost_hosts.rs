//! Hosts of a standing system that are lost: every process of one is killed or stopped at once, and the jobs end right.

use std::time::Duration;

use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Standing, Trial, eventually};
use rustix::process::Signal;

/// How long a lost host may go unnoticed on a machine that is busy with other tests.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// A job of two tasks: a short one, of which nobody says a ballot before the file `go` is there, and a long one.
fn job(strategy: &str, go: &str, poison: &str) -> String {
    let script = format!(
        "if [ $1 = 0 ]; then until [ -e {go} ]; do sleep 0.05; done; cat {poison} 2>/dev/null || echo right; \
         else sleep 3; echo end; fi"
    );
    format!(
        "[job]\nname = \"outlives-a-host\"\nstrategy = \"{strategy}\"\n[[stage]]\nname = \"s\"\ntasks = \"0..2\"\n\
         command = [\"sh\", \"-c\", '''{script}''', \"sh\", \"{{task}}\"]\n"
    )
}

/// Waits until all lanes of a job run, and returns one that shares its host with no ARMOR that its job cannot do without,
/// nor with the FTM.
fn lane_alone(system: &Standing<'_>, hosts: u16, lanes: usize) -> Armor {
    let armors = eventually("all lanes run", NOTICED_WITHIN, || {
        let armors = system.armors();
        let runs = |armor: &&Armor| armor.kind == "execution" && armor.state == "running";
        let beats = armors.iter().filter(|armor| armor.kind == "heartbeat" && armor.state == "running").count();
        (armors.iter().filter(runs).count() == lanes && beats == usize::from(hosts)).then_some(armors)
    });
    let vital = |armor: &Armor| matches!(armor.kind.as_str(), "ftm" | "surrogate" | "voter");
    let is_alone = |armor: &Armor| !armors.iter().any(|other| vital(other) && other.host == armor.host);
    let lane = armors.iter().find(|armor| armor.kind == "execution" && is_alone(armor));
    lane.unwrap_or_else(|| panic!("no lane is alone: {armors:?}")).clone()
}

fn moved(system: &Standing<'_>, lane: &Armor) -> bool {
    let elsewhere = |armor: &Armor| armor.id == lane.id && armor.host != lane.host && armor.state == "running";
    system.armors().iter().any(elsewhere)
}

fn events(system: &Standing<'_>) -> String {
    system.command(&["events"]).run().exits(0).out()
}

fn a_killed_host_is_survived(strategy: &str, hosts: u16, lanes: usize) {
    let trial = Trial::new();
    let system = trial.stand(hosts);
    let (go, poison) = (trial.beside("go"), trial.beside("poison"));
    let id = system.submit(&job(strategy, &go.to_string_lossy(), &poison.to_string_lossy()));
    let lane = lane_alone(&system, hosts, lanes);
    system.kill(&lane.host);
    eventually("the lane goes on elsewhere", NOTICED_WITHIN, || moved(&system, &lane).then_some(()));
    std::fs::write(&go, "").unwrap();
    assert_eq!(system.await_end(&id)["state"], "result", "{}", events(&system));
    assert_eq!(system.command(&["result", &id]).run().exits(0).out(), "right\nend\n");
    let told = events(&system);
    // On a busy machine the others may knock while the processes are only stopped.
    let lost = format!("{} is lost: its processes are ", lane.host);
    assert!(told.contains(&lost) && told.contains("heard nothing for"), "{told}");
    let told = system.command(&["report", &id]).run().exits(0).out();
    assert!(told.contains(&format!("{} goes on on", lane.id)), "{told}");
    let hosts = system.json(&["hosts"]);
    let states: Vec<&str> = hosts.as_array().unwrap().iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states.iter().filter(|state| **state == "lost").count(), 1, "{hosts}");
    system.down();
}

#[test]
fn every_process_of_a_host_is_killed_under_tmr() {
    a_killed_host_is_survived("tmr", 3, 3);
}

#[test]
fn every_process_of_a_host_is_killed_under_dual() {
    a_killed_host_is_survived("dual", 4, 2);
}

#[test]
fn a_host_is_frozen_and_what_it_says_when_it_thaws_counts_for_nothing() {
    let trial = Trial::new();
    let system = trial.stand(3);
    let (go, poison) = (trial.beside("go"), trial.beside("poison"));
    let id = system.submit(&job("tmr", &go.to_string_lossy(), &poison.to_string_lossy()));
    let lane = lane_alone(&system, 3, 3);
    let frozen = system.freeze(&lane.host);
    eventually("the lane goes on elsewhere", NOTICED_WITHIN, || moved(&system, &lane).then_some(()));
    std::fs::write(&go, "").unwrap();
    eventually("all lanes are done with the first task", NOTICED_WITHIN, || {
        let printed = system.command(&["logs", &id]).run().exits(0).out();
        (printed.lines().filter(|line| line.ends_with("right")).count() == 3).then_some(())
    });
    // What the frozen lane will say is another thing than its next life has said.
    std::fs::write(&poison, "wrong\n").unwrap();
    frozen.iter().for_each(|process| drop(process.signal(Signal::CONT)));
    assert_eq!(system.await_end(&id)["state"], "result", "{}", events(&system));
    assert_eq!(system.command(&["result", &id]).run().exits(0).out(), "right\nend\n");
    let told = eventually("the host is here again", NOTICED_WITHIN, || {
        Some(events(&system)).filter(|told| told.contains(&format!("{} is here again", lane.host)))
    });
    assert!(told.contains(&format!("{} is lost: its processes are frozen", lane.host)), "{told}");
    assert!(!told.contains("outvoted"), "a late ballot accuses nobody: {told}");
    eventually("nothing of the job is left", NOTICED_WITHIN, || {
        let left = system.armors().iter().any(|armor| armor.job.is_some());
        let slots = trial.processes().iter().any(|process| process.role() == Some("slot"));
        (!left && !slots).then_some(())
    });
    system.down();
}
