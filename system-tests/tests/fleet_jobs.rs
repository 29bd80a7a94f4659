//! Jobs on hosts that have a network between them, and nobody is hurt: every host has an address, a home and
//! processes of its own, and everything that they say to each other goes over TLS.

use std::collections::BTreeSet;
use std::time::Duration;

use chameleon_system_tests::{Fleet, Trial, eventually, network};

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
