//! A host that dies again and again gets no lanes for a while, does test tasks, and gets lanes again. One that is lost is
//! started by the command that its owner gave.

use std::time::Duration;

use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Fleet, Trial, eventually, network};
use serde_json::Value;

const HOSTS: u16 = 3;
const FLAKY: u16 = 3;
/// How long anything may take on a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(60);

const JOB: &str = "[job]\nname = \"spread\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\n\
                   command = [\"sleep\", \"1\"]\n";

fn state(fleet: &Fleet<'_>) -> Value {
    fleet.json(1, &["host", "show", "h3"])
}

fn becomes(fleet: &Fleet<'_>, word: &str) {
    eventually(&format!("h3 is {word}"), WITHIN, || (state(fleet)["state"] == word).then_some(()));
}

fn all_are_watched(fleet: &Fleet<'_>) {
    eventually("all hosts are watched", WITHIN, || {
        let beats = |armor: &&Armor| armor.kind == "heartbeat" && armor.state == "running";
        (fleet.armors().iter().filter(beats).count() == usize::from(HOSTS)).then_some(())
    });
}

/// The hosts of a job's lanes, once all three run; the job ends right.
fn hosts_of_lanes(fleet: &Fleet<'_>) -> Vec<String> {
    let id = fleet.submit(1, JOB);
    let hosts = eventually("three lanes run", WITHIN, || {
        Some(fleet.hosts_of("execution", &id)).filter(|hosts| hosts.len() == 3)
    });
    assert_eq!(fleet.await_end(&id)["state"], "result");
    hosts
}

#[test]
fn a_host_that_dies_again_and_again_is_quarantined_and_tested() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let mut fleet = Fleet::wired(&trial, HOSTS);
    for _ in 0..3 {
        all_are_watched(&fleet);
        fleet.kill(FLAKY);
        becomes(&fleet, "lost");
        let _ = fleet.start_again(FLAKY);
        eventually("h3 is here again", WITHIN, || (state(&fleet)["state"] != "lost").then_some(()));
    }
    becomes(&fleet, "quarantined");
    let shown = state(&fleet);
    assert_eq!(
        (shown["incidents"].as_array().map(Vec::len), &shown["quarantine"]["times"]),
        (Some(3), &Value::from(1))
    );
    assert!(!hosts_of_lanes(&fleet).contains(&"h3".to_owned()));
    becomes(&fleet, "up");
    let events = fleet.on(1, &["events"]).run().exits(0).out();
    let lines: Vec<&str> = events.lines().filter(|line| line.contains("h3 is") || line.contains("h3 did")).collect();
    let at = |what: &str| lines.iter().position(|line| line.contains(what));
    let order = [at("h3 is quarantined"), at("h3 is on parole"), at("h3 did its test tasks right")];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{events}");
    assert!(hosts_of_lanes(&fleet).contains(&"h3".to_owned()));
    let told = fleet.on(1, &["host", "pardon", "h3"]).run().exits(0).out();
    assert_eq!(told, "h3 is not in quarantine\n");
    fleet.down();
}

#[test]
fn a_lost_host_is_started_by_its_command() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let mut fleet = Fleet::wired(&trial, HOSTS);
    all_are_watched(&fleet);
    let words = fleet.words_to_start(FLAKY);
    let told = fleet.on(1, &["host", "revive", "h3", "--"]).args(&words).run().exits(0).out();
    assert!(told.starts_with("when h3 is lost, it is started by nsenter "), "{told}");
    assert_eq!(state(&fleet)["revive"][0], "nsenter");
    let own = fleet.on(1, &["host", "revive", "h1", "--", "true"]).run().exits(125);
    assert!(own.err().contains("the FTM's own host"), "{own}");
    let other = fleet.on(2, &["host", "revive", "h3", "--", "true"]).run().exits(125);
    assert!(other.err().contains("by its owner"), "{other}");
    fleet.kill(FLAKY);
    becomes(&fleet, "lost");
    becomes(&fleet, "up");
    fleet.was_started(FLAKY);
    let events = fleet.on(1, &["events"]).run().exits(0).out();
    assert!(events.contains("h3, which is lost, was called, and its revive command started (time 1)"), "{events}");
    assert!(hosts_of_lanes(&fleet).contains(&"h3".to_owned()));
    fleet.down();
}
