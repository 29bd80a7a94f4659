//! Stages as a graph: each in its turn, with a strategy of its own, reading what was decided of another.

use chameleon_system_tests::Trial;

const JOB: &str = r#"
[job]
name = "graph"
strategy = "tmr"

[[stage]]
name = "sum"
command = ["sh", "-c", "awk '{ s += $1 } END { print s }'"]
after = ["numbers"]
stdin = { stage = "squares" }
strategy = "single"
files = "none"

[[stage]]
name = "numbers"
command = ["sh", "-c", "echo {task}"]
tasks = "0..4"
after = []
files = "none"

[[stage]]
name = "squares"
command = ["sh", "-c", ": {task}; read n; echo $((n * n))"]
tasks = "0..4"
stdin = { stage = "numbers" }
files = "none"
"#;

#[test]
fn a_stage_reads_what_was_decided_of_another_and_a_flipped_bit_goes_no_further() {
    let trial = Trial::new();
    let file = trial.beside("graph.toml");
    let sum = "awk '{ s += $1 } END { print s }'";
    std::fs::write(&file, JOB.replace("awk '{ s += $1 } END { print s }'", sum)).expect("a job file");
    let run = |inject: &str| trial.chameleon(["run", inject]).args([&file]).run().exits(0);
    let flipped = run("--inject=flip:2:always");
    assert_eq!(flipped.out(), "0\n1\n2\n3\n0\n1\n4\n9\n14\n", "numbers, squares, their sum: {flipped}");
    trial.nothing_is_left(&flipped);
}

#[test]
fn stages_that_wait_for_each_other_are_refused_where_they_say_so() {
    let trial = Trial::new();
    let file = trial.beside("graph.toml");
    std::fs::write(&file, JOB.replace("after = []", "after = [\"sum\"]")).expect("a job file");
    let refused = trial.chameleon(["run"]).args([&file]).run().exits(125);
    assert!(refused.err().contains("stages wait for each other"), "{refused}");
    assert!(refused.err().contains("graph.toml:9:"), "{refused}");
}
