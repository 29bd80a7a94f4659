//! The doctor finds what was orphaned on purpose, and nothing where nothing is.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chameleon_node::process::mark;
use chameleon_system_tests::{Standing, Trial, eventually};
use serde_json::Value;

const SEEN_WITHIN: Duration = Duration::from_secs(30);

fn examine(system: &Standing<'_>, flags: &[&str], code: i32) -> Value {
    system.command(&["doctor", "--json"]).args(flags).run().exits(code).json()
}

/// The words for what was found, and for what was done.
fn found(examined: &Value) -> Vec<(String, bool)> {
    let rows = examined["found"].as_array().expect("a list");
    rows.iter().map(|row| (row["what"].as_str().expect("a word").to_owned(), row["repaired"] == true)).collect()
}

fn words(words: &[&str], repaired: bool) -> Vec<(String, bool)> {
    words.iter().map(|word| ((*word).to_owned(), repaired)).collect()
}

/// A slot of a job that nobody knows, in which a program still runs; an ARMOR's journal, and a broken-off backup.
fn orphan(host: &Path, pid: u32) {
    let slot = host.join("jobs/j99/lane-0/slot-0");
    fs::create_dir_all(&slot).unwrap();
    fs::write(slot.join("shim"), minicbor::to_vec(mark::of(pid).unwrap()).unwrap()).unwrap();
    fs::create_dir_all(host.join("armors/voter-j99")).unwrap();
    let backup = host.join("../../ftm/backup-5");
    fs::write(&backup, "half").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(3_600);
    File::options().write(true).open(backup).unwrap().set_modified(long_ago).unwrap();
}

#[test]
fn what_is_orphaned_on_purpose_is_found_and_repaired_and_nothing_else() {
    let trial = Trial::new();
    let system = trial.stand(2);
    let job = "[job]\nname = \"n\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\ncommand = [\"echo\", \"x\"]\n";
    let done = system.submit(job);
    assert_eq!(system.await_end(&done)["state"], "result");
    eventually("its ARMORs are retired", SEEN_WITHIN, || {
        system.armors().iter().all(|armor| armor.job.is_none()).then_some(())
    });
    let sound = examine(&system, &[], 0);
    assert_eq!((found(&sound), &sound["left"]), (vec![], &0.into()), "{sound}");

    let orphaned = trial.program("sleep").args(["1000"]).start();
    orphan(&trial.home().join("hosts/h1"), orphaned.pid().unsigned_abs());
    let expected = ["stray-slot", "left-armor", "left-job", "remains"];
    let told = examine(&system, &[], 1);
    assert_eq!(found(&told), words(&expected, false), "{told}");
    let repaired = examine(&system, &["--repair"], 0);
    assert_eq!(found(&repaired), words(&expected, true), "{repaired}");
    assert_ne!(orphaned.wait().end.code(), 0, "it was killed");
    let sound = examine(&system, &[], 0);
    assert_eq!(found(&sound), [], "{sound}");
    assert_eq!(system.command(&["result", &done]).run().exits(0).out(), "x\n", "what is kept for people stays");

    system.kill("h2");
    // What ran there is missed as well, until the new daemon is heard.
    let told = system.command(&["doctor", "--repair", "--json"]).run().json();
    assert!(found(&told).contains(&("no-daemon".to_owned(), true)), "{told}");
    eventually("nothing is left to be found", SEEN_WITHIN, || {
        let code = system.command(&["doctor"]).run().end.code();
        (code == 0).then_some(())
    });
    system.down();

    let rests = trial.chameleon(["doctor", "--json"]).run().exits(0).json();
    assert_eq!(found(&rests), [], "{rests}");
    orphan(&trial.home().join("hosts/h1"), std::process::id());
    fs::remove_file(trial.home().join("hosts/h1/jobs/j99/lane-0/slot-0/shim")).unwrap();
    let rests = trial.chameleon(["doctor", "--repair", "--json"]).run().exits(0).json();
    assert_eq!(found(&rests), words(&["left-armor", "left-job", "remains"], true), "{rests}");
}
