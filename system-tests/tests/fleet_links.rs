//! What lies between hosts is measured and shown, and a host that nobody hears learns it although no link of it breaks.

use std::time::{Duration, Instant};

use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Fleet, Trial, eventually, network};
use serde_json::Value;

const HOSTS: u16 = 3;
/// How long anything may take on a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(60);

/// The links between all hosts, as they are listed.
fn links(fleet: &Fleet<'_>) -> Vec<Value> {
    fleet.json(1, &["hosts", "--links"]).as_array().cloned().unwrap_or_default()
}

fn is_known(link: &Value, key: &str) -> bool {
    link[key].as_u64().is_some()
}

#[test]
fn links_are_measured_by_beats_and_by_what_was_fetched() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, HOSTS);
    let all = eventually("beats have crossed every link", WITHIN, || {
        let known = |link: &Value| is_known(link, "round_trip_us") && is_known(link, "loss_per_mille");
        Some(links(&fleet)).filter(|links| links.len() == 6 && links.iter().all(known))
    });
    assert!(all.iter().all(|link| !is_known(link, "bytes_per_s")), "nothing was fetched: {all:?}");
    let table = fleet.on(1, &["hosts", "--links"]).run().exits(0).out();
    assert!(table.contains("not measured"), "{table}");
    let input = trial.beside("input");
    std::fs::write(&input, vec![b'x'; 3 << 20]).expect("a file can be made");
    let job = format!(
        "[job]\nname = \"reads\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\ninputs = [{input:?}]\n\
         command = [\"wc\", \"-c\", {input:?}]\n"
    );
    let id = fleet.submit(1, &job);
    assert_eq!(fleet.await_end(&id)["state"], "result");
    eventually("it is known how fast the input came", WITHIN, || {
        links(&fleet).iter().any(|link| link["from"] == "h1" && is_known(link, "bytes_per_s")).then_some(())
    });
    fleet.network().lose(25);
    eventually("the loss is noticed", WITHIN, || {
        links(&fleet).iter().any(|link| link["loss_per_mille"].as_u64() > Some(80)).then_some(())
    });
    fleet.network().heal();
    fleet.down();
}

#[test]
fn what_is_started_at_most_once_ends_with_its_lease_on_a_host_that_nobody_hears() {
    if !network::is_possible() {
        return;
    }
    let trial = Trial::new();
    let fleet = Fleet::wired(&trial, HOSTS);
    eventually("all hosts are watched", WITHIN, || {
        let beats = |armor: &&Armor| armor.kind == "heartbeat" && armor.state == "running";
        (fleet.armors().iter().filter(beats).count() == usize::from(HOSTS)).then_some(())
    });
    let word = "pays-once";
    let runs = || trial.processes().iter().any(|process| process.command.iter().any(|said| said == word));
    let id = fleet.submit(
        1,
        &format!(
            "[job]\nname = \"pays\"\nstrategy = \"single\"\nexecution = \"at-most-once\"\n[[stage]]\nname = \"pay\"\n\
         files = \"none\"\ncommand = [\"sh\", \"-c\", \"while :; do sleep 0.2; done\", \"{word}\"]\n"
        ),
    );
    eventually("the program runs", WITHIN, || runs().then_some(()));
    let hosts = fleet.hosts_of("execution", &id);
    let host: u16 = hosts[0].trim_start_matches('h').parse().expect("a host's number");
    assert_ne!(host, 1, "the FTM is spared");
    fleet.network().mute(host);
    let muted = Instant::now();
    assert_eq!(fleet.await_end(&id)["state"], "outcome-unknown");
    assert!(runs(), "the others know nothing of it yet, after {:?}", muted.elapsed());
    let resolve = || fleet.on(1, &["resolve", &id, "did-not-happen", "--note", "no entry"]).run();
    assert!(resolve().exits(125).err().contains("lease"));
    eventually("the lease ends", WITHIN, || (!runs()).then_some(()));
    println!("the program was ended {:?} after nobody heard its host", muted.elapsed());
    assert!(resolve().exits(125).err().contains("lease"), "nobody may say so before it is certain");
    eventually("a person may say that it did not happen", WITHIN, || (resolve().end.code() == 0).then_some(()));
    fleet.network().heal();
    eventually("the host is here again", WITHIN, || {
        fleet.on(1, &["events"]).run().exits(0).out().contains(&format!("h{host} is here again")).then_some(())
    });
    fleet.down();
}
