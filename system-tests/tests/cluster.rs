//! Hosts with homes of their own that reach each other by authenticated TCP only.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use chameleon_system_tests::{Finished, Fleet, Trial, eventually};

const HEARD_WITHIN: Duration = Duration::from_secs(60);

/// A job of these tasks, each of which takes so long.
fn job(tasks: u32, takes: &str) -> String {
    format!(
        "[job]\nname = \"spread\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\ntasks = \"0..{tasks}\"\n\
         command = [\"sh\", \"-c\", \"sleep {takes}; echo voted\"]\nfiles = \"none\"\n"
    )
}

#[test]
fn three_hosts_that_joined_run_a_job_with_a_lane_on_each() {
    let trial = Trial::new();
    let mut fleet = Fleet::found(&trial, &[]);
    fleet.join(2);
    fleet.join(3);
    let id = fleet.submit(1, &job(1, "1"));
    eventually("a lane runs on each host", HEARD_WITHIN, || {
        let hosts: BTreeSet<String> = fleet.hosts_of("execution", &id).into_iter().collect();
        (hosts.len() == 3).then_some(())
    });
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}");
    let hosts = fleet.json(1, &["hosts"]);
    assert_eq!((&hosts[0]["address"], &hosts[2]["name"]), (&fleet.address().into(), &"h3".into()), "{hosts}");
    // Any host answers, since each reaches the FTM.
    assert_eq!(fleet.json(3, &["status", &id])["state"], "result");
    fleet.down();
}

#[test]
fn a_host_rejoins_as_who_it_was_and_a_revoked_one_does_not() {
    let trial = Trial::new();
    let mut fleet = Fleet::found(&trial, &[]);
    fleet.join(2);
    fleet.join(3);
    fleet.down_on(2);
    let again = fleet.start_again(2);
    assert!(again.err().contains("host/h2"), "{again}");
    eventually("it is heard of in its next life", HEARD_WITHIN, || {
        fleet.daemon(2).filter(|daemon| daemon.incarnation == 2)
    });
    let _ = fleet.on(1, &["revoke", "h2"]).run().exits(0);
    let begin = Instant::now();
    eventually("a third host knows", HEARD_WITHIN, || (!lists(&fleet.home(3), "h2")).then_some(()));
    let log = fleet.home(2).join("hosts/h2/daemon.log");
    eventually("it is told that it was revoked", HEARD_WITHIN, || {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("revoked")).map(drop)
    });
    eprintln!("told everybody after {:?}", begin.elapsed());
    assert_eq!(fleet.daemon(2), None, "nothing is placed on it any more");
    fleet.down();
}

/// Whether the address book in this home has a host of this name.
fn lists(home: &Path, name: &str) -> bool {
    let book = std::fs::read(home.join("book")).unwrap_or_default();
    book.windows(name.len()).any(|word| word == name.as_bytes())
}

fn login(fleet: &Fleet<'_>, name: &str, token: &str) -> Finished {
    fleet.person(name, &["login", &fleet.address(), "--token", token, "--name", name]).run()
}

#[test]
fn a_token_lets_in_one_and_nobody_else() {
    let (trial, other) = (Trial::new(), Trial::new());
    let mut fleet = Fleet::found(&trial, &[]);
    let elsewhere = Fleet::found(&other, &[]);
    let (foreign, short) = (elsewhere.token(&[]), fleet.token(&["--ttl", "1ms"]));
    let used = fleet.token(&["--role", "user"]);
    let _ = login(&fleet, "ann", &used).exits(0);
    let mistyped = used.replace("chameleon-", "chameleon-0");
    let table = [
        ("reused", used.as_str(), "used already, by user/ann"),
        ("foreign", foreign.as_str(), "another cluster"),
        ("mistyped", mistyped.as_str(), "no whole token"),
        ("expired", short.as_str(), "was good until"),
    ];
    for (what, token, expected) in table {
        let refused = login(&fleet, "bob", token);
        assert_ne!(refused.end.code(), 0, "{what}");
        assert!(refused.err().contains(expected), "{what}: {refused}");
    }
    let for_a_person = fleet.token(&["--role", "user"]);
    let as_host = fleet.try_join(2, &for_a_person).exits(125);
    assert!(as_host.err().contains("user/h2"), "{as_host}");
    elsewhere.down();
    fleet.down();
}

#[test]
fn a_person_with_a_login_uses_the_cluster_until_revoked() {
    let trial = Trial::new();
    let mut fleet = Fleet::found(&trial, &[]);
    let _ = login(&fleet, "ann", &fleet.token(&["--role", "user"])).exits(0);
    // A host that comes later is found as well.
    fleet.join(2);
    let file = trial.job_file(&job(1, "0"));
    let id = fleet.person("ann", &["submit"]).args([file]).run().exits(0).out().trim().to_owned();
    assert_eq!(fleet.await_end(&id)["state"], "result");
    let listed = fleet.person("ann", &["ps", "--all", "--json"]).run().exits(0).json();
    assert_eq!(listed[0]["job"], id.as_str(), "{listed}");
    assert!(lists(&fleet.home_of("ann"), "h2"));
    let rules = fleet.person("ann", &["token", "create"]).run().exits(125);
    assert!(rules.err().contains("you are user/ann"), "{rules}");
    let _ = fleet.on(1, &["revoke", "ann"]).run().exits(0);
    eventually("ann is let in no more", HEARD_WITHIN, || {
        let refused = fleet.person("ann", &["ps"]).run();
        (refused.end.code() == 125 && refused.err().contains("we were revoked")).then_some(())
    });
    fleet.down();
}

#[test]
fn a_persons_certificate_is_renewed_by_their_next_command() {
    let trial = Trial::new();
    let fleet = Fleet::found(&trial, &[]);
    // As if half of its time were over.
    let lifetime = fleet.home(1).join("pki/lifetime");
    std::fs::write(&lifetime, "0").expect("the founder keeps it");
    let _ = login(&fleet, "ann", &fleet.token(&["--role", "user"])).exits(0);
    std::fs::write(&lifetime, "86400").expect("the founder keeps it");
    let certificate = || std::fs::read(fleet.home_of("ann").join("pki/certificate.der")).expect("ann has a login");
    let first = certificate();
    let _ = fleet.person("ann", &["ps"]).run().exits(0);
    let second = certificate();
    assert_ne!(first, second);
    let _ = fleet.person("ann", &["ps"]).run().exits(0);
    assert_eq!(second, certificate(), "and then not for long");
    fleet.down();
}

#[test]
fn certificates_are_renewed_under_load_and_nothing_is_dropped() {
    let trial = Trial::new();
    // A host's certificate is renewed after 24 s then, an ARMOR's after one.
    let mut fleet = Fleet::found(&trial, &["--lifetime", "48s"]);
    fleet.join(2);
    fleet.join(3);
    let certificate = || std::fs::read(fleet.home(2).join("pki/certificate.der")).expect("it has joined");
    let first = certificate();
    let id = fleet.submit(1, &job(160, "0.2"));
    eventually("the host has another certificate", HEARD_WITHIN, || (certificate() != first).then_some(()));
    assert!(fleet.json(1, &["status", &id])["exit_code"].is_null(), "the job goes on meanwhile");
    let ended = fleet.await_end(&id);
    assert_eq!(ended["state"], "result", "{ended}");
    // Nobody was taken for dead; what retires with the job has no life any more.
    let armors = fleet.armors();
    assert!(armors.iter().all(|armor| armor.incarnation == 1 || armor.state == "retiring"), "{armors:?}");
    fleet.down();
}
