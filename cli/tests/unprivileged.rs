//! What holds for root holds for any user: the same tests, run again as one who may do nothing special.

use std::process::Command;

/// Nobody in particular.
const USER: &str = "65534";

/// Runs the tests of another file again without privileges. Says so if that cannot be done here.
fn as_another_user(tests: &str) {
    let mut found: Vec<_> = std::fs::read_dir(std::env::current_exe().unwrap().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.rsplit_once('-').is_some_and(|(stem, _)| stem == tests) && path.extension().is_none()
        })
        .collect();
    found.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    let Some(tests) = found.pop() else { return skip("the other tests have not been built") };
    if !rustix::process::geteuid().is_root() {
        return skip("they run without privileges already");
    }
    let user = |command: &mut Command| {
        let drop = ["--reuid", USER, "--regid", USER, "--clear-groups"];
        command.args(drop).current_dir("/").env("HOME", "/nonexistent").env("TMPDIR", "/tmp");
    };
    let mut probe = Command::new("setpriv");
    user(&mut probe);
    let works = probe.args(["unshare", "--user", "--mount", "--pid", "--fork"]).arg(&tests).arg("--list").output();
    if !works.is_ok_and(|output| output.status.success()) {
        return skip("no user namespaces without privileges, or the tests cannot be read by others");
    }
    let mut run = Command::new("setpriv");
    user(&mut run);
    let output = run.arg(&tests).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn skip(why: &str) {
    println!("skipped: {why}");
}

#[test]
fn slots_keep_their_promises_to_any_user() {
    as_another_user("slot");
}

#[test]
fn real_programs_leave_the_same_behind_for_any_user() {
    as_another_user("slot_programs");
}
