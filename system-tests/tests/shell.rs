//! `chameleon run` behaves as the shell would: input, output, exit codes, signals, and nothing left behind.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use chameleon_system_tests::launch::{reading, writing};
use chameleon_system_tests::{End, Finished, Random, Trial, eventually};
use rustix::process::Signal;

#[test]
fn exit_codes_are_the_programs_own_and_the_status_file_says_whose() {
    let cases: [(&str, &[&str], i32, &str); 9] = [
        ("zero", &["--", "true"], 0, "result"),
        ("its own", &["--", "sh", "-c", "exit 3"], 3, "result"),
        ("its own 124", &["--", "sh", "-c", "exit 124"], 124, "result"),
        ("its own 123", &["--", "sh", "-c", "exit 123"], 123, "result"),
        ("a signal", &["--", "sh", "-c", "kill -TERM $$"], 143, "result"),
        ("missing", &["--", "no-such-program-anywhere"], 127, "result"),
        ("not executable", &["--", "/etc/passwd"], 126, "result"),
        ("deadline", &["--deadline", "300ms", "--", "sleep", "60"], 124, "deadline"),
        ("untrusted", &["--", "sh", "-c", "head -c 8 /dev/urandom | od"], 123, "untrusted"),
    ];
    for (what, arguments, code, outcome) in cases {
        let trial = Trial::new();
        let status = trial.beside("status");
        let run = trial.chameleon(["run", "--status-file"]).args([&status]).args(arguments).run();
        assert_eq!(run.end, End::Exit(code), "{what}: {run}");
        let status = std::fs::read(&status).unwrap_or_else(|why| panic!("{what}: no status file ({why}): {run}"));
        let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
        assert_eq!((&status["outcome"], &status["exit_code"]), (&outcome.into(), &code.into()), "{what}");
        trial.nothing_is_left(&run);
    }
}

#[test]
fn an_interrupt_cancels_and_leaves_nothing_behind() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let trial = Trial::new();
        let before = trial.tree();
        let started = trial.run("-- sh -c").args(["echo x > made; sleep 60 & sleep 60"]).start();
        eventually("the program runs in every lane", Duration::from_secs(20), || {
            let sleeping = |process: &&chameleon_system_tests::Process| process.command == ["sleep", "60"];
            (trial.processes().iter().filter(sleeping).count() == 6).then_some(())
        });
        started.process().expect("it runs").signal(signal).expect("it runs");
        let run = started.wait();
        assert!([End::Exit(code), End::Signal(code - 128)].contains(&run.end), "{run}");
        trial.nothing_is_left(&run);
        assert_eq!(trial.tree(), before, "nothing was committed");
    }
}

#[test]
fn an_interrupt_at_any_moment_leaves_nothing_behind() {
    let mut random = Random::new(7);
    for _ in 0..6 {
        let trial = Trial::new();
        let started = trial.run("-- sleep 60").start();
        std::thread::sleep(Duration::from_millis(random.below(120)));
        if let Some(process) = started.process() {
            process.signal(Signal::INT).expect("it runs");
        }
        let run = started.wait();
        assert_eq!(run.end.code(), 130, "{run}");
        trial.nothing_is_left(&run);
    }
}

#[test]
fn input_of_every_kind_reaches_every_lane_alike() {
    let text = Random::new(8).text(2_500_000);
    let trial = Trial::new();
    let path = trial.beside("input");
    std::fs::write(&path, &text).unwrap();
    let sums = |run: Finished| run.exits(0).out();
    let expected = sums(trial.program("sha256sum").stdin_from(reading(&path)).run());
    assert_eq!(sums(trial.run("-- sha256sum").stdin_from(reading(&path)).run()), expected, "a file");
    assert_eq!(sums(trial.run("-- sha256sum").stdin(text.clone()).run()), expected, "a pipe");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let feeder = std::thread::spawn(move || (&ours).write_all(&text));
    let from_socket = trial.run("-- sha256sum").stdin_from(std::os::fd::OwnedFd::from(theirs)).run();
    feeder.join().unwrap().unwrap();
    assert_eq!(sums(from_socket), expected, "a socket");
    let empty = sums(trial.program("sha256sum").run());
    assert_eq!(sums(trial.run("-- sha256sum").run()), empty, "/dev/null");
    assert_eq!(sums(trial.run("-- sha256sum").stdin("").run()), empty, "a pipe that says nothing");
}

#[test]
fn a_reader_that_has_enough_ends_the_run_as_it_ends_a_program() {
    let trial = Trial::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let started = trial.run("-- yes a long enough line").stdout_to(writer).start();
    let mut first = [0; 4096];
    reader.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"a long enough line\n"), "a decided prefix comes while the lanes still run");
    drop(reader);
    let run = started.wait();
    assert_eq!(run.end.code(), 141, "{run}");
    assert_eq!(run.err(), "", "nobody complains about a closed pipe");
    trial.nothing_is_left(&run);
}

#[test]
fn what_a_pipeline_sees_is_output_only() {
    let trial = Trial::new();
    let run = trial.run("-- sh -c").args(["echo out; echo err >&2"]).run().exits(0);
    assert_eq!((run.out().as_str(), run.err().as_str()), ("out\n", "err\n"), "no progress line, no report");
}

#[test]
fn the_file_that_output_goes_to_may_lie_in_the_run_directory() {
    let trial = Trial::new();
    let out = writing(&trial.directory().join("out"));
    let run = trial.run("-- sh -c").args(["echo hello; echo x > made"]).stdout_to(out).run().exits(0);
    assert_eq!(trial.read("out"), b"hello\n", "{run}");
    assert_eq!(trial.read("made"), b"x\n", "{run}");
}

#[test]
fn the_directory_and_the_environment_are_those_of_the_command() {
    let trial = Trial::new();
    let script = "pwd; echo $LIKE_THIS; umask";
    let run = trial.run("-- sh -c").args([script]).env("LIKE_THIS", "a  b").run().exits(0);
    let plain = trial.program("sh").args(["-c", script]).env("LIKE_THIS", "a  b").run().exits(0);
    assert_eq!(run.out(), plain.out());
}

#[test]
fn what_helps_common_runtimes_to_repeat_themselves_is_in_their_environment() {
    let trial = Trial::new();
    let script = "echo $PYTHONHASHSEED $PERL_HASH_SEED";
    let plain = trial.run("-- sh -c").args([script]).run().exits(0);
    let assisted = trial.run("--determinism assist -- sh -c").args([script]).env("PERL_HASH_SEED", "7").run().exits(0);
    assert_eq!((plain.out().as_str(), assisted.out().as_str()), ("\n", "0 7\n"));
}

#[test]
fn a_home_that_cannot_be_written_keeps_nobody_from_a_result() {
    let trial = Trial::new();
    let run = trial.run("-- sh -c").args(["echo x > made"]).env("HOME", "/dev/null").run().exits(0);
    assert_eq!(trial.read("made"), b"x\n", "{run}");
}

#[test]
fn the_network_is_off_unless_it_is_asked_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("if (exec 3<>/dev/tcp/127.0.0.1/{port}) 2> /dev/null; then echo reached; else echo not; fi");
    if !chameleon_system_tests::skip::has(&["bash"]) {
        return;
    }
    let trial = Trial::new();
    let off = trial.run("-- bash -c").args([&script]).run().exits(0);
    let on = trial.run("--net -- bash -c").args([&script]).run().exits(0);
    assert_eq!((off.out().as_str(), on.out().as_str()), ("not\n", "reached\n"));
}

#[test]
fn a_blocked_write_is_named_with_its_path_and_the_flag_that_allows_it() {
    let trial = Trial::new();
    let target = trial.beside("outside");
    let script = format!("echo x > {}", target.display());
    let run = trial.run("-- sh -c").args([&script]).run();
    assert_ne!(run.end.code(), 0, "{run}");
    assert!(!target.exists());
    let said = run.err();
    assert!(said.contains(target.to_str().unwrap()) && said.contains("--output"), "{said}");
    let run = trial.run("--output").args([&target]).args(["--", "sh", "-c", &script]).run().exits(0);
    assert_eq!(std::fs::read(&target).unwrap(), b"x\n", "{run}");
}

#[test]
fn what_cannot_be_kept_or_reached_is_named_as_what_it_is() {
    let trial = Trial::new();
    let pipe = trial.run("-- mkfifo left").run().exits(0);
    assert!(pipe.err().contains("left") && pipe.err().contains("not kept"), "{pipe}");
    assert!(!pipe.err().contains("--output"), "no flag would keep it: {pipe}");
    let none = trial.run("--files none -- sh -c").args(["echo > held"]).run();
    assert!(none.err().contains("--files overlay"), "{none}");
    if chameleon_system_tests::skip::has(&["bash"]) {
        let net = trial.run("-- bash -c").args(["echo > /dev/tcp/192.0.2.1/80"]).run();
        assert!(net.err().contains("reach 192.0.2.1:80") && net.err().contains("--net"), "{net}");
    }
}

#[test]
fn private_places_are_empty_for_every_lane_and_keep_nothing() {
    let trial = Trial::new();
    let name = format!("chameleon-private-{}", std::process::id());
    for place in ["/tmp", "/dev/shm"] {
        let outside = std::path::Path::new(place).join(&name);
        std::fs::write(&outside, "seen").unwrap();
        let script = format!("ls {place} | wc -l; echo x > {place}/{name}-mine; cat {place}/{name}-mine");
        let run = trial.run("-- sh -c").args([&script]).run();
        std::fs::remove_file(&outside).unwrap();
        assert_eq!(run.clone().exits(0).out().split_whitespace().collect::<Vec<_>>(), ["0", "x"], "{run}");
        assert!(!std::path::Path::new(place).join(format!("{name}-mine")).exists(), "{run}");
    }
}

#[test]
fn files_may_be_thrown_away_or_forbidden() {
    let trial = Trial::new();
    let before = trial.tree();
    let scratch = trial.run("--files scratch -- sh -c").args(["echo x > made; cat made"]).run().exits(0);
    assert_eq!(scratch.out(), "x\n");
    assert_eq!(trial.tree(), before, "scratch is thrown away");
    let none = trial.run("--files none -- sh -c").args(["echo x > made"]).run();
    assert_ne!(none.end.code(), 0, "{none}");
    assert_eq!(trial.tree(), before, "none forbids");
}

#[test]
fn a_fault_put_in_on_purpose_is_masked_marked_and_told() {
    for (kind, order) in [("kill", "space"), ("stop", "space"), ("flip", "space"), ("lie", "space"), ("flip", "time")] {
        let trial = Trial::new();
        let inject = format!("{kind}:1");
        let arguments = ["--order", order, "--inject", &inject, "--report", "--"];
        let script = "echo right; sleep 0.2; echo file > made";
        let run = trial.run("").args(arguments).args(["sh", "-c", script]).run().exits(0);
        assert_eq!(run.out(), "right\n", "{kind}: {run}");
        assert_eq!(trial.read("made"), b"file\n", "{kind}: {run}");
        assert!(run.err().contains("INJECTED"), "{kind} is marked: {run}");
        trial.nothing_is_left(&run);
    }
}

#[test]
fn a_wrong_lane_is_told_and_judged_also_when_the_output_is_out() {
    let trial = Trial::new();
    trial.write("patient.toml", "replicas = 3\npatience_percent = 10000\n");
    let words = "--strategy ./patient.toml --inject flip:1 --report -- sh -c";
    let run = trial.run(words).args(["echo right; sleep 0.3"]).run().exits(0);
    assert_eq!(run.out(), "right\n", "{run}");
    let told = run.err();
    assert!(told.contains("value in lane l1 — INJECTED"), "{run}");
    assert!(told.contains("transient fault: lane l1"), "it repeated the task: {run}");
    assert!(told.contains("Cost: 9 executions"), "three votes, and two lanes thrice more: {run}");
}

#[test]
fn a_conflicting_change_is_named_and_nothing_is_overwritten() {
    let trial = Trial::new();
    trial.write("shared", "old");
    let started = trial.run("-- sh -c").args(["echo mine > shared; echo other > made; sleep 1"]).start();
    eventually("a lane has written", Duration::from_secs(20), || {
        trial.processes().iter().any(|process| process.command == ["sleep", "1"]).then_some(())
    });
    trial.write("shared", "somebody else's");
    let run = started.wait();
    assert_eq!(run.end.code(), 123, "{run}");
    assert!(run.err().contains("shared"), "the conflict is named: {run}");
    assert_eq!(trial.read("shared"), b"somebody else's");
    assert!(!trial.directory().join("made").exists(), "all or nothing");
}

#[test]
fn a_job_may_be_read_from_a_file() {
    let trial = Trial::new();
    trial.write(
        "job.toml",
        "[job]\nname = \"sum\"\nstrategy = \"dual\"\n[[stage]]\nname = \"s\"\ntasks = \"0..5\"\n\
         command = [\"sh\", \"-c\", \"echo $(({task} + 1))\"]\n",
    );
    let run = trial.run("job.toml").run().exits(0);
    assert_eq!(run.out(), "1\n2\n3\n4\n5\n");
    trial.nothing_is_left(&run);
}

#[test]
fn a_user_is_notified_of_a_fault_with_a_command() {
    let trial = Trial::new();
    let told = trial.beside("told");
    let notify = format!("cat >> {}", told.display());
    // Of two lanes both are needed, so that the wrong one cannot come too late to be noticed.
    let words = ["run", "--strategy", "dual", "--notify", &notify, "--inject", "flip:1", "--", "echo", "x"];
    let run = trial.chameleon(words).run().exits(0);
    let text = std::fs::read_to_string(&told).unwrap_or_else(|why| panic!("{why}: {run}"));
    assert!(!text.is_empty(), "{run}");
}

#[test]
fn complaints_that_nobody_takes_change_no_result() {
    let trial = Trial::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let script = "echo complaint >&2; echo result; exit 4";
    let run = trial.run("-- sh -c").args([script]).stderr_to(full()).run();
    assert_eq!((run.end.code(), run.out().as_str()), (4, "result\n"), "{run}");
    let refused = trial.run("nowhere.toml").stderr_to(full()).run();
    assert_eq!(refused.end.code(), 125, "{refused}");
    let closed = trial.program("sh").args(["-c", "exec \"$0\" run -- sh -c \"$1\" 2>&-"]);
    let run = closed.args([chameleon_system_tests::binary::chameleon().as_os_str(), script.as_ref()]).run();
    assert_eq!((run.end.code(), run.out().as_str()), (4, "result\n"), "{run}");
}

#[test]
fn a_terminal_shows_how_the_lanes_fare_and_loses_nothing_of_the_output() {
    if !chameleon_system_tests::skip::has(&["script"]) {
        return;
    }
    let trial = Trial::new();
    let chameleon = chameleon_system_tests::binary::chameleon();
    let command = format!("{} run -- sh -c 'sleep 1.5; printf half; sleep 1; echo line'", chameleon.display());
    let shown = trial.program("script").args(["-qec", &command, "/dev/null"]).run().exits(0).out();
    assert!(shown.contains("l2") && shown.contains("printed"), "a line a lane: {shown:?}");
    assert!(shown.contains("halfline"), "nothing is drawn behind half a line: {shown:?}");
}

#[test]
fn output_that_cannot_be_written_is_a_failure_that_says_so() {
    let trial = Trial::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = trial.run("-- echo hello").stdout_to(full).run().exits(125);
    assert!(run.err().contains("standard output"), "{run}");
    trial.nothing_is_left(&run);
    let closed = trial.program("sh").args(["-c", "exec \"$0\" run -- echo hello >&-"]);
    let run = closed.args([chameleon_system_tests::binary::chameleon()]).stdout_to(Stdio::null()).run();
    assert!(run.end.code() == 125 || run.end.code() == 0, "{run}");
    trial.nothing_is_left(&run);
}
