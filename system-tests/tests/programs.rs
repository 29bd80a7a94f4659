//! Programs nobody here wrote, under every strategy: stdout, files and exit code are those of a plain run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chameleon_system_tests::launch::{reading, writing};
use chameleon_system_tests::skip::has;
use chameleon_system_tests::tree::{self, Entry};
use chameleon_system_tests::{Finished, Launch, Random, Trial, binary};

const STRATEGIES: [&str; 5] = ["single", "retry", "dual", "tmr", "nmr"];
const ORDERS: [&str; 2] = ["space", "time"];

/// What is run, and how; `input` is standard input through a pipe.
#[derive(Clone, Default)]
struct Case<'a> {
    command: Vec<String>,
    flags: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
    input: Option<Vec<u8>>,
    /// Paths that a mask covers: there, and not compared.
    masked: &'a [&'a str],
}

impl<'a> Case<'a> {
    fn sh(script: &str) -> Case<'a> {
        Case::new(&["sh", "-c", script])
    }

    fn new(command: &[&str]) -> Case<'a> {
        Case { command: command.iter().map(ToString::to_string).collect(), ..Case::default() }
    }

    fn dressed(&self, launch: Launch) -> Launch {
        let launch = launch.args(&self.command).within(Duration::from_secs(300));
        let launch = self.environment.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        match &self.input {
            Some(bytes) => launch.stdin(bytes.clone()),
            None => launch,
        }
    }
}

/// A run directory that can be put back as it was.
struct Bench {
    trial: Trial,
}

impl Bench {
    fn new(fill: impl FnOnce(&Trial)) -> Bench {
        let trial = Trial::new();
        fill(&trial);
        tree::copy(&trial.directory(), &trial.beside("pristine"));
        Bench { trial }
    }

    fn put_back(&self) {
        fs::remove_dir_all(self.trial.directory()).expect("the run directory can be removed");
        tree::copy(&self.trial.beside("pristine"), &self.trial.directory());
    }

    fn tree(&self, case: &Case<'_>) -> BTreeMap<PathBuf, Entry> {
        let mut tree = self.trial.tree();
        for path in case.masked {
            assert!(tree.remove(Path::new(path)).is_some(), "{path} is there");
        }
        tree
    }

    /// The plain run, and what became of the directory.
    fn plain(&self, case: &Case<'_>) -> (Finished, BTreeMap<PathBuf, Entry>) {
        let finished = case.dressed(self.trial.program("env")).run();
        (finished, self.tree(case))
    }

    /// Runs the case under these strategies and compares each with the plain run.
    fn compare(&self, case: &Case<'_>, strategies: &[&str], orders: &[&str]) {
        let (plain, expected) = self.plain(case);
        for strategy in strategies {
            for order in orders {
                self.put_back();
                let run = self.trial.chameleon(["run", "--strategy", strategy, "--order", order]);
                let run = case.dressed(run.args(case.flags).args(["--"])).run();
                let under = format!("{:?} under {strategy} in {order}", case.command);
                assert_eq!(run.end.code(), plain.end.code(), "exit of {under}: {run}\nplain: {plain}");
                assert!(run.stdout == plain.stdout, "stdout of {under}: {run}\nplain: {plain}");
                let differences = tree::differences(&expected, &self.tree(case));
                assert!(differences.is_empty(), "files of {under}:\n{}\n{run}", differences.join("\n"));
                self.trial.nothing_is_left(&run);
            }
        }
    }

    fn everywhere(&self, case: &Case<'_>) {
        self.compare(case, &STRATEGIES, &ORDERS);
    }
}

#[test]
fn sort_and_gzip_are_as_plain_under_every_strategy() {
    let bench = Bench::new(|trial| drop(trial.write("lines", Random::new(1).text(300_000))));
    bench.everywhere(&Case::new(&["sort", "-o", "sorted", "lines"]));
    bench.put_back();
    bench.everywhere(&Case::new(&["gzip", "-n", "lines"]));
    bench.put_back();
    bench.everywhere(&Case { input: Some(Random::new(2).text(200_000)), ..Case::new(&["sort", "-r"]) });
}

/// 200 MB of lines, made once for all tests and left for the next run.
fn large_file() -> PathBuf {
    const LENGTH: usize = 200 << 20;
    let path = binary::scratch().join("lines-of-200-MiB");
    let lock = writing(&binary::scratch().join("lines.lock"));
    lock.lock().expect("a file can be locked");
    if path.metadata().map_or(0, |metadata| metadata.len()) != LENGTH as u64 {
        let piece = Random::new(3).text(2 << 20);
        fs::write(&path, piece.repeat(LENGTH / piece.len())).expect("200 MiB fit on the disk");
    }
    path
}

/// Under `tmr`; under every strategy if `CHAMELEON_FULL` is set, which takes minutes.
fn for_large_files() -> &'static [&'static str] {
    if std::env::var_os("CHAMELEON_FULL").is_some() { &STRATEGIES } else { &["tmr"] }
}

#[test]
fn sort_of_200_mb_is_as_plain() {
    let path = large_file();
    let bench = Bench::new(|_| ());
    let path = path.to_str().expect("a plain path");
    bench.compare(&Case::new(&["sort", "-S", "300M", "-o", "sorted", path]), for_large_files(), &["space"]);
}

#[test]
fn gzip_of_200_mb_is_as_plain() {
    let path = large_file();
    let bench = Bench::new(|_| ());
    let script = format!("gzip -1 -n -c < {} | tee packed.gz | sha256sum", path.display());
    bench.compare(&Case::sh(&script), for_large_files(), &["space"]);
}

#[test]
fn python_scripts_are_as_plain() {
    if !has(&["python3"]) {
        return;
    }
    let bench = Bench::new(|trial| {
        trial.write("library.py", "def squares(n):\n    return {str(i): i * i for i in range(n)}\n");
        trial.write(
            "main.py",
            "import json, os, sys, library\n\
             words = set('the quick brown fox jumps over the lazy dog'.split())\n\
             print(list(words), os.getcwd(), sys.argv)\n\
             json.dump(library.squares(500), open('squares.json', 'w'))\n\
             os.makedirs('a/b', exist_ok=True)\n\
             os.symlink('../squares.json', 'a/link')\n\
             os.chmod('main.py', 0o755)\n\
             print(sum(map(len, sys.stdin)), file=sys.stderr)\n\
             sys.exit(7)\n",
        );
    });
    let python = Case {
        flags: &["--determinism", "assist"],
        environment: &[("PYTHONHASHSEED", "0")],
        input: Some(Random::new(4).text(100_000)),
        ..Case::new(&["python3", "main.py", "ä b", ""])
    };
    bench.everywhere(&python);
}

#[test]
fn sqlite_with_a_database_file_is_as_plain() {
    if !has(&["sqlite3"]) {
        return;
    }
    let script = "create table t(a integer primary key, b text);\n\
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)\n\
        insert into t select i, 'row ' || (i * 7919 % 3001) from n;\n\
        create index u on t(b); delete from t where a % 3 = 0; select count(*), sum(a), max(b) from t;\n";
    let bench = Bench::new(|trial| {
        trial.write("script.sql", script);
    });
    bench.everywhere(&Case::sh("sqlite3 fresh.db < script.sql"));
    bench.put_back();
    bench.everywhere(&Case { input: Some(script.into()), ..Case::new(&["sqlite3", "fresh.db"]) });
    let _ = bench.trial.program("sh").args(["-c", "sqlite3 old.db < script.sql"]).run().exits(0);
    tree::copy(&bench.trial.directory().join("old.db"), &bench.trial.beside("pristine"));
    bench.put_back();
    bench.everywhere(&Case::new(&["sqlite3", "old.db", "update t set b = upper(b); vacuum; select * from t limit 9"]));
}

#[test]
fn make_and_gcc_build_as_plain() {
    if !has(&["make", "gcc"]) {
        return;
    }
    let bench = Bench::new(|trial| {
        let project = binary::workspace().join("examples/c-project");
        for file in fs::read_dir(project).expect("the example is there").flatten() {
            fs::copy(file.path(), trial.directory().join(file.file_name())).expect("it can be copied");
        }
    });
    bench.everywhere(&Case::new(&["make", "CFLAGS=-O1 -g"]));
    bench.put_back();
    bench.everywhere(&Case::sh("make -j2 > log && ls | sort"));
}

#[test]
fn tar_packs_and_unpacks_as_plain() {
    let bench = Bench::new(|trial| {
        for number in 0..40 {
            trial.write(format!("tree/{}/file {number}", number % 7), Random::new(number).text(2_000));
        }
        std::os::unix::fs::symlink("0", trial.directory().join("tree/link")).expect("a symlink can be made");
    });
    bench.everywhere(&Case::new(&["tar", "--sort=name", "-czf", "all.tar.gz", "tree"]));
    bench.put_back();
    bench.everywhere(&Case::sh("tar -cf - tree | (mkdir out && cd out && tar -xvf -) | sort; rm -r tree"));
}

#[test]
fn git_commits_have_equal_objects_and_refs() {
    if !has(&["git"]) {
        return;
    }
    let date = "2024-02-03T04:05:06Z";
    let script = "git init -q -b main && git add . && git commit -q -m first && echo more >> a && \
                  git commit -qam second && git tag v1 && git log --format='%H %s'";
    let case = Case {
        flags: &["--mask", "stat-cache"],
        environment: &[
            ("GIT_AUTHOR_DATE", date),
            ("GIT_COMMITTER_DATE", date),
            ("GIT_AUTHOR_NAME", "A U Thor"),
            ("GIT_AUTHOR_EMAIL", "author@example.org"),
            ("GIT_COMMITTER_NAME", "C O Mitter"),
            ("GIT_COMMITTER_EMAIL", "committer@example.org"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
        ],
        masked: &[".git/index"],
        ..Case::sh(script)
    };
    let bench = Bench::new(|trial| {
        trial.write("a", "one\n");
        trial.write("b/c", "two\n");
    });
    bench.everywhere(&case);
    let status = bench.trial.program("git").args(["status", "--porcelain"]).run().exits(0);
    assert_eq!(status.out(), "", "the committed index serves");
    let _ = bench.trial.program("git").args(["fsck", "--strict"]).run().exits(0);
}

#[test]
fn pipelines_of_find_and_xargs_are_as_plain() {
    let bench = Bench::new(|trial| {
        for number in 0..60 {
            trial.write(format!("d{}/e{}/f {number}.txt", number % 3, number % 5), Random::new(number).text(500));
        }
    });
    bench.everywhere(&Case::sh(
        "find . -name '*.txt' -print0 | sort -z | xargs -0 -n 7 sha256sum | tee ../run/sums | wc -l; \
         find . -path '*e1*' -type f -print0 | xargs -0 rm; find . -type d | sort | xargs -P 2 -n 1 chmod 751",
    ));
}

#[test]
fn slow_readers_forks_signals_and_exits_are_as_plain() {
    let bench = Bench::new(|trial| drop(trial.write("x", "x")));
    let lines: Vec<u8> = (0..40).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
    let slow = "while read line; do sleep 0.005; echo \"got $line\"; done";
    let forks = "for i in 1 2 3 4; do (sleep 0.0$i; echo $i > f$i) & done; wait; cat f1 f2 f3 f4; rm f2";
    let cases = [
        Case { input: Some(lines), ..Case::sh(slow) },
        Case { input: Some(Random::new(5).text(3_000_000)), ..Case::sh("head -c 10; sleep 0.05; wc -c") },
        Case { input: Some(Random::new(6).text(3_000_000)), ..Case::new(&["true"]) },
        Case::sh(forks),
        Case::sh("sleep 0.01 & echo left a child behind"),
        Case::sh("echo before; kill -SEGV $$; echo never"),
        Case::sh("echo partly > y; kill -9 $$"),
        Case::sh("echo three; echo err >&2; exit 3"),
        Case::sh("mv x y; ln y z; chmod 600 z; echo new > x"),
        Case::new(&["false"]),
        Case::new(&["printf", "%s|", "a b", "", "*", "'"]),
    ];
    for case in cases {
        bench.put_back();
        bench.everywhere(&case);
    }
}

#[test]
fn a_gigabyte_on_stdout_is_as_plain() {
    const LENGTH: u64 = 1_000_000_000;
    let trial = Trial::new();
    let script = format!("yes 'the same line of forty bytes, more or less' | head -c {LENGTH}");
    let digest_of = |launch: Launch| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let hashing = std::thread::spawn(move || tree::digest_of(reader).expect("a pipe can be read"));
        let finished = launch.args(["sh", "-c", &script]).stdout_to(writer).within(Duration::from_secs(300)).run();
        (finished.exits(0), hashing.join().expect("no panic"))
    };
    let (_, plain) = digest_of(trial.program("env"));
    let (run, voted) = digest_of(trial.run("--strategy tmr --"));
    assert_eq!(plain.1, LENGTH);
    assert_eq!(voted, plain);
    trial.nothing_is_left(&run);
}

#[test]
fn standard_input_from_a_file_is_read_from_where_it_stands() {
    use std::io::Read;
    let trial = Trial::new();
    let path = trial.write("in", "0123456789");
    let mut file = reading(&path);
    file.read_exact(&mut [0; 4]).expect("four bytes");
    let run = trial.run("-- cat").stdin_from(file).run().exits(0);
    assert_eq!(run.out(), "456789");
}
