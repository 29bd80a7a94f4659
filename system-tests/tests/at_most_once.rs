//! What may be started at most once: whoever is killed or stopped at whatever moment, the program does
//! what cannot be held once or never, and an end that nobody saw is said to be unknown.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chameleon_system_tests::random::seed;
use chameleon_system_tests::{Random, Standing, Trial, eventually};
use rustix::process::Signal;

/// Jobs that are disturbed.
const ROUNDS: u64 = 50;
/// Somebody is hurt within so long of the submission, or of the start, in ms.
const HURT_WITHIN_MS: u64 = 60;

/// Somebody outside who hears of every start of every program, and counts.
#[derive(Clone)]
struct Outside {
    port: u16,
    heard: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Outside {
    fn new() -> Outside {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let outside = Outside { port, heard: Arc::default() };
        let heard = Arc::clone(&outside.heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut line = String::new();
                if BufReader::new(stream).read_line(&mut line).is_ok() {
                    *heard.lock().unwrap().entry(line.trim().to_owned()).or_default() += 1;
                }
            }
        });
        outside
    }

    /// How often the program of this name was started.
    fn starts(&self, name: &str) -> u64 {
        self.heard.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// A job whose program says its name outside, which nobody can take back.
    fn job(&self, name: &str, then: &str) -> String {
        let port = self.port;
        format!(
            "[job]\nname = \"{name}\"\nstrategy = \"single\"\nexecution = \"at-most-once\"\nnet = true\n\
             [[stage]]\nname = \"pay\"\nfiles = \"none\"\n\
             command = [\"bash\", \"-c\", \"exec 3>/dev/tcp/127.0.0.1/{port}; echo {name} >&3; exec 3>&-; {then}\"]\n"
        )
    }
}

/// Hurts one of the processes that run or guard the job; says whom and how.
fn hurt(trial: &Trial, random: &mut Random) -> String {
    thread::sleep(Duration::from_millis(random.below(HURT_WITHIN_MS)));
    let victims: Vec<_> = trial.processes().into_iter().filter(|process| process.role() != Some("blank")).collect();
    let signal = if random.below(4) == 0 { Signal::STOP } else { Signal::KILL };
    let Some(victim) = random.pick(&victims) else { return "nobody".to_owned() };
    let role = victim.role().unwrap_or("a program").to_owned();
    let _ = victim.signal(signal);
    format!("{signal:?} to {role}")
}

fn clear_or_unknown(system: &Standing<'_>, outside: &Outside, id: &str, name: &str, told: &str) -> bool {
    let row = system.await_end(id);
    let starts = outside.starts(name);
    assert!(starts <= 1, "{name} was started {starts} times after {told}: {row}");
    match row["state"].as_str() {
        Some("outcome-unknown") => true,
        // One that was killed may have been so before it could say anything.
        Some("result") => {
            assert!(starts == 1 || row["exit_code"] != 0, "{name} ended well and said nothing, after {told}: {row}");
            false
        }
        _ => panic!("{name} is neither clear nor unknown after {told}: {row}"),
    }
}

#[test]
fn whoever_is_hurt_no_program_is_started_twice_and_every_end_is_clear_or_unknown() {
    let seed = seed();
    println!("CHAMELEON_SEED={seed}");
    let mut random = Random::new(seed);
    let (trial, outside) = (Trial::new(), Outside::new());
    let system = trial.stand(1);
    let mut unknown = 0;
    for round in 0..ROUNDS {
        let name = format!("round-{round}");
        let id = system.submit(&outside.job(&name, "sleep 0.2"));
        if round % 2 == 0 {
            eventually("the program is started", Duration::from_secs(30), || {
                (outside.starts(&name) == 1).then_some(())
            });
        }
        let told = hurt(&trial, &mut random);
        unknown += u64::from(clear_or_unknown(&system, &outside, &id, &name, &told));
    }
    println!("{unknown} of {ROUNDS} ends are unknown");
    assert!(unknown > 0, "nobody was hurt whose death leaves an end unclear, in {ROUNDS} rounds");
    let listed = system.json(&["unresolved"]);
    assert_eq!(listed.as_array().map(Vec::len), usize::try_from(unknown).ok(), "{listed}");
    system.down();
}

#[test]
fn an_unknown_outcome_is_listed_until_a_person_says_what_happened() {
    let (trial, outside) = (Trial::new(), Outside::new());
    let system = trial.stand(1);
    let id = system.submit(&outside.job("payment", "sleep 30"));
    eventually("the program is started", Duration::from_secs(20), || (outside.starts("payment") == 1).then_some(()));
    let execution = system.armors().into_iter().find(|armor| armor.kind == "execution").expect("a lane");
    execution.process().expect("it runs").signal(Signal::KILL).expect("it can be killed");
    let row = system.await_end(&id);
    assert_eq!((&row["state"], &row["exit_code"]), (&"outcome-unknown".into(), &122.into()));
    assert_eq!(outside.starts("payment"), 1);
    assert_eq!(system.json(&["unresolved"])[0]["job"], id.as_str());
    let forgotten = system.command(&["forget", &id]).run().exits(125);
    assert!(forgotten.err().contains("resolve"), "{forgotten}");
    let hasty = system.command(&["resolve", &id, "did-not-happen", "--note", "no entry"]).run().exits(125);
    assert!(hasty.err().contains("lease") && hasty.err().contains("--force"), "{hasty}");
    let again = system.command(&["submit", "--from", &id]).run().exits(125);
    assert!(again.err().contains("before a person has looked"), "{again}");
    let _ = system.command(&["resolve", &id, "happened", "--note", "seen at the bank"]).run().exits(0);
    let failed = system.command(&["submit", "--from", &id, "--filter", "failed"]).run().exits(125);
    assert!(failed.err().contains("no failed task"), "{failed}");
    assert_eq!(system.json(&["unresolved"]).as_array().map(Vec::len), Some(0));
    let other = system.command(&["resolve", &id, "did-not-happen", "--note", "no", "--force"]).run().exits(125);
    assert!(other.err().contains("resolved already"), "{other}");
    let report = system.command(&["report", &id]).run().exits(0);
    assert!(report.out().contains("it happened: seen at the bank"), "{report}");
    let _ = system.command(&["forget", &id]).run().exits(0);
    system.down();
}

#[test]
fn a_run_that_is_called_off_in_the_middle_of_it_says_so_with_its_own_code() {
    let (trial, outside) = (Trial::new(), Outside::new());
    let port = outside.port;
    let script = format!("exec 3>/dev/tcp/127.0.0.1/{port}; echo run >&3; exec 3>&-; sleep 30");
    let run = ["run", "--execution", "at-most-once", "--net", "--deadline", "2s", "--status-file", "status"];
    let finished = trial.chameleon(run).args(["--", "bash", "-c", &script]).run().exits(122);
    assert!(finished.err().contains("the outcome is unknown, a person must look"), "{finished}");
    let status: serde_json::Value = serde_json::from_slice(&trial.read("status")).expect("JSON");
    assert_eq!((&status["outcome"], outside.starts("run")), (&"outcome-unknown".into(), 1));
    trial.nothing_is_left(&finished);
}

#[test]
fn a_strategy_that_would_start_it_again_is_refused_with_the_reason() {
    let trial = Trial::new();
    for (strategy, why) in [("tmr", "to compare what it does"), ("retry", "the program is started again")] {
        let run = ["run", "--execution", "at-most-once", "--strategy", strategy, "--", "true"];
        let refused = trial.chameleon(run).run().exits(125);
        assert!(refused.err().contains(why), "{refused}");
    }
}
