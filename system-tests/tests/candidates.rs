//! Several candidates for the FTM, which share an etcd of three members: the one that reigns is killed again and again, and
//! no job is lost, none is done twice, and commands work again.

use std::path::PathBuf;
use std::time::Duration;

use chameleon_node::store::members;
use chameleon_system_tests::skip::has;
use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Fleet, Standing, Trial, eventually};
use rustix::process::Signal;

const FTMS: u16 = 3;
/// How long another reign may take on a machine that is busy with other tests.
const REIGNS_WITHIN: Duration = Duration::from_secs(30);

fn ftm(system: &Standing<'_>) -> Armor {
    let found = system.armors().into_iter().find(|armor| armor.kind == "ftm");
    found.expect("whoever answers is listed")
}

fn job(number: usize) -> String {
    format!(
        "[job]\nname = \"n{number}\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\n\
         command = [\"sh\", \"-c\", 'sleep 0.5; echo {number}']\n"
    )
}

/// Hands in so many jobs more.
fn submit(system: &Standing<'_>, ids: &mut Vec<String>, count: usize) {
    for _ in 0..count {
        ids.push(system.submit(&job(ids.len())));
    }
}

fn reigns_after(system: &Standing<'_>, term: u64) -> Armor {
    eventually("another reign", REIGNS_WITHIN, || Some(ftm(system)).filter(|ftm| ftm.incarnation > term))
}

fn all_came_right(system: &Standing<'_>, ids: &[String]) {
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(system.await_end(id)["state"], "result", "{id}");
        assert_eq!(system.command(&["result", id]).run().exits(0).out(), format!("{number}\n"));
    }
    let listed = system.json(&["ps", "--all"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(ids.len()), "each was accepted once: {listed}");
    for id in ids {
        let told = system.command(&["events", id, "--json"]).run().exits(0).out();
        assert_eq!(told.matches("\"ended\"").count(), 1, "{id} ended once: {told}");
    }
}

#[test]
fn the_reigning_ftm_is_killed_in_the_middle_of_jobs_and_none_is_lost_or_done_twice() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", &FTMS.to_string()]);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let reign = ftm(&system);
        submit(&system, &mut ids, 2);
        reign.process().expect("it runs").signal(Signal::KILL).unwrap();
        submit(&system, &mut ids, 1);
        let _ = reigns_after(&system, reign.incarnation);
    }
    all_came_right(&system, &ids);
    let told = system.command(&["events"]).run().exits(0).out();
    assert!(told.contains("has the FTM under term 2: the FTM of term 1 ended on"), "{told}");
    system.down();
}

#[test]
fn the_host_of_the_ftm_is_killed_and_another_candidate_reigns() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", &FTMS.to_string()]);
    let mut ids = Vec::new();
    submit(&system, &mut ids, 2);
    let reign = ftm(&system);
    system.kill(&reign.host);
    submit(&system, &mut ids, 2);
    let next = reigns_after(&system, reign.incarnation);
    assert_ne!(next.host, reign.host);
    all_came_right(&system, &ids);
    let told = system.command(&["events"]).run().exits(0).out();
    assert!(told.contains("and it changed nothing in its store for"), "{told}");
    system.down();
}

#[test]
fn a_frozen_host_is_replaced_and_what_its_ftm_says_when_it_thaws_is_obeyed_by_nobody() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", &FTMS.to_string()]);
    let mut ids = Vec::new();
    submit(&system, &mut ids, 1);
    let reign = ftm(&system);
    let frozen = system.freeze(&reign.host);
    submit(&system, &mut ids, 2);
    let next = reigns_after(&system, reign.incarnation);
    assert_ne!(next.host, reign.host);
    frozen.iter().for_each(|process| drop(process.signal(Signal::CONT)));
    submit(&system, &mut ids, 1);
    all_came_right(&system, &ids);
    assert!(ftm(&system).incarnation >= next.incarnation, "the lower term does not come back");
    system.down();
}

#[test]
fn a_system_of_candidates_remembers_its_jobs_after_down_and_up() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", "2"]);
    let mut ids = Vec::new();
    submit(&system, &mut ids, 1);
    all_came_right(&system, &ids);
    let term = ftm(&system).incarnation;
    system.down();
    let other = trial.chameleon(["dev", "--ftms", "3"]).run().exits(125);
    assert!(other.err().contains("2 candidates"), "{other}");
    let system = trial.stand_with(&[]);
    assert!(ftm(&system).incarnation > term);
    all_came_right(&system, &ids);
    system.down();
}

#[test]
fn a_person_ends_a_reign_and_another_host_has_the_next() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", &FTMS.to_string()]);
    let before = eventually("all candidates are reached", REIGNS_WITHIN, || {
        let status = system.json(&["ftm", "status"]);
        let reached = status["candidates"].as_array()?.iter().filter(|row| row["reached"] == true).count();
        (reached == usize::from(FTMS)).then_some(status)
    });
    let members =
        before["store"]["members"].as_array().map_or(0, |all| all.iter().filter(|m| m["serves"] == true).count());
    assert_eq!(members, 3, "{before}");
    let mut ids = Vec::new();
    submit(&system, &mut ids, 2);
    let said = system.command(&["ftm", "step-down"]).run().exits(0);
    let after = system.json(&["ftm", "status"]);
    assert_ne!(after["host"], before["host"], "{said}");
    assert_eq!(after["term"].as_u64(), before["term"].as_u64().map(|term| term + 1), "{said}");
    submit(&system, &mut ids, 1);
    all_came_right(&system, &ids);
    let told = system.command(&["events"]).run().exits(0).out();
    assert!(told.contains("stepped down, as a person wanted"), "{told}");
    system.down();
}

#[test]
fn the_only_ftm_does_not_step_down() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let status = system.command(&["ftm", "status"]).run().exits(0);
    assert!(status.out().contains("no other host may have it"), "{status}");
    let refused = system.command(&["ftm", "step-down"]).run().exits(125);
    assert!(refused.err().contains("its store is a file"), "{refused}");
    system.down();
}

/// An etcd of three members on the loopback, until it is dropped.
struct Store(PathBuf);

impl Drop for Store {
    fn drop(&mut self) {
        members::stop(&self.0);
    }
}

#[test]
fn on_machines_of_their_own_another_host_takes_the_reign_and_is_found_by_all() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let store = Store(trial.beside("etcd"));
    let url = members::start(&store.0, FTMS, "fleet").unwrap().to_string();
    let mut fleet = Fleet::found(&trial, &["--store", &url]);
    fleet.join_candidate(2, &url);
    fleet.join(3);
    let first = fleet.submit(2, &job(0));
    assert_eq!(fleet.await_end(&first)["state"], "result");

    fleet.kill(1);
    let second = fleet.submit(2, &job(1));
    let armors = Armor::list(&fleet.on(2, &["armors", "--json"]).run().exits(0));
    assert!(armors.iter().any(|armor| armor.kind == "ftm" && armor.host == "h2"), "{armors:?}");
    // The third is no candidate, and finds whoever reigns.
    eventually("both jobs are told of as ended", REIGNS_WITHIN, || {
        let rows = fleet.json(3, &["ps", "--all"]);
        let ended = rows.as_array()?.iter().filter(|row| row["state"] == "result").count();
        (ended == 2).then_some(())
    });
    assert!(second > first, "the numbers go on: {first} {second}");

    fleet.down_on(3);
    let plain = fleet.on(3, &["ftm", "--store", &url, "--detach"]).run().exits(125);
    assert!(plain.err().contains("h3 may not have the FTM"), "{plain}");
    let _ = fleet.start_again(1);
    eventually("the first host serves the reign of the second", REIGNS_WITHIN, || {
        let armors = fleet.armors();
        armors.iter().any(|armor| armor.id == "daemon-h1" && armor.state == "running").then_some(())
    });
    fleet.down();
}
