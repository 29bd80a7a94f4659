//! Programs that nobody here wrote leave behind in a slot, after the commit, what they leave behind without one.

mod lane;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use chameleon_node::files::blobs::digest_of;
use chameleon_node::files::commit::{Commit, commit};
use chameleon_node::files::tree::beneath;
use chameleon_node::slot::Exit;
use lane::{Lane, Place};

/// What it is about, how the directory is prepared, and what is run in it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("sort", "seq 20000 | shuf --random-source=/usr/bin/env > in", "sort -n in > out; sort in"),
    ("gzip", "seq 100000 > in", "gzip -n -k in; gzip -n -dc in.gz | tail -3; rm in"),
    (
        "python",
        "",
        "python3 -c 'import os\nopen(\"f\",\"w\").write(\"x\"*9)\nos.makedirs(\"a/b\")\nprint(os.getcwd(), sorted(os.listdir()))'",
    ),
    (
        "sqlite",
        "sqlite3 db 'create table t(a); insert into t values(1)'",
        "sqlite3 db 'insert into t values(2); select * from t'",
    ),
    (
        "tar",
        "mkdir -p d/e; echo 1 > d/1; ln -s 1 d/l; chmod 700 d/e",
        "tar cf t.tar --sort=name --mtime=@0 d; rm -r d; mkdir x; tar xf t.tar -C x; ls -R x",
    ),
    (
        "git",
        "",
        "export GIT_AUTHOR_DATE=\"@1000 +0000\" GIT_COMMITTER_DATE=\"@1000 +0000\"; git init -q . && echo a > a && git add a && git -c user.name=n -c user.email=e commit -qm m && git rev-parse HEAD && rm .git/index",
    ),
    ("a compiler", "printf 'int main(){return 7;}' > m.c", "gcc -o m m.c && { ./m; echo $?; }"),
    ("make", "printf 'a: b\\n\\tcp b a\\nb:\\n\\techo hi > b\\n' > Makefile", "make; make"),
    (
        "find and xargs",
        "mkdir -p d/d/d; touch d/1 d/d/2 'd/d/d/3 x'",
        "find d -type f -print0 | sort -z | xargs -0 -I{} cp {} . ; ls",
    ),
    (
        "mv of directories",
        "mkdir -p a/b; echo 1 > a/1; echo 2 > a/b/2; mkdir c; echo 3 > c/3",
        "mv a z; mv z/b b; mv c z/c; echo 4 > b/4; rm z/1; ls -R",
    ),
    ("a directory made anew", "mkdir d; echo 1 > d/1; echo 2 > d/2", "rm -r d; mkdir d; echo 1 > d/1; echo 3 > d/3"),
    (
        "kinds that change",
        "echo f > f; mkdir d; echo x > d/x; ln -s f l",
        "rm f; mkdir f; touch f/in; rm -r d; echo d > d; rm l; echo l > l",
    ),
    ("symbolic links", "ln -s nowhere l; mkdir d", "ln -s d dl; ln -sfn d l; echo x > dl/x; readlink l dl"),
    ("modes", "touch a b; mkdir d", "chmod 600 a; chmod 751 b; chmod 1777 d; umask 077; touch c"),
    ("the directory's own mode", "", "chmod 700 ."),
    ("deep trees", "", "p=.; for i in $(seq 60); do p=$p/dir$i; done; mkdir -p $p; echo deep > $p/f; find . -type f"),
    (
        "names that are no text",
        "",
        "touch \"$(printf 'a\\377b')\" \"$(printf 'new\\nline')\" ' blank ' '-dash'; ls | od -c",
    ),
    ("times", "touch -d @1000 a", "touch -d @2000 b; cp -p a c; stat -c '%n %Y' a b c"),
    ("unchanged files", "echo same > a; echo x > b", "echo same > a; cp b b2; mv b2 b"),
    ("sparse and empty files", "", "truncate -s 3000000 s; : > e; printf tail >> s"),
    (
        "a database in its journal mode",
        "",
        "sqlite3 db 'pragma journal_mode=wal; create table t(a); insert into t values(1); select count(*) from t'",
    ),
    ("many files", "", "for i in $(seq 300); do echo $i > f$i; done; rm f1*; ls | wc -l"),
];

fn shell(directory: &Path, script: &str, spec: &chameleon_node::slot::SlotSpec) -> std::process::Output {
    let variables = spec.environment.iter().filter_map(|entry| entry.to_str()?.split_once('='));
    Command::new("sh").args(["-c", script]).current_dir(directory).env_clear().envs(variables).output().unwrap()
}

/// Every path with its type, mode, target or content, and for files the time.
fn state(directory: &Path) -> BTreeMap<Vec<u8>, String> {
    let describe = |path: &Path, mode: u32| match mode & 0o170_000 {
        0o120_000 => format!("{}", std::fs::read_link(path).unwrap().display()),
        0o100_000 => format!("{:?}", digest_of(path).unwrap()),
        _ => String::new(),
    };
    let mut all: BTreeMap<_, _> = beneath(directory)
        .unwrap()
        .into_iter()
        .map(|(path, stamp)| {
            let full = directory.join(OsStr::from_bytes(&path));
            (path.to_vec(), format!("{:o} {}", stamp.mode, describe(&full, stamp.mode)))
        })
        .collect();
    all.insert(Vec::new(), format!("{:o}", std::fs::metadata(directory).unwrap().mode()));
    all
}

fn commit_changes(lane: &Lane, place: &Place, outcome: &lane::Outcome) {
    let (blobs, manifest) = (lane.blobs(), lane.manifest(outcome));
    let pointers = place.keep.path().join("pointers");
    let job = Commit { id: "test", manifest: &manifest, blobs: &blobs, pointers: &pointers, own: &[] };
    commit(&job, &mut |_| {}).unwrap_or_else(|error| panic!("failed to {error}"));
}

fn empty(directory: &Path) {
    chameleon_node::files::tree::remove(directory).unwrap();
    std::fs::create_dir(directory).unwrap();
}

#[tokio::test]
async fn real_programs_leave_the_same_behind_as_without_a_slot() {
    for (about, setup, command) in PROGRAMS {
        let place = Place::new();
        let directory = place.run.path();
        empty(directory);
        let spec = place.spec();
        assert!(shell(directory, setup, &spec).status.success(), "{about}: setup");
        let before = state(directory);
        let mut lane = Lane::open(spec.clone());
        let outcome = lane.sh(command).await;
        assert_eq!(state(directory), before, "{about}: nothing appears before the commit");
        commit_changes(&lane, &place, &outcome);
        let committed = state(directory);

        empty(directory);
        shell(directory, setup, &spec);
        let plain = shell(directory, command, &spec);
        let told = String::from_utf8_lossy(&plain.stderr);
        assert_eq!(lane.stderr(&outcome), told, "{about}: stderr");
        assert_eq!(lane.bytes("out.pack", outcome.ended.stdout), plain.stdout, "{about}: stdout");
        assert_eq!(outcome.ended.exit, Exit::Code(plain.status.code().unwrap() as u8), "{about}: {told}");
        let expected = state(directory);
        for (path, is) in &expected {
            assert_eq!(committed.get(path), Some(is), "{about}: {}", String::from_utf8_lossy(path));
        }
        assert_eq!(committed.len(), expected.len(), "{about}");
    }
}

#[tokio::test]
async fn equal_programs_have_equal_votes_whenever_they_run() {
    for (about, setup, command) in PROGRAMS {
        let (place, other) = (Place::new(), Place::new());
        let spec = place.spec();
        assert!(shell(place.run.path(), setup, &spec).status.success(), "{about}: setup");
        let (mut one, mut two) = (Lane::open(spec), Lane::open(lane::spec(place.run.path(), other.keep.path())));
        let [first, second] = [one.sh(command).await, two.sh(command).await];
        let again = two.sh(command).await;
        let result = |outcome: &lane::Outcome| {
            let ended = &outcome.ended;
            (ended.exit, ended.stdout.digest, ended.stderr.digest, ended.changes.map(|changes| changes.vote))
        };
        // A database's write-ahead log is salted at random by the program itself.
        if !about.contains("journal") {
            assert_eq!(result(&first), result(&second), "{about}");
            assert_eq!(result(&first), result(&again), "{about}");
        }
    }
}
