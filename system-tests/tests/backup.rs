//! The store of the FTM is backed up and put back, and survives the loss of most of the members of its etcd.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chameleon_system_tests::skip::has;
use chameleon_system_tests::{Fleet, Standing, Trial, eventually};
use rustix::process::Signal;
use serde_json::Value;

/// How long another reign may take on a machine that is busy with other tests.
const REIGNS_WITHIN: Duration = Duration::from_secs(30);
/// How much further numbers are after a restore, at least.
const A_MILLION: u64 = 1_000_000;

fn job(name: &str, shell: &str) -> String {
    format!(
        "[job]\nname = \"{name}\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\n\
         command = [\"sh\", \"-c\", '{shell}']\n"
    )
}

fn number(job: &str) -> u64 {
    job.strip_prefix('j').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{job:?}"))
}

fn back_up(system: &Standing<'_>, file: &Path) -> Value {
    system.command(&["backup", "--json"]).args([file]).run().exits(0).json()
}

#[test]
fn a_backup_that_was_taken_in_the_middle_of_a_job_is_put_back_in_its_home_and_in_a_fresh_one() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let done = system.submit(&job("done", "echo first"));
    assert_eq!(system.await_end(&done)["state"], "result");
    let open = system.submit(&job("open", "sleep 1; echo second"));
    let file = trial.beside("store.backup");
    let told = back_up(&system, &file);
    assert_eq!((&told["jobs"], &told["open_jobs"]), (&2.into(), &1.into()), "{told}");
    let again = system.command(&["backup"]).args([&file]).run().exits(125);
    assert!(again.err().contains("is there already"), "{again}");
    assert_eq!(system.await_end(&open)["state"], "result");
    let later = system.submit(&job("later", "echo third"));
    assert_eq!(system.await_end(&later)["state"], "result");
    let runs = system.command(&["restore", "--replace"]).args([&file]).run().exits(125);
    assert!(runs.err().contains("chameleon down"), "{runs}");
    system.down();

    let occupied = trial.chameleon(["restore"]).args([&file]).run().exits(125);
    assert!(occupied.err().contains("--replace"), "{occupied}");
    let restored = trial.chameleon(["restore", "--replace", "--json"]).args([&file]).run().exits(0).json();
    assert_eq!(restored["ended"], serde_json::json!([open]), "{restored}");
    assert!(restored["aside"].as_str().is_some_and(|aside| Path::new(aside).exists()), "{restored}");
    let system = trial.stand_with(&[]);
    assert_eq!(system.command(&["result", &done]).run().exits(0).out(), "first\n");
    let row = system.job(&open);
    assert_eq!((&row["state"], &row["exit_code"]), (&"failed".into(), &125.into()), "{row}");
    let unknown = system.command(&["status", &later]).run().exits(125);
    assert!(unknown.err().contains("accepted after"), "{unknown}");
    let next = system.submit(&job("next", "echo fourth"));
    assert!(number(&next) > number(&later) + A_MILLION, "{next} after {later}");
    assert_eq!(system.await_end(&next)["state"], "result");
    system.down();

    let fresh = |words: &[&str]| trial.chameleon(words).env("CHAMELEON_HOME", trial.beside("fresh"));
    let _ = fresh(&["restore"]).args([&file]).run().exits(0);
    let _ = fresh(&["dev", "--detach"]).run().exits(0);
    let rows = fresh(&["ps", "--all", "--json"]).run().exits(0).json();
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
    let run = fresh(&["run", "--", "echo", "fifth"]).run().exits(0);
    assert_eq!(run.out(), "fifth\n");
    let _ = fresh(&["down"]).run().exits(0);
}

#[test]
fn a_file_that_is_no_sound_backup_is_refused_and_nothing_is_touched() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let file = trial.beside("store.backup");
    let _ = back_up(&system, &file);
    system.down();
    let good = fs::read(&file).unwrap();
    let store = fs::read(trial.home().join("ftm/store.redb")).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let mut newer = good.clone();
    newer[20] = 9;
    let table = [
        (good[..good.len() - 7].to_vec(), "ends before it is whole"),
        (flipped, "damaged"),
        (newer, "newer Chameleon"),
        (b"[job]\nname = 1\n".to_vec(), "is no backup"),
    ];
    for (bytes, expected) in table {
        fs::write(&file, bytes).unwrap();
        let refused = trial.chameleon(["restore", "--replace"]).args([&file]).run().exits(125);
        assert!(refused.err().contains(expected), "{refused}");
        assert_eq!(fs::read(trial.home().join("ftm/store.redb")).unwrap(), store);
    }
    fs::write(trial.home().join("restoring"), "").unwrap();
    let half = trial.chameleon(["dev", "--detach"]).run().exits(125);
    assert!(half.err().contains("was broken off"), "{half}");
    fs::write(&file, good).unwrap();
    let _ = trial.chameleon(["restore"]).args([&file]).run().exits(0);
    trial.stand_with(&[]).down();
}

#[test]
fn a_founder_whose_machine_is_lost_goes_on_elsewhere_and_its_hosts_obey_it() {
    let trial = Trial::new();
    let mut fleet = Fleet::found(&trial, &[]);
    fleet.join(2);
    let file = trial.beside("cluster.backup");
    let told = fleet.on(1, &["backup", "--json"]).args([&file]).run().exits(0).json();
    assert_eq!((&told["keys"], &told["authority_key"]), (&true.into(), &true.into()), "{told}");
    let elsewhere = fleet.on(2, &["backup"]).args([trial.beside("other")]).run().exits(125);
    assert!(elsewhere.err().contains("is a file on h1"), "{elsewhere}");
    let bare = trial.beside("bare.backup");
    let _ = fleet.on(1, &["backup", "--without-keys"]).args([&bare]).run().exits(0);

    fleet.kill(1);
    fs::rename(fleet.home(1), trial.beside("lost")).unwrap();
    let refused = fleet.on(1, &["restore"]).args([&bare]).run().exits(125);
    assert!(refused.err().contains("has no keys"), "{refused}");
    let _ = fleet.on(1, &["restore"]).args([&file]).run().exits(0);
    let _ = fleet.start_again(1);
    eventually("the other host serves the restored FTM", REIGNS_WITHIN, || {
        let armors = fleet.armors();
        armors.iter().any(|armor| armor.id == "daemon-h2" && armor.state == "running").then_some(())
    });
    let done = fleet.submit(2, &job("done", "echo again"));
    assert_eq!(fleet.await_end(&done)["state"], "result");
    fleet.down();
}

/// The members of the etcd of a home that are left with what they kept.
fn members(home: &Path) -> Vec<PathBuf> {
    (1..=3).map(|number| home.join(format!("etcd/m{number}"))).filter(|member| member.join("data").exists()).collect()
}

/// Kills a member and deletes what it kept.
fn lose(trial: &Trial, member: &Path) {
    let data = format!("--data-dir={}", member.join("data").display());
    let process = trial.processes().into_iter().find(|process| process.command.contains(&data));
    let process = process.unwrap_or_else(|| panic!("{} does not run", member.display()));
    process.signal(Signal::KILL).unwrap();
    eventually("the member is gone", REIGNS_WITHIN, || fs::remove_dir_all(member.join("data")).ok());
}

#[test]
fn most_members_of_the_etcd_are_lost_for_good_and_one_command_brings_everything_back() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", "3"]);
    let done = system.submit(&job("done", "echo first"));
    assert_eq!(system.await_end(&done)["state"], "result");
    let needless = system.command(&["ftm", "recover"]).run().exits(125);
    assert!(needless.err().contains("nothing is lost"), "{needless}");
    let open = system.submit(&job("open", "sleep 2; echo second"));
    eventually("it runs", REIGNS_WITHIN, || (system.job(&open)["state"] == "running").then_some(()));

    let all = members(&trial.home());
    lose(&trial, &all[0]);
    lose(&trial, &all[2]);
    let recovered = system.json(&["ftm", "recover"]);
    assert_eq!((&recovered["did"], &recovered["survivor"]), (&"rebuilt".into(), &"m2".into()), "{recovered}");
    assert_eq!(members(&trial.home()).len(), 3);
    assert_eq!(system.await_end(&open)["state"], "result", "it went on");
    for (id, expected) in [(&done, "first\n"), (&open, "second\n")] {
        assert_eq!(system.command(&["result", id]).run().exits(0).out(), expected);
    }
    let next = system.submit(&job("next", "echo third"));
    assert!(number(&next) > number(&open) + A_MILLION, "{next} after {open}");
    assert_eq!(system.await_end(&next)["state"], "result");
    system.down();
}

#[test]
fn a_backup_of_candidates_is_put_into_new_members() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", "2"]);
    let done = system.submit(&job("done", "echo first"));
    assert_eq!(system.await_end(&done)["state"], "result");
    let (live, rests) = (trial.beside("live.backup"), trial.beside("rests.backup"));
    let _ = back_up(&system, &live);
    system.down();
    let told = trial.chameleon(["backup", "--json"]).args([&rests]).run().exits(0).json();
    assert_eq!(told["jobs"], 1, "{told}");
    trial.nothing_runs();
    members(&trial.home()).iter().for_each(|member| fs::remove_dir_all(member).unwrap());
    let _ = trial.chameleon(["restore", "--replace"]).args([&live]).run().exits(0);
    trial.nothing_runs();
    let system = trial.stand_with(&[]);
    assert_eq!(system.command(&["result", &done]).run().exits(0).out(), "first\n");
    let next = system.submit(&job("next", "echo second"));
    assert_eq!(system.await_end(&next)["state"], "result");
    system.down();
}

#[test]
fn what_an_etcd_of_somebody_else_had_is_kept_when_a_backup_takes_its_place() {
    if !has(&["etcd"]) {
        return;
    }
    let trial = Trial::new();
    let system = trial.stand_with(&["--ftms", "2"]);
    let file = trial.beside("early.backup");
    let _ = back_up(&system, &file);
    let done = system.submit(&job("done", "echo first"));
    assert_eq!(system.await_end(&done)["state"], "result");
    let store = system.json(&["ftm", "status"])["store"]["address"].as_str().unwrap().to_owned();

    let elsewhere = trial.beside("elsewhere");
    let restore = |file: &Path| {
        trial.chameleon(["restore", "--json", "--store", &store, "--home"]).args([&elsewhere]).args([file])
    };
    let refused = restore(&file).run().exits(125);
    assert!(refused.err().contains("is there already"), "{refused}");
    let told = restore(&file).args(["--replace"]).run().exits(0).json();
    assert_eq!(system.json(&["ps", "--all"]), Value::Array(vec![]), "as it was before the job");
    let aside = PathBuf::from(told["aside"].as_str().unwrap());
    let _ = restore(&aside).args(["--replace"]).run().exits(0);
    assert_eq!(system.job(&done)["state"], "result", "what was there before");
    system.down();
}
