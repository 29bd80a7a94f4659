//! Hosts that have a network between them are lost: killed, frozen, cut off both ways or one way. The others notice, the
//! lanes go on elsewhere, the job ends right, and whoever returns is told what became of its work.

use std::time::Duration;

use chameleon_system_tests::chaos::Counter;
use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Fleet, Trial, eventually, network};

const HOSTS: u16 = 4;
/// How long anything may take on a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(60);

/// A job whose lanes do not end before the file `go` is there.
fn job(strategy: &str, go: &str) -> String {
    format!(
        "[job]\nname = \"outlives-a-host\"\nstrategy = \"{strategy}\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\n\
         command = [\"sh\", \"-c\", \"until [ -e {go} ]; do sleep 0.05; done; echo right\"]\n"
    )
}

/// Waits until three lanes run and all hosts are watched; a lane whose host has nothing that its job cannot do without.
fn lane_alone(fleet: &Fleet<'_>) -> Armor {
    let armors = eventually("all lanes run", WITHIN, || {
        let armors = fleet.armors();
        let running = |kind: &str| armors.iter().filter(|armor| armor.kind == kind && armor.state == "running").count();
        (running("execution") == 3 && running("heartbeat") == usize::from(HOSTS)).then_some(armors)
    });
    let vital = |armor: &Armor| matches!(armor.kind.as_str(), "ftm" | "surrogate" | "voter");
    let is_alone = |armor: &Armor| !armors.iter().any(|other| vital(other) && other.host == armor.host);
    let lane = armors.iter().find(|armor| armor.kind == "execution" && is_alone(armor));
    lane.unwrap_or_else(|| panic!("no lane is alone: {armors:?}")).clone()
}

fn events(fleet: &Fleet<'_>) -> String {
    fleet.on(1, &["events"]).run().exits(0).out()
}

fn told(fleet: &Fleet<'_>, what: &str) {
    eventually(what, WITHIN, || events(fleet).contains(what).then_some(()));
}

/// Strikes the host of one lane, and sees the job to its end.
fn survives(strike: impl FnOnce(&mut Fleet<'_>, u16), fault: &str, mend: impl FnOnce(&mut Fleet<'_>, u16)) {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let mut fleet = Fleet::wired(&trial, HOSTS);
    let go = trial.beside("go");
    let id = fleet.submit(1, &job("tmr", &go.to_string_lossy()));
    let lane = lane_alone(&fleet);
    let host: u16 = lane.host.trim_start_matches('h').parse().expect("a host's number");
    strike(&mut fleet, host);
    told(&fleet, &format!("{} is lost: {fault}", lane.host));
    eventually("the lane goes on elsewhere", WITHIN, || {
        let elsewhere = |armor: &Armor| armor.id == lane.id && armor.host != lane.host && armor.state == "running";
        fleet.armors().iter().any(elsewhere).then_some(())
    });
    std::fs::write(&go, "").expect("a file can be made");
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}\n{}", events(&fleet));
    mend(&mut fleet, host);
    told(&fleet, &format!("{} is here again", lane.host));
    eventually("nothing of the job is left on any host", WITHIN, || {
        let slots = (1..=HOSTS).flat_map(|host| fleet.processes(host)).any(|process| process.role() == Some("slot"));
        (!slots && fleet.armors().iter().all(|armor| armor.job.is_none())).then_some(())
    });
    fleet.down();
}

#[test]
fn a_host_is_killed() {
    let again = |fleet: &mut Fleet<'_>, host| drop(fleet.start_again(host));
    survives(|fleet, host| fleet.kill(host), "its processes are dead", again);
}

#[test]
fn a_host_is_frozen() {
    survives(|fleet, host| fleet.freeze(host), "its processes are frozen", |fleet, host| fleet.thaw(host));
}

#[test]
fn the_cable_of_a_host_is_pulled() {
    let pull = |fleet: &mut Fleet<'_>, host| fleet.network().cable(host, false);
    survives(pull, "it is dead or cut off", |fleet, host| fleet.network().cable(host, true));
}

#[test]
fn nothing_that_a_host_says_arrives() {
    let mute = |fleet: &mut Fleet<'_>, host| fleet.network().mute(host);
    survives(mute, "it is dead or cut off", |fleet, _| fleet.network().heal());
}

#[test]
fn many_packets_are_lost_and_no_host_is_taken_for_lost() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, HOSTS);
    let go = trial.beside("go");
    std::fs::write(&go, "").expect("a file can be made");
    for percent in [5, 20] {
        fleet.network().heal();
        fleet.network().lose(percent);
        let id = fleet.submit(1, &job("tmr", &go.to_string_lossy()));
        let ended = fleet.await_end(&id);
        assert_eq!(ended["state"], "result", "{percent} %: {ended}\n{}", events(&fleet));
        assert!(percent > 5 || !events(&fleet).contains("is lost"), "{percent} %: {}", events(&fleet));
    }
    fleet.network().heal();
    fleet.down();
}

/// Two stages that say on a FIFO that they begin. The second reads what the first printed, and does not end before the file
/// `go` is there.
fn pipeline(strategy: &str, counter: &Counter, go: &str) -> String {
    let fifo = counter.path().display();
    let stage = |name: &str, more: &str, script: &str| {
        format!(
            "[[stage]]\nname = \"{name}\"\nfiles = \"none\"\n{more}command = [\"sh\", \"-c\", \"echo {name} > {fifo}; {script}\"]\n"
        )
    };
    let first = stage("first", "", "echo right");
    let wait = format!("until [ -e {go} ]; do sleep 0.05; done; cat; echo end");
    let second = stage("second", "stdin = { stage = \"first\" }\n", &wait);
    format!("[job]\nname = \"outlives-its-managers\"\nstrategy = \"{strategy}\"\n{first}{second}")
}

/// Kills the host of this ARMOR of a job that was submitted on a host, in the middle of its second stage, and sees the job
/// to its end: what ran on hosts that live runs once.
fn goes_on_without_the_host_of(kind: &str, hosts: u16, submitted_on: u16) {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let mut fleet = Fleet::wired(&trial, hosts);
    eventually("all hosts are watched and looked over", WITHIN, || {
        let armors = fleet.armors();
        let beats = armors.iter().filter(|armor| armor.kind == "heartbeat" && armor.state == "running").count();
        let profiled = |row: &serde_json::Value| row["cores"].as_u64() > Some(0);
        let all = fleet.json(1, &["hosts"]).as_array().is_some_and(|rows| rows.iter().all(profiled));
        let looks = armors.iter().any(|armor| armor.kind == "init");
        (beats == usize::from(hosts) && all && !looks).then_some(())
    });
    let mut counter = Counter::new(&trial.beside("executions"));
    let go = trial.beside("go");
    // A lane a host: what lanes of one host alone decided goes with it.
    let (strategy, lanes) = if hosts == 2 { ("dual", 2) } else { ("tmr", 3) };
    let id = fleet.submit(submitted_on, &pipeline(strategy, &counter, &go.to_string_lossy()));
    let began = |counter: &mut Counter, name: &str| counter.lines().get(name).copied().unwrap_or_default();
    eventually("the second stage runs in every lane", WITHIN, || {
        (began(&mut counter, "second") == lanes).then_some(())
    });
    let before = fleet.armors();
    let of_job = |armor: &&Armor| armor.job.as_deref() == Some(&*id);
    let lost = before.iter().filter(of_job).find(|armor| armor.kind == kind).expect("it runs").host.clone();
    assert_ne!(lost, "h1", "the FTM is spared: {before:?}");
    let again = before.iter().filter(of_job).filter(|armor| armor.kind == "execution" && armor.host == lost).count();
    fleet.kill(lost.trim_start_matches('h').parse().expect("a host's number"));
    for gone in before.iter().filter(of_job).filter(|armor| armor.host == lost) {
        eventually(&format!("{} goes on elsewhere", gone.id), WITHIN, || {
            let elsewhere = |armor: &Armor| armor.id == gone.id && armor.host != lost && armor.state == "running";
            fleet.armors().iter().any(elsewhere).then_some(())
        });
    }
    eventually("the lost lanes run again", WITHIN, || (began(&mut counter, "second") == lanes + again).then_some(()));
    std::fs::write(&go, "").expect("a file can be made");
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}\n{}", events(&fleet));
    assert_eq!(fleet.on(1, &["result", &id]).run().exits(0).out(), "right\nright\nend\n");
    assert_eq!(
        (began(&mut counter, "first"), began(&mut counter, "second")),
        (lanes, lanes + again),
        "{}",
        events(&fleet)
    );
    fleet.down();
}

#[test]
fn the_host_of_the_sm_and_the_voter_is_killed() {
    // With two hosts both are where the job comes from, and their Mirror is on the other.
    goes_on_without_the_host_of("surrogate", 2, 2);
}

#[test]
fn the_host_of_the_voter_is_killed() {
    goes_on_without_the_host_of("voter", 3, 1);
}

#[test]
fn the_host_of_the_mirror_is_killed() {
    goes_on_without_the_host_of("mirror", 3, 1);
}
