//! Bytes between the hosts of one system, each with a directory of its own: inputs go out, results come back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use chameleon_system_tests::launch::reading;
use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Standing, Trial, eventually};
use rustix::process::Signal;

fn job(settings: &str, script: &str) -> String {
    format!(
        "[job]\nname = \"t\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\n{settings}\n\
         command = [\"sh\", \"-c\", '''{script}''']\n"
    )
}

/// A field of a process's own account, such as `wchar` of `io` or `VmHWM` of `status`.
fn account(armor: &Armor, file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", armor.pid)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// The directory of a job on a host.
fn on_host(trial: &Trial, host: u32, job: &str) -> PathBuf {
    trial.home().join(format!("hosts/h{host}/jobs/{job}"))
}

fn hosts_of_lanes(system: &Standing<'_>, job: &str) -> Vec<String> {
    let mut rows = system.armors();
    rows.retain(|armor| armor.kind == "execution" && armor.job.as_deref() == Some(job));
    rows.into_iter().map(|armor| armor.host).collect()
}

#[test]
fn a_run_directory_goes_to_lanes_on_other_hosts_and_what_they_change_comes_back() {
    let trial = Trial::new();
    trial.write("in.txt", "what is read\n");
    trial.write("tool", "#!/bin/sh\necho by a tool\n");
    fs::set_permissions(trial.directory().join("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    trial.write("old", "old");
    let system = trial.stand(3);
    let script = "ls; cat in.txt; ./tool; echo made > made; echo new > old; sleep 0.5";
    let id = system.submit(&job("", script));
    let lanes = eventually("three lanes run", Duration::from_secs(30), || {
        Some(hosts_of_lanes(&system, &id)).filter(|lanes| lanes.len() == 3)
    });
    assert_eq!(
        lanes.iter().collect::<std::collections::BTreeSet<_>>().len(),
        3,
        "each on a host of its own: {lanes:?}"
    );
    let row = system.await_end(&id);
    assert_eq!((&row["state"], &row["exit_code"]), (&"result".into(), &0.into()), "{row}");
    let expected = "in.txt\nold\ntool\nwhat is read\nby a tool\n";
    assert_eq!(system.command(&["result", &id]).run().exits(0).out(), expected);
    assert_eq!((trial.read("made"), trial.read("old")), (b"made\n".to_vec(), b"new\n".to_vec()));
    let events = system.command(&["events", &id, "--json"]).run().exits(0).out();
    assert!(!events.contains("\"dissent\""), "no lane saw anything else: {events}");
    for host in 1..=3 {
        let packs = system.command(&["logs", &id, "--json"]).run().exits(0).json();
        let lies_there = |row: &serde_json::Value| row["host"] == format!("h{host}");
        assert!(packs.as_array().unwrap().iter().any(lies_there), "{packs}");
    }
    system.down();
}

#[test]
fn lanes_elsewhere_see_what_was_declared_and_nothing_else() {
    let trial = Trial::new();
    trial.write("in.txt", "declared\n");
    trial.write("other.txt", "not declared\n");
    let outside = trial.beside("outside.txt");
    fs::write(&outside, "from outside\n").unwrap();
    let system = trial.stand(3);
    let settings = format!("inputs = [\"in.txt\", \"{}\"]\nfiles = \"scratch\"", outside.display());
    let script = format!("cat in.txt {}; test -e other.txt && echo sees more; true", outside.display());
    let ended = system.submit_and_wait(&job(&settings, &script)).exits(0);
    let id = ended.out().trim().to_owned();
    let result = system.command(&["result", &id]).run().exits(0).out();
    assert_eq!(result, "declared\nfrom outside\n", "the two lanes on the other hosts decide");
    system.down();
}

#[test]
fn a_result_is_read_from_the_next_host_when_one_has_lost_it_or_has_other_bytes() {
    let trial = Trial::new();
    let system = trial.stand(3);
    let ended = system.submit_and_wait(&job("files = \"none\"", "echo right; echo word >&2")).exits(0);
    let id = ended.out().trim().to_owned();
    let result = || system.command(&["result", &id]).run();
    eventually("all lanes' packs are there", Duration::from_secs(10), || (packs(&trial, &id).len() >= 2).then_some(()));
    for damage in [(|path| fs::write(path, "wrong\n").unwrap()) as fn(&PathBuf), |path| fs::remove_file(path).unwrap()]
    {
        for pack in packs(&trial, &id) {
            let kept = fs::read(&pack).unwrap();
            damage(&pack);
            assert_eq!(result().exits(0).out(), "right\n", "without {}", pack.display());
            fs::write(&pack, kept).unwrap();
        }
    }
    for pack in packs(&trial, &id) {
        fs::write(&pack, "wrong\n").unwrap();
    }
    let refused = result().exits(125);
    assert_eq!(refused.out(), "", "not a byte of it");
    system.down();
}

fn packs(trial: &Trial, job: &str) -> Vec<PathBuf> {
    let lanes = (1..=3).flat_map(|host| (0..3).map(move |lane| (host, lane)));
    let packs = lanes.map(|(host, lane)| on_host(trial, host, job).join(format!("lane-{lane}/slot-0/out.pack")));
    packs.filter(|pack| fs::metadata(pack).is_ok_and(|data| data.len() > 0)).collect()
}

#[test]
fn a_daemon_that_dies_while_it_gives_an_input_away_costs_nobody_the_job() {
    let trial = Trial::new();
    let bytes: Vec<u8> = (0..64_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    trial.write("big", &bytes);
    let system = trial.stand(3);
    let id = system.submit(&job("inputs = [\"big\"]\nfiles = \"none\"", "cksum < big"));
    let arriving = || {
        let entries =
            (2..=3).flat_map(|host| fs::read_dir(on_host(&trial, host, &id).join("blobs")).into_iter().flatten());
        let mut names = entries.flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().ends_with("arriving")).then_some(())
    };
    eventually("it is on its way", Duration::from_secs(60), arriving);
    let daemon = system.armors().into_iter().find(|armor| armor.id == "daemon-h1").expect("it is listed");
    daemon.process().expect("it runs").signal(Signal::KILL).expect("it can be killed");
    let row = system.await_end(&id);
    assert_eq!((&row["state"], &row["exit_code"]), (&"result".into(), &0.into()), "{row}");
    let plain = trial.program("sh").args(["-c", "cksum < big"]).run().exits(0).out();
    assert_eq!(system.command(&["result", &id]).run().exits(0).out(), plain);
    system.down();
}

#[test]
fn a_program_is_built_once_on_each_host_before_its_lanes_start() {
    let trial = Trial::new();
    trial.write("src/tool.in", "echo built\n");
    trial.write("in.txt", "what is read\n");
    trial.write("other.txt", "no source, and not seen");
    let system = trial.stand(3);
    let job = |builds: &str| {
        format!(
            "[job]\nname = \"t\"\nstrategy = \"tmr\"\n[job.build]\nsource = [\"src\"]\noutputs = [\"bin\"]\n\
             command = [\"sh\", \"-c\", '''{builds}''']\n[[stage]]\nname = \"s\"\ninputs = [\"in.txt\"]\n\
             command = [\"sh\", \"-c\", 'ls; bin/tool; cat in.txt; echo made > made']\n"
        )
    };
    let builds = "mkdir bin; (echo '#!/bin/sh'; cat src/tool.in) > bin/tool; chmod +x bin/tool; test -e other.txt && exit 9; date > stamp";
    // Kept for the next job, and made anew of other sources.
    for (round, (source, built)) in [("built", 3), ("built", 3), ("anew", 6)].into_iter().enumerate() {
        trial.write("src/tool.in", format!("echo {source}\n"));
        let ended = system.submit_and_wait(&job(builds)).exits(0);
        let id = ended.out().trim().to_owned();
        let result = system.command(&["result", &id]).run().exits(0).out();
        assert_eq!(result, format!("bin\nin.txt\n{source}\nwhat is read\n"), "round {round}");
        assert_eq!(trial.read("made"), b"made\n");
        assert!(!trial.directory().join("bin").exists(), "what was built is nobody's result");
        let kept = |host| trial.home().join(format!("hosts/h{host}/builds"));
        let all = (1..=3).flat_map(|host| fs::read_dir(kept(host)).unwrap()).flatten();
        assert_eq!(all.filter(|entry| entry.path().join("outputs").exists()).count(), built, "round {round}");
        fs::remove_file(trial.directory().join("made")).unwrap();
    }
    let failed = system.submit_and_wait(&job("echo 'tool.in:1: no such word' >&2; exit 2")).exits(125);
    let told = failed.err();
    for word in ["the build of", " on h", "exit 2", "no such word"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let nothing = system.submit_and_wait(&job("true")).exits(125).err();
    assert!(nothing.contains("it made no") && nothing.contains("bin"), "{nothing}");
    system.down();
}

#[test]
fn lanes_run_what_was_built_for_them_and_not_what_lies_in_its_place() {
    let trial = Trial::new();
    let stale = trial.write("bin/tool", "#!/bin/sh\necho stale\n");
    fs::set_permissions(stale, fs::Permissions::from_mode(0o755)).unwrap();
    trial.write("src/tool.in", "echo built; [ -z \"$1\" ] || echo seen > bin/$1\n");
    let system = trial.stand(3);
    let text = "[job]\nname = \"t\"\nstrategy = \"tmr\"\n[job.build]\nsource = [\"src\"]\noutputs = [\"bin/tool\"]\n\
        command = [\"sh\", \"-c\", 'mkdir -p bin; (echo \"#!/bin/sh\"; cat src/tool.in) > bin/tool; chmod +x bin/tool']\n\
        [[stage]]\nname = \"s\"\ncommand = [\"./bin/tool\", \"log\"]\n[[stage]]\nname = \"again\"\ncommand = [\"bin/tool\"]\n";
    let ended = system.submit_and_wait(text).exits(0);
    let result = system.command(&["result", ended.out().trim()]).run().exits(0).out();
    assert_eq!(result, "built\nbuilt\n");
    assert_eq!(trial.read("bin/log"), b"seen\n");
    assert_eq!(trial.read("bin/tool"), b"#!/bin/sh\necho stale\n", "what was built is nobody's result");
    system.down();
}

#[test]
fn a_large_input_travels_once_to_each_host_and_through_little_memory() {
    const LENGTH: u64 = 200_000_000;
    let trial = Trial::new();
    let bytes: Vec<u8> = (0..LENGTH).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    trial.write("big", &bytes);
    drop(bytes);
    let system = trial.stand(3);
    // Two tasks in each lane: they share what came.
    let settings = "inputs = [\"big\"]\nfiles = \"none\"\ntasks = \"0..2\"";
    let id = system.submit(&job(settings, "cksum < big; sleep 1; echo {task}"));
    let armors = eventually("the lanes have it", Duration::from_secs(120), || {
        let arrived = |host| {
            let blobs = fs::read_dir(on_host(&trial, host, &id).join("blobs")).into_iter().flatten().flatten();
            let mut lengths = blobs.filter(|blob| blob.path().extension().is_none()).map(|blob| blob.metadata());
            lengths.any(|data| data.is_ok_and(|data| data.len() == LENGTH))
        };
        (arrived(2) && arrived(3)).then(|| system.armors())
    });
    for armor in armors.iter().filter(|armor| armor.kind == "execution" || armor.kind == "daemon") {
        let most = account(armor, "status", "VmHWM");
        assert!(most < 64 << 10, "{} took {most} KiB", armor.id);
    }
    let elsewhere = armors.iter().filter(|armor| armor.kind == "execution" && armor.host != "h1");
    let written: Vec<u64> = elsewhere.map(|armor| account(armor, "io", "wchar")).collect();
    let once = LENGTH..LENGTH + LENGTH / 2;
    assert!(written.len() == 2 && written.iter().all(|bytes| once.contains(bytes)), "written elsewhere: {written:?}");
    let row = system.await_end(&id);
    assert_eq!((&row["state"], &row["exit_code"]), (&"result".into(), &0.into()), "{row}");
    system.down();
}

#[test]
fn what_a_stage_printed_on_one_host_is_read_on_the_others() {
    let trial = Trial::new();
    let system = trial.stand(3);
    let stages = "[job]\nname = \"t\"\nstrategy = \"tmr\"\n[placement]\ndistinct = [\"host\"]\n\
        [[stage]]\nname = \"a\"\nstrategy = \"single\"\nfiles = \"none\"\ncommand = [\"seq\", \"200000\"]\n\
        [[stage]]\nname = \"b\"\nfiles = \"none\"\nstdin = { stage = \"a\" }\ncommand = [\"sort\", \"-rn\"]\n\
        [[stage]]\nname = \"c\"\nfiles = \"none\"\nstdin = { stage = \"b\" }\ncommand = [\"head\", \"-n\", \"2\"]\n";
    let ended = system.submit_and_wait(stages).exits(0);
    let id = ended.out().trim().to_owned();
    let result = system.command(&["result", &id]).run().exits(0).out();
    assert!(result.ends_with("\n1\n200000\n199999\n"), "{}", &result[result.len().saturating_sub(40)..]);
    let printed: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    let blob = chameleon_system_tests::tree::digest_of(printed.as_bytes()).unwrap().0.to_hex();
    let fetched = (1..=3).filter(|host| on_host(&trial, *host, &id).join(format!("blobs/{blob}")).exists()).count();
    assert_eq!(fetched, 2, "once to each host that did not make it");
    system.down();
}

#[test]
fn standard_input_reaches_lanes_on_other_hosts() {
    let trial = Trial::new();
    let system = trial.stand(3);
    let text = "one\ntwo\n".repeat(50_000);
    let ran = system.command(&["run", "--", "sort", "-u"]).stdin(text.as_bytes()).run().exits(0);
    assert_eq!(ran.out(), "one\ntwo\n");
    trial.write("file", &text);
    let ran =
        system.command(&["run", "--", "wc", "-l"]).stdin_from(reading(&trial.directory().join("file"))).run().exits(0);
    assert_eq!(ran.out().trim(), "100000");
    system.down();
}
