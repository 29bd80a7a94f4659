//! What holds for programs that run in a slot.

mod lane;

use std::time::{Duration, Instant};

use chameleon_core::job::{Files, InjectionKind};
use chameleon_core::names::Digest;
use chameleon_node::slot::{BlockedWhy, Exit, Slot, SlotError, SlotEvent};
use lane::{Lane, Place};

#[tokio::test]
async fn a_program_runs_and_what_it_prints_and_changes_is_held() {
    let place = Place::new();
    std::fs::write(place.path("old"), "old").unwrap();
    std::fs::write(place.path("gone"), "gone").unwrap();
    let mut lane = place.lane();
    let outcome = lane.sh("cat old; echo new > new; rm gone; echo complaint >&2; exit 3").await;
    assert_eq!(outcome.ended.exit, Exit::Code(3));
    assert_eq!(lane.stdout(&outcome), "old");
    assert_eq!(lane.stderr(&outcome), "complaint\n");
    assert_eq!(lane.changed(&outcome), ["- gone", "f new"]);
    assert!(place.path("gone").exists() && !place.path("new").exists());
}

#[tokio::test]
async fn every_execution_starts_from_the_same_state() {
    let place = Place::new();
    let mut lane = place.lane();
    let script = "ls; echo x > made; ls /tmp /dev/shm; echo y > /tmp/y; mkdir -p /tmp/a/b; echo $$; pwd; stat -fc %T .";
    for _ in 0..3 {
        let outcome = lane.sh(script).await;
        let pwd = lane::text(place.run.path());
        assert_eq!(lane.stdout(&outcome), format!("/dev/shm:\n\n/tmp:\n2\n{pwd}\noverlayfs\n"));
        assert_eq!(lane.changed(&outcome), ["f made"]);
    }
}

#[tokio::test]
async fn exits_are_told_apart() {
    let place = Place::new();
    let mut lane = place.lane();
    let cases = [
        ("exit 0", Exit::Code(0)),
        ("exit 255", Exit::Code(255)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -SEGV $$", Exit::Signal(11)),
        ("kill -PIPE $$", Exit::Signal(13)),
    ];
    for (script, exit) in cases {
        assert_eq!(lane.sh(script).await.ended.exit, exit, "{script}");
    }
}

#[tokio::test]
async fn commands_that_cannot_be_executed_are_refused_as_env_does() {
    let place = Place::new();
    std::fs::write(place.path("plain"), "").unwrap();
    let mut lane = place.lane();
    for (command, expected) in [("no-such-program", 127), ("./plain", 126), ("./absent", 127), ("/etc", 126)] {
        lane.start(&[command], None);
        let refused = loop {
            match lane.next().await {
                SlotEvent::Refused { code, why, .. } => break (code, why),
                SlotEvent::Ready => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused.0, expected, "{command}");
        assert!(refused.1.contains(command), "{}", refused.1);
    }
    assert_eq!(lane.sh("exit 4").await.ended.exit, Exit::Code(4));
}

#[tokio::test]
async fn a_script_without_a_first_line_is_run_by_the_shell_and_knows_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    std::fs::write(place.path("script"), "echo \"$0 $1\"").unwrap();
    std::fs::set_permissions(place.path("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut lane = place.lane();
    let outcome = lane.run(&["./script", "word"]).await;
    assert_eq!(lane.stdout(&outcome), "./script word\n");
}

#[tokio::test]
async fn nothing_outlives_an_execution_or_its_slot() {
    let place = Place::new();
    let mut lane = place.lane();
    let outcome = lane.sh("sleep 1000 & (setsid sleep 1000 &) ; trap '' TERM; echo done").await;
    assert_eq!(lane.stdout(&outcome), "done\n");
    let outcome = lane.sh("ls -d /proc/[0-9]* | wc -l; ls /proc | grep -c '^[0-9]'").await;
    assert!(lane.stdout(&outcome).trim_end().lines().all(|count| count.parse::<u32>().unwrap() <= 5));
    lane.start(&["sh", "-c", "sleep 1000 & sleep 1000"], None);
    let pid = started(&mut lane).await;
    drop(lane);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

async fn started(lane: &mut Lane) -> u32 {
    loop {
        match lane.next().await {
            SlotEvent::Started { pid, .. } => return pid,
            SlotEvent::Ready => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_slot_that_lost_its_shim_says_so_and_nothing_of_it_is_left() {
    let place = Place::new();
    let mut lane = place.lane();
    lane.start(&["sleep", "1000"], None);
    let pid = started(&mut lane).await;
    let shim = rustix::process::Pid::from_raw(lane.slot.shim_pid().cast_signed()).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(lane.next().await, SlotEvent::Lost { .. }));
    drop(lane);
    // Whose child it is then may be late to reap it.
    assert!(chameleon_node::process::Process::open_pid(pid).is_err(), "{pid} runs");
}

#[tokio::test]
async fn a_stopped_shim_does_not_answer_and_a_running_one_does_also_while_a_program_runs() {
    let place = Place::new();
    let mut lane = place.lane();
    assert!(matches!(lane.next().await, SlotEvent::Ready));
    lane.slot.ping(1).unwrap();
    assert!(matches!(lane.next().await, SlotEvent::Pong(1)));
    lane.start(&["sleep", "1000"], None);
    started(&mut lane).await;
    lane.slot.ping(2).unwrap();
    assert!(matches!(lane.next().await, SlotEvent::Pong(2)));
    let shim = rustix::process::Pid::from_raw(lane.slot.shim_pid().cast_signed()).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::STOP).unwrap();
    lane.slot.ping(3).unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), lane.slot.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    rustix::process::kill_process(shim, rustix::process::Signal::CONT).unwrap();
    assert!(matches!(lane.next().await, SlotEvent::Pong(3)));
}

#[tokio::test]
async fn a_program_can_be_killed_stopped_and_let_go_on() {
    let place = Place::new();
    let mut lane = place.lane();
    lane.start(&["sh", "-c", "while :; do :; done"], None);
    started(&mut lane).await;
    lane.slot.pause().unwrap();
    wait_until(&lane, |sample| sample.stopped).await;
    lane.slot.resume().unwrap();
    wait_until(&lane, |sample| !sample.stopped && sample.cpu > 20_000).await;
    lane.slot.kill().unwrap();
    let outcome = lane.finish().await;
    assert_eq!(outcome.ended.exit, Exit::Signal(9));
    assert!(outcome.ended.cpu > 20_000, "{}", outcome.ended.cpu);
    assert!(outcome.ended.max_rss > 100_000);
}

async fn wait_until(lane: &Lane, holds: impl Fn(chameleon_node::slot::Sample) -> bool) {
    let begin = Instant::now();
    while !holds(lane.slot.sample()) {
        assert!(begin.elapsed() < lane::BOUND, "{:?}", lane.slot.sample());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn output_is_reported_at_every_chunk_and_when_the_program_is_quiet() {
    let place = Place::new();
    let mut lane = place.lane();
    let script = "head -c 600000 /dev/zero; while [ ! -e /tmp/never ]; do sleep 0.01; done";
    lane.start(&["sh", "-c", script], None);
    let mut lengths = Vec::new();
    while lengths.last() != Some(&600_000) {
        if let SlotEvent::Output { prefix, .. } = lane.next().await {
            let expected = Digest(blake3_of_zeros(prefix.len));
            assert_eq!(prefix.digest, expected, "{}", prefix.len);
            assert_eq!(lane.slot.digest_at(prefix.len).unwrap(), Some(expected));
            lengths.push(prefix.len);
        }
    }
    assert!(lengths.contains(&262_144) && lengths.contains(&524_288), "{lengths:?}");
    assert_eq!(lane.slot.digest_at(300_000).unwrap(), Some(Digest(blake3_of_zeros(300_000))));
    lane.slot.kill().unwrap();
    assert_eq!(lane.finish().await.ended.stdout.len, 600_000);
}

fn blake3_of_zeros(len: u64) -> [u8; 32] {
    let folder = lane::folder(None);
    let file = folder.path().join("zeros");
    std::fs::File::create(&file).unwrap().set_len(len).unwrap();
    chameleon_node::files::blobs::digest_of(&file).unwrap().0.0
}

#[tokio::test]
async fn held_output_halts_the_program_and_nothing_is_lost() {
    let place = Place::new();
    let mut lane = place.lane();
    lane.slot.hold_output();
    lane.start(&["head", "-c", "5000000", "/dev/zero"], None);
    started(&mut lane).await;
    let silence = tokio::time::timeout(Duration::from_millis(200), lane.slot.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    lane.slot.release_output();
    let outcome = lane.finish().await;
    assert_eq!(outcome.ended.stdout.len, 5_000_000);
    assert_eq!(outcome.ended.stdout.digest, Digest(blake3_of_zeros(5_000_000)));
}

#[tokio::test]
async fn an_abandoned_execution_leaves_no_output() {
    let place = Place::new();
    let mut lane = place.lane();
    let first = lane.sh("echo first").await;
    lane.sh("echo second; echo second >&2").await;
    lane.slot.discard_last().unwrap();
    let third = lane.sh("echo third").await;
    assert_eq!(lane.stdout(&first), "first\n");
    assert_eq!((third.ended.stdout.offset, lane.stdout(&third).as_str()), (6, "third\n"));
    assert_eq!(third.ended.stderr.offset, 0);
}

#[tokio::test]
async fn faults_that_are_put_in_show() {
    let place = Place::new();
    let mut lane = place.lane();
    let good = lane.sh("echo right").await;
    lane.start(&["sh", "-c", "echo right"], Some(InjectionKind::Flip));
    let flipped = lane.finish().await;
    let [right, wrong] = [&good, &flipped].map(|outcome| lane.stdout(outcome));
    assert_eq!(right.bytes().zip(wrong.bytes()).filter(|(one, other)| one != other).count(), 1);
    assert_ne!(good.ended.stdout.digest, flipped.ended.stdout.digest);
    for script in ["exit 0", "sleep 1000"] {
        lane.start(&["sh", "-c", script], Some(InjectionKind::Kill));
        assert_eq!(lane.finish().await.ended.exit, Exit::Signal(9), "{script}");
    }
    lane.start(&["true"], Some(InjectionKind::Stop));
    started(&mut lane).await;
    wait_until(&lane, |sample| sample.stopped).await;
    lane.slot.kill().unwrap();
    lane.finish().await;
    lane.start(&["sh", "-c", "while :; do :; done"], Some(InjectionKind::Slow));
    let begin = Instant::now();
    started(&mut lane).await;
    wait_until(&lane, |sample| sample.cpu > 30_000).await;
    assert!(begin.elapsed() > Duration::from_millis(150), "{:?}", begin.elapsed());
    lane.slot.kill().unwrap();
    lane.finish().await;
}

#[tokio::test]
async fn only_the_run_directory_and_the_outputs_can_be_written_to() {
    let (place, outputs) = (Place::new(), lane::folder(Some("/var/tmp")));
    let whole = outputs.path().join("whole");
    std::fs::create_dir(&whole).unwrap();
    let named = outputs.path().join("named");
    let mut spec = place.spec();
    spec.outputs = vec![whole.clone(), named.clone()];
    let mut lane = Lane::open(spec);
    let script = format!(
        "echo 1 > {0}/in-it; echo 2 > {1}; echo 3 > {2}/next-to-it; echo 4 > /etc/forbidden; echo 5 > here; \
         touch /proc/sys/kernel/x; true",
        lane::text(&whole),
        lane::text(&named),
        lane::text(outputs.path()),
    );
    let outcome = lane.sh(&script).await;
    let manifest = lane.manifest(&outcome);
    let changed: Vec<_> = manifest.changes.iter().map(|change| (change.root, change.path.to_vec())).collect();
    assert_eq!(changed, [(0, b"here".to_vec()), (1, b"in-it".to_vec()), (2, b"named".to_vec())]);
    let outside = outcome.before.iter().filter_map(|event| match event {
        SlotEvent::Blocked { path, why: BlockedWhy::Outside, .. } => Some(path.clone()),
        _ => None,
    });
    assert_eq!(outside.collect::<Vec<_>>(), [outputs.path().join("next-to-it")]);
    assert!(lane.stderr(&outcome).contains("/etc/forbidden: Read-only file system"), "{}", lane.stderr(&outcome));
    assert!(std::fs::read_dir(&whole).unwrap().next().is_none() && !named.exists());
}

#[tokio::test]
async fn what_a_program_was_not_allowed_to_change_is_named_once_and_nothing_else_is() {
    let place = Place::new();
    let blocked = |outcome: &lane::Outcome| -> Vec<(String, BlockedWhy)> {
        let named = |event: &SlotEvent| match event {
            SlotEvent::Blocked { path, why, .. } => Some((lane::text(path).to_owned(), *why)),
            _ => None,
        };
        outcome.before.iter().filter_map(named).collect()
    };
    let mut lane = place.lane();
    let allowed = "echo x > f; echo x > /dev/null; mkdir -p /tmp/a d; rm f; mv d e; touch /dev/shm/x; cat /etc/passwd >&2; \
                   rm -f /etc/absent; mkdir -p /etc; chmod 700 e; ln -s a l; echo x > l; echo x 2>/no/such/folder/file; \
                   [ -w /etc/passwd ]; echo x > /dev/stderr; true";
    assert_eq!(blocked(&lane.sh(allowed).await), []);
    let cases = [
        ("echo x > /etc/new", "/etc/new"),
        ("echo x >> /etc/passwd; echo x >> /etc/passwd", "/etc/passwd"),
        ("cd /etc; rm passwd", "/etc/passwd"),
        ("mkdir /usr/new", "/usr/new"),
        ("mv /etc/passwd .", "/etc/passwd"),
        ("ln -s a /etc/new", "/etc/new"),
        ("touch /etc/new", "/etc/new"),
        ("chmod 777 /etc/passwd", "/etc/passwd"),
        ("ln -s /etc/passwd l; echo x > l", "/etc/passwd"),
        ("python3 -c 'import os; os.mkdir(\"new\", dir_fd=os.open(\"/usr\", 0))'", "/usr/new"),
    ];
    for (script, path) in cases {
        let named = blocked(&lane.sh(&format!("{script} 2>/dev/null; true")).await);
        let paths: Vec<_> = named.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, [path], "{script}");
    }
    let many = blocked(&lane.sh("for i in 1 2 3 4 5 6 7 8 9 10; do echo x 2>/dev/null > /etc/new$i; done").await);
    assert_eq!(many.len(), 8);
    let address = blocked(&lane.sh("python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80))'").await);
    assert_eq!(address, [("192.0.2.1:80".to_owned(), BlockedWhy::Network)]);
    drop(lane);
    let mut lane = Lane::open(chameleon_node::slot::SlotSpec { files: Files::None, ..place.spec() });
    let here = format!("{}/x", lane::text(place.run.path()));
    assert_eq!(blocked(&lane.sh("echo x > x").await), [(here, BlockedWhy::NoFiles)]);
}

#[tokio::test]
async fn inputs_and_the_program_stay_visible_beneath_hidden_directories() {
    use std::os::unix::fs::PermissionsExt;
    let (place, other) = (Place::new(), Place::new());
    let (input, program) = (other.path("deep/input"), other.path("program"));
    std::fs::create_dir(other.path("deep")).unwrap();
    std::fs::write(&input, "input").unwrap();
    std::fs::write(&program, "#!/bin/sh\ncat \"$1\"; ls \"$(dirname \"$1\")/..\"; echo x > \"$1\"").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(other.path("hidden"), "").unwrap();
    let mut spec = place.spec();
    spec.inputs = vec![input.clone()];
    spec.program = program.clone().into();
    let mut lane = Lane::open(spec);
    let outcome = lane.run(&[lane::text(&program), lane::text(&input)]).await;
    assert_eq!(lane.stdout(&outcome), "inputdeep\nprogram\n");
    assert!(lane.stderr(&outcome).contains("Read-only file system"), "{}", lane.stderr(&outcome));
}

#[tokio::test]
async fn without_an_overlay_the_run_directory_is_read_only_and_a_scratch_one_is_thrown_away() {
    let place = Place::new();
    std::fs::write(place.path("here"), "here").unwrap();
    let mut lane = Lane::open(chameleon_node::slot::SlotSpec { files: Files::None, ..place.spec() });
    let outcome = lane.sh("cat here; echo x > there").await;
    assert_eq!(lane.stdout(&outcome), "here");
    assert!(lane.stderr(&outcome).contains("Read-only file system"));
    drop(lane);
    let mut lane = Lane::open(chameleon_node::slot::SlotSpec { files: Files::Scratch, ..place.spec() });
    for _ in 0..2 {
        let outcome = lane.sh("ls; echo x > there; cat there").await;
        assert_eq!(lane.stdout(&outcome), "here\nx\n");
        assert_eq!(outcome.ended.changes, None);
    }
}

#[tokio::test]
async fn what_cannot_be_held_is_refused_by_name() {
    let place = Place::new();
    let refusal = |directory: &str, outputs: Vec<std::path::PathBuf>| {
        Slot::open(&chameleon_node::slot::SlotSpec { directory: directory.into(), outputs, ..place.spec() }).err()
    };
    assert!(matches!(refusal("/", vec![]), Some(SlotError::WholeSystem)));
    let error = refusal("/dev", vec![]).expect("it has mounts beneath").to_string();
    assert!(error.contains("/dev/") && error.contains("--files none"), "{error}");
    assert!(matches!(refusal("/no/such/place", vec![]), Some(SlotError::Path { .. })));
    assert!(matches!(refusal("/var", vec!["/no/such/output".into()]), Some(SlotError::Path { .. })));
}

#[tokio::test]
async fn the_network_is_off_but_for_loopback_unless_it_is_asked_for() {
    let place = Place::new();
    let interfaces = "sed -n 's/^ *\\([a-z0-9]*\\):.*/\\1/p' /proc/net/dev | sort | tr '\\n' ' '";
    let mut lane = place.lane();
    let outcome = lane.sh(interfaces).await;
    assert_eq!(lane.stdout(&outcome), "lo ");
    drop(lane);
    let mut lane = Lane::open(chameleon_node::slot::SlotSpec { net: true, ..place.spec() });
    let outcome = lane.sh("readlink /proc/self/ns/net").await;
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(lane.stdout(&outcome).trim_end(), ours.to_str().unwrap());
}

#[tokio::test]
async fn surroundings_are_the_same_for_every_lane() {
    let script = "cat /proc/self/maps | head -3; umask; cat /proc/self/stat | cut -d' ' -f1,4,5,6,7; \
                  cat /proc/sys/kernel/random/boot_id; env; grep Sig /proc/self/status";
    let place = Place::new();
    let other = Place::new();
    let mut lanes = [place.lane(), Lane::open(lane::spec(place.run.path(), other.keep.path()))];
    lanes[0].sh("true; true; sh -c 'exit 1'").await;
    let mut outputs = Vec::new();
    for lane in &mut lanes {
        let outcome = lane.sh(script).await;
        outputs.push(lane.stdout(&outcome));
    }
    assert_eq!(outputs[0], outputs[1]);
    assert!(outputs[0].contains("0022") && outputs[0].contains("SigBlk:\t0000000000000000"), "{}", outputs[0]);
    assert!(outputs[0].contains("SigIgn:\t0000000000000000"), "{}", outputs[0]);
}

#[tokio::test]
async fn standard_input_is_what_is_given_and_empty_if_nothing_is() {
    use chameleon_node::slot::Start;
    let place = Place::new();
    let mut lane = place.lane();
    let outcome = lane.run(&["wc", "-c"]).await;
    assert_eq!(lane.stdout(&outcome), "0\n");
    std::fs::write(place.path("input"), "four").unwrap();
    let stdin = Some(std::fs::File::open(place.path("input")).unwrap().into());
    let execution = outcome.ended.execution;
    let argv = vec![b"wc".to_vec().into(), b"-c".to_vec().into()];
    lane.slot.start(Start { execution, argv, stdin, fault: None }).unwrap();
    let outcome = lane.finish().await;
    assert_eq!(lane.stdout(&outcome), "4\n");
}

#[tokio::test]
async fn pipes_and_sockets_that_are_left_behind_are_named() {
    let place = Place::new();
    let mut lane = place.lane();
    let outcome = lane.sh("mkfifo pipe; echo x > file").await;
    assert_eq!(lane.changed(&outcome), ["f file"]);
    let expected = place.path("pipe");
    assert!(outcome.before.iter().any(|event| matches!(
        event,
        SlotEvent::Blocked { path, why: BlockedWhy::Unsupported, .. } if *path == expected
    )));
}

#[tokio::test]
async fn large_files_and_outputs_are_held_whole() {
    let place = Place::new();
    let mut lane = place.lane();
    let outcome = lane.sh("head -c 200000000 /dev/zero | tee file; cp file copy").await;
    assert_eq!(outcome.ended.stdout.len, 200_000_000);
    let changes = outcome.ended.changes.unwrap();
    assert_eq!((changes.count, changes.bytes), (2, 400_000_000));
    let contents = std::fs::read_dir(&lane.spec.blobs).unwrap();
    assert_eq!(contents.count(), 2, "one content for both files, and the manifest");
}

#[tokio::test]
async fn a_reopened_slot_continues_its_packs() {
    let place = Place::new();
    let mut lane = place.lane();
    let first = lane.sh("echo one").await;
    drop(lane);
    let mut lane = place.lane();
    let second = lane.sh("echo two").await;
    assert_eq!((lane.stdout(&first), lane.stdout(&second)), ("one\n".into(), "two\n".into()));
}

/// Run by the test below as a process of its own, which is killed; by itself it only shows that the slot works.
#[tokio::test]
async fn an_armor_with_a_program_that_never_ends() {
    let Some(report) = std::env::var_os("CHAMELEON_TEST_REPORT") else {
        let place = Place::new();
        assert_eq!(place.lane().sh("exit 5").await.ended.exit, Exit::Code(5));
        return;
    };
    let place = Place::new();
    let mut lane = place.lane();
    lane.start(&["sh", "-c", "sleep 1000 & setsid sleep 1000 & sleep 1000"], None);
    let pids = [started(&mut lane).await, lane.slot.shim_pid()];
    std::fs::write(report, format!("{} {}", pids[0], pids[1])).unwrap();
    std::future::pending().await
}

#[test]
fn an_armor_that_is_killed_leaves_nothing_running() {
    let folder = lane::folder(None);
    let report = folder.path().join("report");
    let mut armor = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_armor_with_a_program_that_never_ends", "--quiet"])
        .env("CHAMELEON_TEST_REPORT", &report)
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let pids = loop {
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        if let [program, shim] = text.split(' ').collect::<Vec<_>>()[..] {
            break [program, shim].map(|pid| rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap());
        }
        assert!(begin.elapsed() < lane::BOUND);
        std::thread::sleep(Duration::from_millis(5));
    };
    let open = |pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let pidfds = pids.map(open);
    armor.kill().unwrap();
    armor.wait().unwrap();
    for pidfd in &pidfds {
        let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
        let bound = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut polled, Some(&bound)), Ok(1));
    }
    // A killed ARMOR leaves its layers, which an ordinary removal cannot enter without privileges.
    chameleon_node::files::tree::remove(folder.path()).unwrap();
}

/// Run by the test below where `CHAMELEON_TEST_KEEP` lies on an overlay; by itself it keeps its things elsewhere.
#[tokio::test]
async fn a_lane_that_keeps_its_things_in_a_given_place() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let keep = std::env::var_os("CHAMELEON_TEST_KEEP").map_or(elsewhere.path("keep"), Into::into);
    std::fs::create_dir(place.path("d")).unwrap();
    for name in ["kept", "changed", "gone", "d/in"] {
        std::fs::write(place.path(name), name).unwrap();
    }
    let mut lane = Lane::open(lane::spec(place.run.path(), &keep));
    assert!(matches!(lane.next().await, SlotEvent::Ready));
    let copied = keep.join("slot/layers/0/copy").exists();
    assert_eq!(copied, std::env::var_os("CHAMELEON_TEST_KEEP").is_some());
    for _ in 0..2 {
        let outcome = lane.sh("cat *; echo new > changed; rm gone; mv d e; ls").await;
        assert_eq!(lane.stdout(&outcome), "changedgonekeptchanged\ne\nkept\n");
        assert_eq!(lane.changed(&outcome), ["f changed", "- d", "d e", "f e/in", "- gone"]);
    }
    let outcome = lane.sh("true").await;
    assert_eq!(outcome.ended.changes, None);
    assert!(place.path("d/in").exists());
}

#[test]
fn where_no_overlay_can_be_made_a_copy_serves() {
    let folder = lane::folder(Some("/var/tmp"));
    let base = lane::text(folder.path());
    let mount = format!(
        "cd {base} && mkdir lower upper work merged && \
         mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged"
    );
    let own_mounts = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--user", "--map-root-user", "sh", "-c", script, "sh"]);
        command
    };
    if !own_mounts(&format!("{mount} && rm -r merged/../work/*")).status().unwrap().success() {
        return println!("skipped: no overlay can be mounted here");
    }
    std::process::Command::new("rm")
        .args(["-rf", "lower", "upper", "work", "merged"])
        .current_dir(base)
        .status()
        .unwrap();
    let output = own_mounts(&format!("{mount} && exec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_lane_that_keeps_its_things_in_a_given_place"])
        .env("CHAMELEON_TEST_KEEP", folder.path().join("merged/keep"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
