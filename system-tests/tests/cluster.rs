//! Hosts with homes of their own that reach each other by authenticated TCP only.

use std::collections::BTreeSet;
use std::time::Duration;

use chameleon_system_tests::{Cluster, Trial, eventually};

const JOB_WITHIN: Duration = Duration::from_secs(60);

const JOB: &str = "[job]\nname = \"spread\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\n\
                   command = [\"sh\", \"-c\", \"sleep 1; echo voted\"]\nfiles = \"none\"\n";

#[test]
fn three_hosts_that_joined_run_a_job_with_a_lane_on_each() {
    let trial = Trial::new();
    let mut cluster = Cluster::found(&trial, &[]);
    cluster.join("h2");
    cluster.join("h3");
    let file = trial.write("job.toml", JOB);
    let id = cluster.on("h1", &["submit"]).args([file]).run().exits(0).out().trim().to_owned();
    let hosts = eventually("a lane runs on each host", JOB_WITHIN, || {
        let rows = cluster.json("h1", &["armors"]);
        let lanes = rows.as_array().into_iter().flatten().filter(|row| row["kind"] == "execution");
        let hosts: BTreeSet<String> =
            lanes.filter(|row| row["state"] == "running").map(|row| row["host"].to_string()).collect();
        (hosts.len() == 3).then_some(hosts)
    });
    assert_eq!(hosts.len(), 3);
    let row = eventually("the job ends", JOB_WITHIN, || {
        Some(cluster.json("h1", &["status", &id])).filter(|row| row["state"] != "running")
    });
    assert_eq!(row["state"], "result", "{row}");
    // Any host answers, since each reaches the FTM.
    assert_eq!(cluster.json("h3", &["status", &id])["state"], "result");
    cluster.down();
}

#[test]
fn a_host_rejoins_as_who_it_was_and_a_revoked_one_does_not() {
    let trial = Trial::new();
    let mut cluster = Cluster::found(&trial, &[]);
    cluster.join("h2");
    let _ = cluster.on("h2", &["down"]).run().exits(0);
    let again = cluster.on("h2", &["daemon", "--detach"]).run().exits(0);
    assert!(again.err().contains("host/h2"), "{again}");
    eventually("it is heard of in its next life", JOB_WITHIN, || {
        let rows = cluster.json("h1", &["armors"]);
        let daemon = rows.as_array()?.iter().find(|row| row["id"] == "daemon-h2")?;
        (daemon["incarnation"] == 2).then_some(())
    });
    // By the name that it was given, which here is that of its home.
    let _ = cluster.on("h1", &["revoke", "h2"]).run().exits(0);
    let log = cluster.home("h2").join("hosts/h2/daemon.log");
    eventually("it is told that it was revoked", JOB_WITHIN, || {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("revoked")).map(drop)
    });
    assert_eq!(cluster.daemons(), 1, "nothing is placed on it any more");
    cluster.down();
}

#[test]
fn a_token_lets_in_one_and_nobody_else() {
    let (trial, other) = (Trial::new(), Trial::new());
    let mut cluster = Cluster::found(&trial, &[]);
    let elsewhere = Cluster::found(&other, &[]);
    let (foreign, short) = (elsewhere.token(&[]), cluster.token(&["--ttl", "1s"]));
    let used = cluster.token(&["--role", "user"]);
    let address = cluster.address();
    let login = |home: &str, token: &str| {
        let arguments = ["login", &address, "--token", token, "--name", home];
        cluster.on(home, &arguments).run()
    };
    let _ = login("ann", &used).exits(0);
    assert_eq!(cluster.on("ann", &["ps", "--json"]).run().exits(0).out().trim(), "[]");
    let rules = cluster.on("ann", &["token", "create"]).run().exits(125);
    assert!(rules.err().contains("you are user/ann"), "{rules}");
    std::thread::sleep(Duration::from_millis(1_500));
    let mistyped = used.replace("chameleon-", "chameleon-0");
    let table = [
        ("reused", used.as_str(), "used already, by user/ann"),
        ("foreign", foreign.as_str(), "another cluster"),
        ("mistyped", mistyped.as_str(), "no whole token"),
        ("expired", short.as_str(), "was good until"),
    ];
    for (what, token, expected) in table {
        let refused = login("bob", token);
        assert_ne!(refused.end.code(), 0, "{what}");
        assert!(refused.err().contains(expected), "{what}: {refused}");
    }
    let as_host = cluster.try_join("h2", &cluster.token(&["--role", "user"])).exits(125);
    assert!(as_host.err().contains("user/h2"), "{as_host}");
    elsewhere.down();
    cluster.down();
}

#[test]
fn certificates_are_renewed_while_a_job_goes_on() {
    let trial = Trial::new();
    // An ARMOR's certificate is good for two seconds then.
    let mut cluster = Cluster::found(&trial, &["--lifetime", "48s"]);
    cluster.join("h2");
    let certificate = || std::fs::read(cluster.home("h2").join("pki/certificate.der")).expect("it has joined");
    let first = certificate();
    let file = trial.write("job.toml", JOB.replace("sleep 1", "sleep 27"));
    let id = cluster.on("h1", &["submit"]).args([file]).run().exits(0).out().trim().to_owned();
    eventually("the host has another certificate", JOB_WITHIN, || (certificate() != first).then_some(()));
    let row = eventually("the job ends", JOB_WITHIN, || {
        Some(cluster.json("h1", &["status", &id])).filter(|row| row["state"] != "running")
    });
    assert_eq!(row["state"], "result", "{row}");
    cluster.down();
}
