//! The commit of a winner's files, killed at each of its system calls: the next start rolls it forward.
//!
//! The kernel does the killing: strace injects SIGKILL at the n-th call that changes files, into the
//! Execution ARMOR that commits. Each n is a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chameleon_system_tests::skip::has;
use chameleon_system_tests::tree::{self, Entry};
use chameleon_system_tests::{Process, Random, Standing, Trial, eventually, processes, random};

/// The calls between which a commit can be killed.
const CALLS: &str = "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,fsync,fdatasync,\
                     syncfs,fchmodat,chmod,fchmod,linkat,link";
/// How many calls are tried unless all are.
const FEW: usize = 5;
/// More calls than are made, and no more than strace counts.
const NEVER: usize = 60_000;
const CHANGES: &str =
    "echo new > a; echo b > made; rm gone; mv old deep/new; ln -s a link; mkdir fresh; echo x > fresh/x";

fn fill(trial: &Trial) {
    for (name, text) in [("a", "old"), ("gone", "gone"), ("old", "old"), ("deep/er", "deep")] {
        trial.write(name, text);
    }
}

fn job() -> String {
    format!(
        "[job]\nname = \"c\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\n\
         command = [\"sh\", \"-c\", '''{CHANGES}; until [ -e \"$GATE\" ]; do sleep 0.3; done; echo done''']\n"
    )
}

/// A run directory before and after, and a job that waits at a gate with its changes made.
struct Gate {
    trial: Trial,
    after: BTreeMap<PathBuf, Entry>,
}

impl Gate {
    fn new() -> Gate {
        let trial = Trial::new();
        fill(&trial);
        let plain = trial.beside("plain");
        tree::copy(&trial.directory(), &plain);
        let script = format!("{CHANGES}; echo done");
        let _ = trial.program("sh").args(["-c", &script]).directory(&plain).run().exits(0);
        let after = tree::snapshot(&plain);
        Gate { trial, after }
    }

    /// Submits the job and waits until all lanes stand at the gate.
    fn submit(&self, system: &Standing<'_>) -> String {
        let file = system.job_file(&job());
        let submit = system.command(&["submit"]).env("GATE", self.trial.beside("gate")).args([file]).run().exits(0);
        let waits = |process: &&Process| process.command.first().is_some_and(|word| word == "sleep");
        eventually("three lanes wait at the gate", Duration::from_secs(30), || {
            (self.trial.processes().iter().filter(waits).count() == 3).then_some(())
        });
        submit.out().trim().to_owned()
    }

    fn open(&self) {
        std::fs::write(self.trial.beside("gate"), "").expect("the gate opens");
    }
}

/// Lets the kernel kill this process at the n-th of the calls. The tracer ends with it.
fn kill_at(gate: &Gate, process: &Process, call: usize) -> chameleon_system_tests::Started {
    let inject = format!("inject={CALLS}:signal=SIGKILL:when={call}");
    let (pid, log) = (process.pid.to_string(), gate.trial.beside(&format!("strace-{}", process.pid)));
    let trace = format!("trace={CALLS}");
    let tracer = gate.trial.program("strace").args(["-f", "-qq", "-e", &trace, "-e", &inject, "-p", &pid, "-o"]);
    let tracer = tracer.args([log]).within(Duration::from_secs(120)).start();
    eventually("the tracer is attached", Duration::from_secs(10), || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        (!status.contains("TracerPid:\t0")).then_some(())
    });
    tracer
}

/// How many of the calls the busiest thread made, as the tracers saw it.
fn calls_made(gate: &Gate, processes: &[Process]) -> usize {
    let mut of_thread: BTreeMap<String, usize> = BTreeMap::new();
    for process in processes {
        let log = std::fs::read_to_string(gate.trial.beside(&format!("strace-{}", process.pid))).unwrap_or_default();
        for line in log.lines().filter(|line| line.contains('(') && !line.contains("resumed>")) {
            *of_thread.entry(line.split_whitespace().next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    of_thread.into_values().max().unwrap_or_default()
}

/// Runs the job with its Executions killed at their n-th call, whoever commits; with the whole system, if so. The
/// number of calls that were made before.
fn killed_at(call: usize, whole_system: bool) -> usize {
    let gate = Gate::new();
    let mut system = gate.trial.stand(1);
    let id = gate.submit(&system);
    let executions: Vec<Process> =
        system.armors().iter().filter(|armor| armor.kind == "execution").filter_map(|armor| armor.process()).collect();
    assert_eq!(executions.len(), 3);
    let tracers: Vec<_> = executions.iter().map(|process| kill_at(&gate, process, call)).collect();
    gate.open();
    let died = || executions.iter().any(|process| !process.runs()).then_some(());
    eventually("an Execution is killed, or retired at the end", Duration::from_secs(30), died);
    if whole_system {
        processes::kill_all(gate.trial.mark());
        system.abandon();
        system = gate.trial.stand(1);
    }
    for tracer in tracers {
        if let Some(process) = tracer.process() {
            let _ = process.signal(rustix::process::Signal::KILL);
        }
        let _ = tracer.wait();
    }
    let row = system.await_end(&id);
    assert_eq!(row["state"], "result", "killed at call {call}: {row}");
    system.down();
    let differences = tree::differences(&gate.after, &gate.trial.tree());
    assert!(differences.is_empty(), "killed at call {call}:\n{}", differences.join("\n"));
    calls_made(&gate, &executions)
}

/// All calls with `CHAMELEON_FULL`, which takes minutes; else a few of them.
fn killed_at_calls(whole_system: bool) {
    if !has(&["strace"]) {
        return;
    }
    let calls = killed_at(NEVER, false);
    assert!(calls > 20, "a commit makes more than {calls} calls");
    let seed = random::seed();
    println!("{calls} calls, CHAMELEON_SEED={seed}");
    let mut random = Random::new(seed);
    if std::env::var_os("CHAMELEON_FULL").is_some() {
        (1..=calls).for_each(|call| _ = killed_at(call, whole_system));
    } else {
        (0..FEW).for_each(|_| _ = killed_at(1 + random.below(calls as u64) as usize, whole_system));
    }
}

#[test]
fn a_commit_whose_executions_are_killed_at_any_call_is_completed() {
    killed_at_calls(false);
}

#[test]
fn a_commit_of_a_system_that_is_killed_whole_at_any_call_is_rolled_forward_by_the_next_start() {
    killed_at_calls(true);
}
