//! Programs that differ from themselves: found out, shown, and nobody blamed.

use chameleon_system_tests::Trial;
use chameleon_system_tests::skip::has;

/// What a run of a nondeterministic program must say.
#[track_caller]
fn is_found_out(command: &[&str]) {
    let trial = Trial::new();
    let run = trial.run("--strategy tmr --report --").args(command).run().exits(123);
    assert_eq!(run.out(), "", "nothing was decided, so nothing is printed");
    let said = run.err();
    assert!(said.contains("nondeterministic"), "{said}");
    assert!(said.contains("first difference"), "{said}");
    assert!(!said.contains("faulty"), "nobody is blamed: {said}");
    trial.nothing_is_left(&run);
}

#[test]
fn a_program_that_prints_the_time_is_found_out() {
    is_found_out(&["date", "+%N"]);
}

#[test]
fn a_program_that_prints_a_random_number_is_found_out() {
    if has(&["bash"]) {
        is_found_out(&["bash", "-c", "echo always; echo $RANDOM$RANDOM"]);
    }
}

#[test]
fn a_program_that_writes_a_random_file_is_found_out() {
    let trial = Trial::new();
    let before = trial.tree();
    let run = trial.run("--strategy tmr --").args(["sh", "-c", "head -c 8 /dev/urandom > noise"]).run().exits(123);
    assert!(run.err().contains("noise"), "the file is named: {run}");
    assert_eq!(trial.tree(), before, "nothing was committed");
}

#[test]
fn a_coin_flip_is_found_out_or_its_chance_is_told_and_nobody_is_blamed() {
    if !has(&["bash"]) {
        return;
    }
    let mut found_out = 0;
    for _ in 0..40 {
        let trial = Trial::new();
        let run = trial.run("--strategy tmr --report --").args(["bash", "-c", "echo $((RANDOM % 2))"]).run();
        assert!(!run.err().contains("faulty"), "nobody is blamed: {run}");
        match run.end.code() {
            0 => assert!(["0\n", "1\n"].contains(&run.out().as_str()), "{run}"),
            123 => {
                assert!(run.err().contains("nondeterministic"), "{run}");
                found_out += 1;
                if found_out == 2 {
                    return;
                }
            }
            _ => panic!("{run}"),
        }
    }
    panic!("three of four flips differ, and half of the repetitions: yet it was found out {found_out} times in 40");
}

#[test]
fn a_report_says_what_the_run_could_not_have_noticed() {
    let trial = Trial::new();
    let run = trial.run("--strategy tmr --report --").args(["echo", "hello"]).run().exits(0);
    assert!(run.err().contains("could not"), "{run}");
}

#[test]
fn one_lane_alone_accepts_what_voting_would_refuse() {
    let trial = Trial::new();
    let run = trial.run("--strategy single --").args(["date", "+%N"]).run().exits(0);
    assert_eq!(run.out().trim().len(), 9, "{run}");
}
