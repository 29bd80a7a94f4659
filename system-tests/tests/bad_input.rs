//! Whatever is wrong: a clear error, nothing lost, nothing left behind.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chameleon_system_tests::skip::is_root;
use chameleon_system_tests::{Finished, Trial, skip};

/// Asserts that a refusal has this exit code and says all of these.
#[track_caller]
fn says(run: &Finished, code: i32, words: &[&str]) {
    assert_eq!(run.end.code(), code, "{run}");
    let said = run.err();
    let missing: Vec<&&str> = words.iter().filter(|word| !said.contains(**word)).collect();
    assert!(missing.is_empty(), "it does not say {missing:?}: {run}");
}

#[test]
fn wrong_words_are_refused_with_what_was_expected() {
    let cases: [(&str, i32, &[&str]); 10] = [
        ("--strategy tmrr -- true", 125, &["tmrr", "tmr"]),
        ("--strategy tmr --replicas 3 --quorum 4 -- true", 125, &["quorum", "4", "3"]),
        ("--strategy tmr --replicas 4 --quorum 2 -- true", 125, &["quorum", "both"]),
        ("--deadline 10 -- true", 125, &["10", "10s"]),
        ("--inject eat:1 -- true", 125, &["eat", "kill"]),
        ("--inject kill:7 -- true", 125, &["7"]),
        ("--strategy ./nowhere.toml -- true", 125, &["nowhere.toml"]),
        ("nowhere.toml", 125, &["nowhere.toml"]),
        ("--files overlai -- true", 125, &["overlay"]),
        ("--status-file no/such/place -- touch made", 125, &["status file", "no/such/place"]),
    ];
    for (words, code, expected) in cases {
        let trial = Trial::new();
        let run = trial.run(words).run();
        says(&run, code, expected);
        trial.nothing_is_left(&run);
    }
}

#[test]
fn a_wrong_file_is_refused_with_its_place() {
    let trial = Trial::new();
    trial.write(
        "job.toml",
        "[job]\nname = \"x\"\nstrategy = \"mine.toml\"\n[[stage]]\nname = \"s\"\ncommand = [\"true\"]\n",
    );
    trial.write("mine.toml", "about = \"x\"\nreplicas = 3\nquorum = 4\n");
    says(&trial.run("job.toml").run(), 125, &["mine.toml:3", "quorum"]);
    trial.write("mine.toml", "about = \"x\"\nreplicas = 3\nquorum = 2\n");
    let _ = trial.run("job.toml").run().exits(0);
    trial.write("job.toml", b"[job]\nname = \"\xff\"\n");
    says(&trial.run("job.toml").run(), 125, &["job.toml", "UTF-8"]);
}

#[test]
fn a_program_that_cannot_be_started_exits_as_env_would() {
    let trial = Trial::new();
    trial.write("text", "no program");
    trial.write("broken", "#!/no/such/interpreter\n");
    let chmod = trial.program("chmod").args(["+x", "broken"]).run();
    let _ = chmod.exits(0);
    says(&trial.run("-- no-such-program").run(), 127, &["no-such-program"]);
    says(&trial.run("-- ./missing").run(), 127, &["./missing"]);
    says(&trial.run("-- ./text").run(), 126, &["./text"]);
    says(&trial.run("-- .").run(), 126, &["."]);
    let broken = trial.run("-- ./broken").run();
    assert!([126, 127].contains(&broken.end.code()), "{broken}");
}

#[test]
fn an_unreadable_input_stops_all_lanes_before_they_start() {
    let trial = Trial::new();
    let run = trial.run("--input no/such/file -- touch made").run();
    says(&run, 125, &["no/such/file"]);
    assert!(!trial.directory().join("made").exists());
    trial.nothing_is_left(&run);
    let directory = fs::File::open(trial.directory()).unwrap();
    let run = trial.run("-- cat").stdin_from(directory).run();
    says(&run, 125, &["standard input"]);
}

#[test]
fn directories_that_cannot_be_held_are_refused_by_name() {
    let trial = Trial::new();
    let run = trial.run("-- true").directory(Path::new("/")).run();
    says(&run, 125, &["/", "--files none"]);
    trial.nothing_is_left(&run);
    let _ = trial.run("--files none -- pwd").directory(Path::new("/")).run().exits(0);
}

/// A small file system of its own beside the run directory, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: PathBuf, size: &str) -> Option<Mounted> {
        if !is_root("mount a small file system") {
            return None;
        }
        fs::create_dir_all(&at).expect("a directory");
        let options = std::ffi::CString::new(format!("size={size}")).expect("no NUL");
        let mounted =
            rustix::mount::mount("tmpfs", &at, "tmpfs", rustix::mount::MountFlags::empty(), options.as_c_str());
        if let Err(why) = mounted {
            skip(&format!("a tmpfs cannot be mounted here: {why}"));
            return None;
        }
        Some(Mounted(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_mount_beneath_the_run_directory_is_refused_by_name() {
    let trial = Trial::new();
    let Some(_mounted) = Mounted::tmpfs(trial.directory().join("below"), "1m") else { return };
    let run = trial.run("-- true").run();
    says(&run, 125, &["below"]);
    trial.nothing_is_left(&run);
}

#[test]
fn a_read_only_directory_is_seen_as_it_is() {
    let trial = Trial::new();
    let Some(mounted) = Mounted::tmpfs(trial.beside("fixed"), "1m") else { return };
    fs::write(mounted.0.join("kept"), "kept").unwrap();
    let remount = trial.program("mount").args(["-o", "remount,ro"]).args([&mounted.0]).run();
    let _ = remount.exits(0);
    let run = trial.run("-- sh -c").args(["cat kept; echo x > new || exit 3"]).directory(&mounted.0).run().exits(3);
    assert_eq!(run.out(), "kept", "{run}");
    trial.nothing_is_left(&run);
}

#[test]
fn a_run_directory_without_space_for_the_result_keeps_what_it_had() {
    let trial = Trial::new();
    let Some(mounted) = Mounted::tmpfs(trial.beside("small"), "2m") else { return };
    fs::write(mounted.0.join("kept"), "kept").unwrap();
    let before = chameleon_system_tests::tree::snapshot(&mounted.0);
    let script = "head -c 4000000 /dev/zero > large; echo changed > kept";
    let run = trial.run("-- sh -c").args([script]).directory(&mounted.0).run();
    says(&run, 125, &["No space left"]);
    let after = chameleon_system_tests::tree::snapshot(&mounted.0);
    assert_eq!(chameleon_system_tests::tree::differences(&before, &after), Vec::<String>::new());
    trial.nothing_is_left(&run);
}

#[test]
fn no_space_for_an_overlay_or_a_spool_is_a_clear_end() {
    let trial = Trial::new();
    let Some(mounted) = Mounted::tmpfs(trial.beside("small"), "3m") else { return };
    let held = trial.run("-- sh -c").args(["head -c 8000000 /dev/zero > large"]).env("TMPDIR", &mounted.0).run();
    assert_ne!(held.end.code(), 0, "{held}");
    assert!(!trial.directory().join("large").exists(), "{held}");
    trial.nothing_is_left(&held);
    let spooled = trial.run("-- wc -c").stdin(vec![0; 8_000_000]).env("TMPDIR", &mounted.0).run();
    says(&spooled, 125, &["No space left"]);
    trial.nothing_is_left(&spooled);
    let printed = trial.run("--hold -- head -c 8000000 /dev/zero").env("TMPDIR", &mounted.0).run();
    assert_ne!(printed.end.code(), 0, "{printed}");
    trial.nothing_is_left(&printed);
}

#[test]
fn a_second_system_on_one_home_is_refused() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let second = trial.chameleon(["dev", "--detach"]).run();
    says(&second, 125, &[trial.home().to_str().unwrap(), "--home"]);
    assert!(system.armors().iter().any(|armor| armor.kind == "ftm"), "the first is unharmed");
    system.down();
}

#[test]
fn without_a_standing_system_the_remedy_is_named() {
    let trial = Trial::new();
    for command in [&["ps"][..], &["armors"], &["events"], &["status", "j1"], &["cancel", "j1"], &["down"]] {
        let run = trial.chameleon(command).run();
        if command != ["down"] {
            says(&run, 125, &["chameleon dev"]);
        }
        trial.nothing_runs();
    }
}

#[test]
fn a_home_of_a_newer_version_is_left_as_it_is() {
    let trial = Trial::new();
    fs::create_dir(trial.home()).unwrap();
    fs::write(trial.home().join("version"), "4711\n").unwrap();
    let before = chameleon_system_tests::tree::snapshot(&trial.home());
    let run = trial.chameleon(["dev", "--detach"]).run();
    says(&run, 125, &["4711", trial.home().to_str().unwrap()]);
    assert_eq!(chameleon_system_tests::tree::snapshot(&trial.home()), before);
    trial.nothing_runs();
}

#[test]
fn a_directory_that_is_no_home_is_left_as_it_is() {
    let trial = Trial::new();
    trial.write("important", "thesis");
    let run = trial.chameleon(["dev", "--detach", "--home"]).args([trial.directory()]).run();
    says(&run, 125, &[trial.directory().to_str().unwrap()]);
    assert_eq!(trial.read("important"), b"thesis");
    assert_eq!(trial.tree().len(), 1);
}

#[test]
fn a_corrupt_store_is_named_and_kept() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let _ = system
        .submit_and_wait("[job]\nname = \"x\"\nstrategy = \"single\"\n[[stage]]\nname = \"s\"\ncommand = [\"true\"]\n");
    system.down();
    let store = trial.home().join("ftm/store.redb");
    fs::write(&store, vec![0x5a; 8192]).unwrap();
    let run = trial.chameleon(["dev", "--detach"]).run();
    says(&run, 125, &["store.redb"]);
    assert_eq!(fs::read(&store).unwrap(), vec![0x5a; 8192], "it is evidence");
    trial.nothing_runs();
}

#[test]
fn names_that_are_no_text_are_carried_byte_for_byte() {
    let trial = Trial::new();
    let name = OsStr::from_bytes(b"na\xffme\n");
    trial.write(name, "content");
    let run = trial.run("-- cp --").args([name, OsStr::from_bytes(b"co\xfepy")]).run().exits(0);
    assert_eq!(trial.read(OsStr::from_bytes(b"co\xfepy")), b"content", "{run}");
    let run = trial.run("-- printf %s").args([OsStr::from_bytes(b"\xff\xfe")]).run().exits(0);
    assert_eq!(run.stdout, b"\xff\xfe");
    let directory = trial.directory().join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir(&directory).unwrap();
    let _ = trial.run("-- touch here").directory(&directory).run().exits(0);
    assert!(directory.join("here").exists());
}

#[test]
fn a_job_that_is_not_there_is_named() {
    let trial = Trial::new();
    let system = trial.stand(1);
    for command in ["status", "result", "report", "logs", "cancel", "events", "forget"] {
        let run = system.command(&[command, "j99"]).run();
        says(&run, 125, &["j99"]);
    }
    system.down();
}
