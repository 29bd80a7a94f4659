//! Real processes, really killed: what was confirmed survives, what dies comes back, and what ends
//! leaves nothing. The ARMORs are toys; everything around them is what the product runs.
//!
//! This program is its own daemon and its own ARMORs, so that it has no ordinary test harness. With the word
//! `figures` it prints what processes and links cost here.

#[path = "../harness.rs"]
mod harness;
mod system;
mod toys;

use std::process::ExitCode;

use chameleon_core::names::{ArmorName, Incarnation, JobId};
use chameleon_node::home::Home;
use chameleon_node::launch;
use chameleon_node::process::{Factory, Process};
use system::{DAEMON, HOST, System};
use toys::Kept;

const TESTS: &[(&str, fn())] = &[
    ("what_was_confirmed_survives_kill_9", what_was_confirmed_survives_kill_9),
    ("survivors_replace_a_dead_daemon_and_are_adopted", survivors_replace_a_dead_daemon_and_are_adopted),
    ("a_stopped_daemon_is_replaced_too", a_stopped_daemon_is_replaced_too),
    ("of_many_who_start_a_daemon_one_succeeds", of_many_who_start_a_daemon_one_succeeds),
    ("stopping_ends_every_process_and_an_ephemeral_home", stopping_ends_every_process_and_an_ephemeral_home),
    (
        "copies_die_with_their_daemon_and_outlive_their_original",
        copies_die_with_their_daemon_and_outlive_their_original,
    ),
    ("a_home_ends_with_its_owner", a_home_ends_with_its_owner),
    ("a_system_whose_store_is_damaged_is_not_started", a_system_whose_store_is_damaged_is_not_started),
    ("a_standing_home_starts_again_where_it_was", a_standing_home_starts_again_where_it_was),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match arguments.get(1).and_then(|word| word.to_str()) {
        Some("armor") => chameleon_node::armor_main(toys::raise),
        Some("daemon") => chameleon_node::daemon_main(&arguments[2..], toys::raise),
        Some("figures") => {
            system::figures();
            ExitCode::SUCCESS
        }
        _ => harness::run_tests(TESTS),
    }
}

fn counter(job: u64) -> ArmorName {
    ArmorName::Surrogate(JobId(job))
}

fn what_was_confirmed_survives_kill_9() {
    let system = System::start();
    let mut said = 0;
    for round in 1..=5 {
        let kept = system.running(counter(1), |kept| kept.incarnation.0 >= round);
        for _ in 0..20 {
            said += 1;
            system.count(counter(1), said);
        }
        system.kill(&kept);
        system.running(counter(1), |next| next.incarnation > kept.incarnation);
        let (count, last) = system.counted(counter(1), |_, last| last >= said);
        assert_eq!((count, last), (said, said), "nothing is lost and nothing is there twice");
    }
}

/// One that dies is restored, and so is watched; nobody else was restarted meanwhile.
fn assert_all_were_adopted(system: &System, before: &[Kept]) {
    system.kill(&before[0]);
    system.running(before[0].name, |kept| kept.incarnation > before[0].incarnation);
    assert_eq!(before[1..], system.all_running()[1..]);
}

fn survivors_replace_a_dead_daemon_and_are_adopted() {
    let system = System::start();
    let before = system.all_running();
    let dead = system.process(DAEMON);
    dead.kill();
    let next = system.next_process(DAEMON, &dead);
    assert_ne!(next.mark(), dead.mark());
    assert_all_were_adopted(&system, &before);
}

fn a_stopped_daemon_is_replaced_too() {
    let system = System::start();
    let before = system.all_running();
    let frozen = system.process(DAEMON);
    system.freeze(&frozen);
    system.next_process(DAEMON, &frozen);
    assert!(frozen.has_exited());
    assert_all_were_adopted(&system, &before);
}

fn of_many_who_start_a_daemon_one_succeeds() {
    let system = System::start();
    let process = system.process(DAEMON);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| launch::start(system.home(), HOST, 0).unwrap());
        }
    });
    assert_eq!(system.process(DAEMON).mark(), process.mark());
}

fn stopping_ends_every_process_and_an_ephemeral_home() {
    let system = System::start();
    let processes = system.processes();
    system.stop();
    assert!(processes.iter().all(chameleon_node::process::Process::has_exited));
    assert!(system.home().is_gone());
    assert!(system.is_empty(), "nothing is left on disk");
}

/// Blank processes are copies of one that stays blank: it is of no matter to them, and not missed.
fn copies_die_with_their_daemon_and_outlive_their_original() {
    let directory = tempfile::tempdir().unwrap();
    let home = std::sync::Arc::new(Home::create(directory.path()).unwrap());
    home.make_host(HOST).unwrap();
    let mut factory = Factory::new(home.clone(), HOST, 1).unwrap();
    let (first, second) = (factory.make().unwrap(), factory.make().unwrap());
    let original = Process::open_pid(system::only_other_child(&[&first, &second])).unwrap();
    original.kill();
    original.wait(None);
    let third = [factory.make().unwrap(), factory.make().unwrap()];
    assert!(factory.assign(first.mark().pid, counter(1), Incarnation(1), None).is_some());
    system::await_socket(&home, counter(1));
    factory.end();
    assert!([&second].into_iter().chain(&third).all(Process::has_exited), "all that were blank");
    assert!(!first.has_exited());
    first.kill();
    first.wait(None);
    first.reap();
}

fn a_home_ends_with_its_owner() {
    let mut system = System::start();
    let processes = system.processes();
    system.kill_owner();
    system.await_end(&processes);
    assert!(system.is_empty());
}

fn a_system_whose_store_is_damaged_is_not_started() {
    let system = System::start_standing();
    system.stop();
    std::fs::write(system.home().store(), "nothing that a store would hold").unwrap();
    let error = launch::start(system.home(), HOST, 0).unwrap_err();
    assert!(matches!(error, launch::LaunchError::Store(_)), "{error}");
    assert!(!system.home().has_daemon());
}

fn a_standing_home_starts_again_where_it_was() {
    let system = System::start_standing();
    system.running(counter(2), |_| true);
    for number in 1..=10 {
        system.count(counter(2), number);
    }
    system.stop();
    assert!(!system.home().is_gone());
    launch::start(system.home(), HOST, 2).unwrap();
    system.running(counter(2), |kept| kept.incarnation.0 >= 2);
    system.count(counter(2), 11);
    assert_eq!(system.counted(counter(2), |_, last| last == 11), (11, 11));
    system.stop();
}
