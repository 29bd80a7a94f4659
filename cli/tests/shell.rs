//! `chameleon run` is like the shell, with redundancy behind it, and leaves nothing.

mod person;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use person::{CHAMELEON, Person, code, text};
use serde_json::Value;

#[test]
fn stdout_stderr_and_the_exit_code_are_the_programs_own() {
    let person = Person::new();
    let table = [
        ("echo out; echo err >&2", 0, "out\n", "err\n"),
        ("printf no-newline; exit 3", 3, "no-newline", ""),
        ("exit 124", 124, "", ""),
    ];
    for (script, exit, out, err) in table {
        let output = person.types(&["run", "--", "sh", "-c", script]);
        let seen = (code(&output), text(&output.stdout), text(&output.stderr));
        assert_eq!(seen, (exit, out.to_owned(), err.to_owned()), "{script}");
    }
    person.assert_nothing_is_left();
}

#[test]
fn a_program_killed_by_a_signal_in_every_lane_exits_as_in_the_shell() {
    let person = Person::new();
    let output = person.types(&["run", "--strategy", "dual", "--", "sh", "-c", "kill -SEGV $$"]);
    assert_eq!(code(&output), 128 + 11, "{}", text(&output.stderr));
}

#[test]
fn a_program_that_cannot_be_started_is_told_as_by_env() {
    let person = Person::new();
    std::fs::write(person.directory().join("plain"), "text").unwrap();
    let table =
        [("nosuchprogram", 127, "‘nosuchprogram’: No such file"), ("./plain", 126, "‘./plain’: Permission denied")];
    for (program, exit, sentence) in table {
        let output = person.types(&["run", "--", program]);
        assert_eq!(code(&output), exit, "{program}");
        assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
    }
}

#[test]
fn standard_input_reaches_every_lane_whole() {
    let person = Person::new();
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 253) as u8).collect();
    for input in [&b""[..], b"one line\n", &large] {
        let output = person.pipes(input, &["run", "--", "cat"]);
        assert!(
            output.stdout == input,
            "{} bytes in, {} out: {}",
            input.len(),
            output.stdout.len(),
            text(&output.stderr)
        );
    }
    std::fs::write(person.directory().join("in"), "first\nsecond\n").unwrap();
    let output = person.shell("exec <in; read -r line; exec $C run -- cat");
    assert!(text(&output.stdout).ends_with("second\n"), "{output:?}");
    let closed = person.shell("$C run -- cat <&-");
    assert_eq!((code(&closed), closed.stdout.len()), (0, 0), "{}", text(&closed.stderr));
}

#[test]
fn arguments_and_environment_are_bytes() {
    let person = Person::new();
    let odd = OsStr::from_bytes(b"\xff\xfe end");
    let output = person.types(&["run".as_ref(), "--".as_ref(), "printf".as_ref(), "%s".as_ref(), odd]);
    assert_eq!(output.stdout, odd.as_bytes());
    let output = person.shell("ODD=$'\\xff' $C run -- sh -c 'printf %s \"$ODD\"; pwd'");
    let directory = person.directory().canonicalize().unwrap();
    assert_eq!(output.stdout, [b"\xff", directory.as_os_str().as_bytes(), b"\n"].concat());
}

#[test]
fn files_appear_with_the_verdict_and_not_before() {
    let person = Person::new();
    let output =
        person.types(&["run", "--", "sh", "-c", "echo data >made; mkdir d; ln -s made d/link; chmod 640 made"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(std::fs::read(person.directory().join("d/link/../../made")).unwrap_or_default(), b"");
    assert_eq!(std::fs::read(person.directory().join("made")).unwrap(), b"data\n");
    assert_eq!(std::fs::read_link(person.directory().join("d/link")).unwrap().to_str(), Some("made"));
    let output = person.types(&["run", "--", "sh", "-c", "echo $$ $(date +%N) >random"]);
    assert_eq!(code(&output), 123, "{}", text(&output.stderr));
    assert!(!person.directory().join("random").exists(), "nothing of an undecided result is kept");
    person.assert_nothing_is_left();
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_none() {
    let person = Person::new();
    let table = [
        ("$C run -- echo hi >/dev/full", 125, "No space left"),
        ("$C run -- echo hi >&-", 125, "Bad file descriptor"),
        ("$C run -- true >&-", 0, ""),
    ];
    for (script, exit, sentence) in table {
        let output = person.shell(script);
        assert_eq!(code(&output), exit, "{script}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(sentence), "{script}: {}", text(&output.stderr));
    }
    let output = person.shell("$C run -- yes | head -n 2; echo ${PIPESTATUS[0]}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("y\ny\n141\n".to_owned(), String::new()));
    person.assert_nothing_is_left();
}

#[test]
fn a_signal_cancels_and_leaves_nothing() {
    let person = Person::new();
    for (signal, exit) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        // The program says that it runs; then the command is asked to end.
        let script = format!(
            "rm -f out; set -m; $C run -- sh -c 'echo runs; exec sleep 100' >out & \
             until grep -q runs out 2>/dev/null; do sleep 0.02; done; kill -{signal} $!; wait $!"
        );
        let output = person.shell(&script);
        assert_eq!(code(&output), exit, "{signal}: {}", text(&output.stderr));
    }
    person.assert_nothing_is_left();
}

#[test]
fn a_deadline_ends_the_job() {
    let person = Person::new();
    let output = person.types(&["run", "--deadline", "300ms", "--", "sleep", "100"]);
    assert_eq!(code(&output), 124);
    assert!(text(&output.stderr).contains("deadline of 300 ms"), "{}", text(&output.stderr));
}

#[test]
fn a_nondeterministic_program_is_no_result_and_its_first_difference_is_shown() {
    let person = Person::new();
    let output = person.types(&["run", "--hold", "--", "sh", "-c", "echo same; date +%N"]);
    let told = text(&output.stderr);
    assert_eq!((code(&output), output.stdout.len()), (123, 0), "{told}");
    ["nondeterministic program", "first difference at byte", "(line 2)"]
        .iter()
        .for_each(|expected| assert!(told.contains(expected), "{expected}: {told}"));
}

#[test]
fn an_injected_fault_is_masked_and_marked() {
    let person = Person::new();
    for kind in ["flip", "lie", "kill"] {
        let inject = format!("--inject={kind}:1");
        let output = person.types(&["run", &inject, "--report", "--", "sh", "-c", "sleep 0.2; echo result"]);
        let told = text(&output.stderr);
        assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "result\n"), "{kind}: {told}");
        assert!(told.contains("in lane l1 — INJECTED"), "{kind}: {told}");
        assert!(told.contains("could not have noticed"), "{kind}: {told}");
    }
}

#[test]
fn the_status_file_tells_a_programs_own_code_from_ours() {
    let person = Person::new();
    let status = |arguments: &[&str]| -> Value {
        person.types(&[&["run", "--status-file", "status"], arguments].concat());
        let text = std::fs::read_to_string(person.directory().join("status")).expect("a status file is written");
        serde_json::from_str(&text).expect("it is JSON")
    };
    let table: [(&[&str], &str, u64); 4] = [
        (&["--", "sh", "-c", "exit 124"], "result", 124),
        (&["--deadline", "100ms", "--", "sleep", "100"], "deadline", 124),
        (&["--", "sh", "-c", "date +%N"], "untrusted", 123),
        (&["--strategy", "nosuch", "--", "true"], "failed", 125),
    ];
    for (arguments, outcome, exit) in table {
        let status = status(arguments);
        assert_eq!((status["outcome"].as_str(), status["exit_code"].as_u64()), (Some(outcome), Some(exit)), "{status}");
    }
}

#[test]
fn what_was_typed_wrong_is_refused_with_125_and_a_sentence() {
    let person = Person::new();
    std::fs::write(person.directory().join("job.toml"), "[job]\nname = \"x\"\nstrategy = \"tmrr\"\n").unwrap();
    let table: [(&[&str], &str); 7] = [
        (&["run"], "there is nothing to run"),
        (&["run", "sort"], "chameleon run -- sort"),
        (&["run", "--replicas", "x", "--", "true"], "invalid digit"),
        (&["run", "--quorum", "9", "--", "true"], "quorum"),
        (&["run", "--inject", "flip", "--", "true"], "KIND:LANE"),
        (&["run", "job.toml"], "did you mean \"tmr\"?"),
        (&["ps"], "chameleon dev --detach"),
    ];
    for (arguments, sentence) in table {
        let output = person.types(arguments);
        let told = text(&output.stderr);
        assert_eq!(code(&output), 125, "{arguments:?}: {told}");
        assert!(told.contains(sentence), "{arguments:?}: {told}");
    }
    let output = person.shell("$C run -- cat </");
    assert!(code(&output) == 125 && text(&output.stderr).contains("directory"), "{}", text(&output.stderr));
    assert_eq!(code(&person.command(CHAMELEON).arg("--help").output().unwrap()), 0);
}
