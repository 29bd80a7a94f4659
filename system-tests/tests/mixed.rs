//! A host of another architecture beside one of this machine's: its daemon, its ARMORs and its programs run under an
//! emulator, all of them. `cargo xtask mixed` builds what that takes and runs this.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chameleon_system_tests::skip::{has, is_root};
use chameleon_system_tests::{Finished, Fleet, Trial, eventually, skip};

/// Where Chameleon lies as it was built for the other architecture.
const BUILT: &str = "CHAMELEON_MIXED";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64-static";
/// Where the other architecture's C library lies.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";
/// An emulated debug build takes its time.
const WITHIN: Duration = Duration::from_secs(240);

/// Without a word, a sum of whole numbers, which is the same everywhere; with one, a product and a sum that compilers for
/// some processors round once and for others twice; with another, the first into a file of that name.
const PROGRAM: &str = r#"
#include <stdio.h>
static double both(volatile double *a, volatile double *b, volatile double *c) { return *a * *b + *c; }
int main(int words, char **word) {
    volatile double a = 1 + 0x1p-52, b = 1 - 0x1p-52, c = -1;
    unsigned long sum = 0;
    for (unsigned long i = 0; i < 1000000; i++) sum = sum * 31 + i;
    if (words > 1) printf("%a\n", both(&a, &b, &c)); else printf("%lu\n", sum);
    if (words > 2) {
        FILE *made = fopen(word[2], "w");
        fprintf(made, "%lu\n", sum);
        return fclose(made);
    }
    return 0;
}
"#;
const SUM: &str = "9446225037035921696\n";

/// Both builds of the program. Each host has its own under the same path, as machines of two kinds do.
struct Programs {
    here: PathBuf,
    there: PathBuf,
}

impl Programs {
    fn build(trial: &Trial) -> Programs {
        let source = trial.beside("program.c");
        std::fs::write(&source, PROGRAM).unwrap();
        let build = |compiler: &str, name: &str| {
            let directory = trial.beside(name);
            std::fs::create_dir(&directory).unwrap();
            let mut call = Command::new(compiler);
            let done = call.args(["-O2", "-static", "-o"]).arg(directory.join("program")).arg(&source).status();
            assert!(done.unwrap().success(), "{call:?}");
            directory
        };
        Programs { here: build("gcc", "here"), there: build(COMPILER, "there") }
    }

    /// The search path of a person who submits.
    fn path(&self) -> String {
        format!("{}:{}", self.here.display(), std::env::var("PATH").unwrap())
    }
}

fn job(strategy: &str, placement: &str, command: &str) -> String {
    format!(
        "[job]\nname = \"mixed\"\nstrategy = \"{strategy}\"\n[placement]\n{placement}\n[[stage]]\nname = \"s\"\ncommand = \
         [{command}]\n"
    )
}

/// A second host, emulated, that joins the fleet. Commands that ask it are this machine's own.
fn join_emulated(fleet: &mut Fleet<'_>, trial: &Trial, built: &Path, programs: &Programs) {
    let emulator = chameleon_system_tests::skip::find(EMULATOR).unwrap();
    let words = format!(
        "mount --bind {there} {here} && exec {emulator} {built} daemon --join {address} --token {token} --name other \
         --listen 127.0.0.1:0 --facilities posix --detach",
        there = programs.there.display(),
        here = programs.here.display(),
        emulator = emulator.display(),
        built = built.display(),
        address = fleet.address(),
        token = fleet.token(&[]),
    );
    let joining = trial.program("unshare").args(["--mount", "sh", "-c", &words]).within(WITHIN);
    let joining = joining.env("CHAMELEON_HOME", fleet.home(2)).env("CHAMELEON_RUNNER", &emulator);
    let _ = joining.env("QEMU_LD_PREFIX", LIBRARIES).run().exits(0);
    fleet.was_started(2);
}

fn figure(what: &str, since: Instant) {
    println!("figure: {what}: {:.1} s", since.elapsed().as_secs_f64());
}

#[test]
fn hosts_of_two_architectures_are_one_cluster() {
    let Some(built) = std::env::var_os(BUILT).map(PathBuf::from) else {
        return skip("`cargo xtask mixed` builds Chameleon for another architecture, and runs this");
    };
    if !has(&["gcc", COMPILER, EMULATOR, "unshare"]) || !is_root("mount what a host of its own sees") {
        return;
    }
    let trial = Trial::new();
    let programs = Programs::build(&trial);
    let mut fleet = Fleet::found(&trial, &[]);
    let began = Instant::now();
    join_emulated(&mut fleet, &trial, &built, &programs);
    let classes = eventually("both hosts were looked over", WITHIN, || classes(&fleet));
    figure("an emulated host joins and is looked over", began);
    assert_eq!((classes[0].0.as_str(), classes[1].0.as_str()), ("x86_64", "aarch64"));
    assert_ne!(classes[0].1, classes[1].1, "their numeric fingerprint tells them apart");
    println!("figure: numeric class of x86_64: {}, of aarch64: {}", classes[0].1, classes[1].1);
    let submit = |text: &str| -> Finished {
        let file = trial.job_file(text);
        let began = Instant::now();
        let done = fleet.on(1, &["submit", "--wait"]).args([file]).env("PATH", programs.path()).within(WITHIN).run();
        figure(&format!("`{}` ends with {}", text.lines().nth(4).unwrap_or_default(), done.end.code()), began);
        done
    };
    let apart = "distinct = [\"arch\"]";
    let agreed = submit(&job("dual", apart, "\"program\"")).exits(0);
    assert_eq!(result(&fleet, &agreed), SUM);
    let differ = submit(&job("dual", apart, "\"program\", \"float\"")).exits(123);
    assert!(differ.err().contains("lanes disagree"), "{differ}");
    let together = "distinct = [\"host\"]\nsame = [\"numeric-class\"]";
    let refused = submit(&job("dual", together, "\"program\", \"float\"")).exits(125);
    assert!(
        refused.err().contains(&format!("has not the numeric-class of lane l0, but {}", classes[1].1)),
        "{refused}"
    );
    // Made there, fetched from there, committed here.
    let only = "only = { arch = \"aarch64\" }";
    let alone = submit(&job("single", only, "\"program\", \"float\", \"made\"")).exits(0);
    assert_eq!((result(&fleet, &alone).as_str(), trial.read("made").as_slice()), ("-0x1p-104\n", SUM.as_bytes()));
    // What the emulated host has saved, this machine's own build reads.
    fleet.down_on(2);
    let _ = fleet.start_again(2);
    eventually("it is heard of in its next life", WITHIN, || fleet.daemon(2).filter(|daemon| daemon.incarnation == 2));
    assert_eq!(result(&fleet, &alone), "-0x1p-104\n");
    fleet.down();
}

/// The architecture and the numeric class of both hosts, once they are known.
fn classes(fleet: &Fleet<'_>) -> Option<Vec<(String, String)>> {
    let hosts = ["h1", "h2"].map(|host| fleet.on(1, &["host", "show", host, "--json"]).run());
    let known = |shown: &Finished| {
        let profile = (shown.end.code() == 0).then(|| shown.json()["profile"].clone())?;
        let text = |key: &str| profile[key].as_str().map(str::to_owned);
        Some((text("architecture")?, text("numeric_class")?))
    };
    hosts.iter().map(known).collect()
}

/// The decided output of the job that was submitted.
fn result(fleet: &Fleet<'_>, submitted: &Finished) -> String {
    let id = submitted.out().lines().next().unwrap_or_default().trim().to_owned();
    fleet.on(1, &["result", &id]).within(WITHIN).run().exits(0).out()
}
