//! What holds for commits: all or nothing, nobody's work overwritten, and a crash between any two steps made good.

mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use chameleon_node::files::commit::{Commit, CommitError, Recovered, commit, forget, roll_forward};
use chameleon_node::files::manifest::Manifest;
use tree::{World, changed_world, edit, state};

fn commit_to(world: &World, manifest: &Manifest, between: &mut dyn FnMut(&str)) -> Result<(), CommitError> {
    let (blobs, pointers) = (world.blobs(), world.pointers());
    commit(&Commit { id: "j1", manifest, blobs: &blobs, pointers: &pointers, own: &[] }, between)
}

fn states(world: &World) -> [BTreeMap<String, String>; 2] {
    [state(&world.root("run")), state(&world.root("out"))]
}

fn copies(world: &World) -> [BTreeMap<String, String>; 2] {
    [state(&world.copy("run")), state(&world.copy("out"))]
}

#[test]
fn every_kind_of_change_in_every_root_is_committed_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let world = changed_world(folder.path());
    let manifest = world.harvest();
    commit_to(&world, &manifest, &mut |_| {}).unwrap();
    assert_eq!(states(&world), copies(&world));
    commit_to(&world, &manifest, &mut |_| panic!("it was done already")).unwrap();
    forget(&world.pointers(), "j1").unwrap();
    assert_eq!(fs::read_dir(world.pointers()).unwrap().count(), 0);
}

#[test]
fn files_keep_the_times_that_the_program_gave_them() {
    let folder = tempfile::tempdir().unwrap();
    let world = changed_world(folder.path());
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(world.copy("run").join("new")).unwrap().set_modified(old).unwrap();
    commit_to(&world, &world.harvest(), &mut |_| {}).unwrap();
    assert_eq!(fs::metadata(world.root("run").join("new")).unwrap().modified().unwrap(), old);
}

#[test]
fn what_someone_else_changed_meanwhile_is_named_and_not_overwritten() {
    let cases: &[(&str, &str)] = &[
        ("changed", "f changed 644 mine"),
        ("gone", "f gone 600 mine"),
        ("new", "f new 644 mine"),
        ("tree", "f tree/in/c 644 mine"),
        ("tree", "f tree/in/b 644 mine"),
        ("directory-to-file", "- directory-to-file"),
        ("link", "- link"),
    ];
    for (path, meanwhile) in cases {
        let folder = tempfile::tempdir().unwrap();
        let world = changed_world(folder.path());
        let manifest = world.harvest();
        edit(&world.root("out"), &[meanwhile]);
        let before = states(&world);
        let error = commit_to(&world, &manifest, &mut |_| {}).unwrap_err();
        let CommitError::Conflict { paths } = error else { panic!("{meanwhile}: {error}") };
        assert_eq!(paths, [world.root("out").join(path)], "{meanwhile}");
        assert_eq!(states(&world), before, "{meanwhile}");
    }
}

#[test]
fn what_someone_else_changed_while_the_program_ran_is_a_conflict_too() {
    let folder = tempfile::tempdir().unwrap();
    let since = chameleon_node::files::tree::Time(0, 0);
    let world = changed_world(folder.path());
    let error = commit_to(&world, &world.harvest_since(since), &mut |_| {}).unwrap_err();
    assert!(matches!(error, CommitError::Conflict { .. }), "{error}");
}

#[test]
fn changes_next_to_what_the_program_touched_and_to_our_own_files_are_no_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let world = changed_world(folder.path());
    let manifest = world.harvest();
    edit(&world.root("run"), &["f kept 644 theirs", "f other 644 theirs", "f changed 644 ours"]);
    let (blobs, pointers, own) = (world.blobs(), world.pointers(), [world.root("run").join("changed")]);
    let job = Commit { id: "j1", manifest: &manifest, blobs: &blobs, pointers: &pointers, own: &own };
    commit(&job, &mut |_| {}).unwrap();
    let after = state(&world.root("run"));
    assert_eq!((&after["kept"][..], &after["changed"][..]), ("file 644 theirs", "file 644 new"));
}

#[test]
fn a_rotten_content_stops_the_commit_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let world = changed_world(folder.path());
    let manifest = world.harvest();
    for blob in fs::read_dir(world.base.join("blobs")).unwrap() {
        fs::write(blob.unwrap().path(), "rotten").unwrap();
    }
    let before = states(&world);
    let error = commit_to(&world, &manifest, &mut |_| {}).unwrap_err();
    assert!(matches!(error, CommitError::Staging(_)), "{error}");
    assert_eq!(states(&world), before);
    assert_eq!(fs::read_dir(world.pointers()).unwrap().count(), 0);
}

#[test]
fn of_many_who_carry_out_the_same_commit_at_once_one_does_and_all_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let world = changed_world(folder.path());
    let manifest = world.harvest();
    let patiently = || loop {
        match commit_to(&world, &manifest, &mut |_| {}) {
            Err(CommitError::Alive { .. }) => std::thread::yield_now(),
            outcome => return outcome,
        }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(patiently)).collect();
        all.into_iter().for_each(|one| one.join().unwrap().unwrap());
    });
    assert_eq!(states(&world), copies(&world));
    assert_eq!(tree_names(&world.pointers()), ["j1.done"]);
}

fn tree_names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn a_commit_that_is_alive_is_not_rolled_forward_by_anyone_else() {
    let folder = tempfile::tempdir().unwrap();
    let world = changed_world(folder.path());
    let manifest = world.harvest();
    let mut seen = None;
    commit_to(&world, &manifest, &mut |step| {
        if step == "step" && seen.is_none() {
            seen = Some(roll_forward(&world.pointers(), &mut |_| panic!("nothing is to be done")).unwrap());
        }
    })
    .unwrap();
    assert_eq!(seen, Some(vec![Recovered::Alive { id: "j1".into() }]));
}

const WORLD: &str = "CHAMELEON_TEST_WORLD";
const MANIFEST: &str = "CHAMELEON_TEST_MANIFEST";
const KILL_BEFORE: &str = "CHAMELEON_TEST_KILL_BEFORE";
const ACTION: &str = "CHAMELEON_TEST_ACTION";

/// Run by the tests below as a process of its own, which it kills before a given step; by itself it commits in peace.
#[test]
fn a_process_that_commits() {
    let Ok(base) = std::env::var(WORLD) else {
        let folder = tempfile::tempdir().unwrap();
        let world = changed_world(folder.path());
        return commit_to(&world, &world.harvest(), &mut |_| {}).unwrap();
    };
    // The world is the other process's: it is left as it is.
    let world = std::mem::ManuallyDrop::new(World { base: base.into() });
    let mut left: u32 = std::env::var(KILL_BEFORE).unwrap().parse().unwrap();
    let mut between = |_: &str| {
        if left == 0 {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        left -= 1;
    };
    if std::env::var(ACTION).unwrap() == "commit" {
        let bytes = fs::read(std::env::var(MANIFEST).unwrap()).unwrap();
        commit_to(&world, &minicbor::decode(&bytes).unwrap(), &mut between).unwrap();
    } else {
        roll_forward(&world.pointers(), &mut between).unwrap();
    }
}

/// Lets another process do it and kills it before step `step`; `false`: it came to its end.
fn is_killed(world: &World, action: &str, manifest: &Path, step: u32) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_commits", "--quiet"])
        .envs([(WORLD, world.base.as_path()), (MANIFEST, manifest), (ACTION, Path::new(action))])
        .env(KILL_BEFORE, step.to_string())
        .output()
        .unwrap()
        .status;
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

struct Attempt {
    // Dropped first, so that the folder can be removed.
    world: World,
    folder: tempfile::TempDir,
    before: [BTreeMap<String, String>; 2],
}

impl Attempt {
    fn new() -> Attempt {
        // In memory where possible: a hundred commits take a while to be made durable on a disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let world = changed_world(folder.path());
        fs::write(folder.path().join("manifest"), minicbor::to_vec(world.harvest()).unwrap()).unwrap();
        let before = states(&world);
        Attempt { world, folder, before }
    }

    fn is_killed(&self, action: &str, step: u32) -> bool {
        is_killed(&self.world, action, &self.folder.path().join("manifest"), step)
    }

    /// No file is half written: each is as it was or as it will be.
    fn assert_whole(&self) {
        for ((now, before), after) in states(&self.world).iter().zip(&self.before).zip(copies(&self.world)) {
            let files = now.iter().filter(|(path, is)| is.starts_with("file") && !path.contains(".chameleon-commit"));
            for (path, is) in files {
                assert!(before.get(path) == Some(is) || after.get(path) == Some(is), "{path} is {is}");
            }
        }
    }

    /// After the next start everything is done, or nothing is; and whoever asks for it again, not knowing which, has
    /// it done. Returns whether it was before it was asked for again.
    fn assert_recovered(&self) -> bool {
        roll_forward(&self.world.pointers(), &mut |_| {}).unwrap();
        let now = states(&self.world);
        assert!(now == self.before || now == copies(&self.world), "{now:#?}");
        let bytes = fs::read(self.folder.path().join("manifest")).unwrap();
        commit_to(&self.world, &minicbor::decode(&bytes).unwrap(), &mut |_| {}).unwrap();
        assert_eq!(states(&self.world), copies(&self.world));
        now != self.before
    }
}

#[test]
fn killed_before_any_step_it_is_done_wholly_or_not_at_all_after_the_next_start() {
    let mut done = Vec::new();
    for step in 0.. {
        let attempt = Attempt::new();
        let killed = attempt.is_killed("commit", step);
        attempt.assert_whole();
        done.push(attempt.assert_recovered());
        if !killed {
            break;
        }
    }
    let first = done.iter().position(|done| *done).expect("it is done at last");
    let (kept, finished) = done.split_at(first);
    assert!(kept.len() > 20 && finished.len() > 40 && finished.iter().all(|done| *done), "{done:?}");
}

#[test]
fn killed_again_before_any_step_of_the_recovery_it_is_still_done_wholly() {
    let begun = (0..).find(|step| {
        let attempt = Attempt::new();
        attempt.is_killed("commit", *step) && attempt.assert_recovered()
    });
    for step in 0.. {
        let attempt = Attempt::new();
        assert!(attempt.is_killed("commit", begun.unwrap() + 10));
        let killed = attempt.is_killed("recover", step);
        attempt.assert_whole();
        assert!(attempt.assert_recovered());
        if !killed {
            assert!(step > 30);
            break;
        }
    }
}

/// Run by the test below where the run directory lies on a tiny disk; by itself there is room enough.
#[test]
fn a_commit_of_a_large_file() {
    let given = std::env::var_os("CHAMELEON_TEST_TINY");
    let folder = tempfile::tempdir().unwrap();
    let base = given.as_ref().map_or(folder.path(), Path::new);
    let world = World::new(base);
    edit(&world.root("run"), &["f changed 644 old"]);
    edit(&world.copy("run"), &["f changed 644 new"]);
    fs::write(world.copy("run").join("large"), vec![7; 1_000_000]).unwrap();
    let before = states(&world);
    let result = commit_to(&world, &world.harvest(), &mut |_| {});
    if given.is_none() {
        return result.unwrap();
    }
    let Err(CommitError::Staging(error)) = result else { panic!("{result:?}") };
    assert!(error.is_disk_full() && error.to_string().contains("chameleon-commit"), "{error}");
    assert_eq!(states(&world), before);
    assert_eq!(fs::read_dir(world.pointers()).unwrap().count(), 0);
}

#[test]
fn a_full_disk_stops_the_commit_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("run")).unwrap();
    let script = format!("mount -t tmpfs -o size=100k none {}/run && exec \"$@\"", folder.path().display());
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--user", "--map-root-user", "sh", "-c", &script, "sh"]).arg(program).args(arguments);
        command.env("CHAMELEON_TEST_TINY", folder.path()).output().unwrap()
    };
    if !run(Path::new("true"), &[]).status.success() {
        return println!("skipped: no file system can be mounted here");
    }
    let output = run(&std::env::current_exe().unwrap(), &["--exact", "a_commit_of_a_large_file"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn commits_hold_for_any_user() {
    const USER: &str = "65534";
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: all tests run without privileges already");
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(std::env::current_exe().unwrap());
        command.args(arguments).current_dir("/").env("TMPDIR", "/tmp").output()
    };
    if !run(&["--list"]).is_ok_and(|output| output.status.success()) {
        return println!("skipped: the tests cannot be run by another user here");
    }
    let output = run(&["--skip", "killed_again"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
