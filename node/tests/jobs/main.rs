//! Whole jobs on a whole system: every ARMOR a process, every program real, and one process after the
//! other killed. This program is its own daemon, its own ARMORs and its own slots.

#[path = "../harness.rs"]
mod harness;
mod system;

use std::process::ExitCode;

use chameleon_core::armors::raise;
use chameleon_core::message::Outcome;
use chameleon_core::names::{ArmorName, LaneId};
use chameleon_core::world::End;
use system::System;

const TESTS: &[(&str, fn())] = &[
    ("a_job_ends_with_its_result_and_its_files", a_job_ends_with_its_result_and_its_files),
    ("a_standing_system_runs_job_after_job", a_standing_system_runs_job_after_job),
    ("whatever_is_killed_the_job_ends_with_its_result", whatever_is_killed_the_job_ends_with_its_result),
    ("whatever_is_stopped_the_job_ends_with_its_result", whatever_is_stopped_the_job_ends_with_its_result),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|word| word.to_str()) {
        Some("slot") => chameleon_node::slot::shim::main(),
        Some("armor") => chameleon_node::armor_main(raise),
        Some("daemon") => chameleon_node::daemon_main(&arguments[1..], raise),
        _ => harness::run_tests(TESTS),
    }
}

const SUCCESS: Outcome = Outcome::Result { end: End::Exit(0) };

fn a_job_ends_with_its_result_and_its_files() {
    let mut system = System::start();
    let job = system.submit("tmr", "echo words; echo content > made; exit 3");
    assert_eq!(system.outcome(job), Outcome::Result { end: End::Exit(3) });
    assert_eq!(system.output(job), "words\n");
    assert_eq!(std::fs::read_to_string(system.directory().join("made")).unwrap(), "content\n");
    system.stop();
}

fn a_standing_system_runs_job_after_job() {
    let mut system = System::start();
    for number in 0..10 {
        let job = system.submit("single", &format!("echo {number}"));
        assert_eq!(system.outcome(job), SUCCESS);
        assert_eq!(system.output(job), format!("{number}\n"));
    }
    system.stop();
}

fn kinds(job: chameleon_core::names::JobId) -> [ArmorName; 6] {
    [
        ArmorName::Ftm,
        ArmorName::Daemon(system::HOST),
        ArmorName::Surrogate(job),
        ArmorName::Voter(job),
        ArmorName::Execution(job, LaneId(1)),
        ArmorName::Fanout(job),
    ]
}

fn each_kind(harm: impl Fn(&System, ArmorName)) {
    let mut system = System::start();
    for index in 0..6 {
        let job = system.submit("tmr", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done");
        let name = kinds(job)[index];
        system.await_process(name);
        harm(&system, name);
        assert_eq!(system.outcome(job), SUCCESS, "{name}");
        assert_eq!(system.output(job), "1\n2\n3\n4\n5\n6\n", "{name}");
    }
    system.stop();
}

fn whatever_is_killed_the_job_ends_with_its_result() {
    each_kind(System::kill);
}

fn whatever_is_stopped_the_job_ends_with_its_result() {
    each_kind(System::freeze);
}
