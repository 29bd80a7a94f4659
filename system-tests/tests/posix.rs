//! Hosts whose programs are kept from nothing but their run directory say so, and refuse what they cannot do. All that
//! holds on them as elsewhere is shown by `cargo xtask check`, which runs other tests again on such hosts.

use std::time::Duration;

use chameleon_system_tests::skip::skip;
use chameleon_system_tests::trial::{Trial, eventually};

const SAYS: &str = "were not kept from it";

#[test]
fn a_run_says_what_its_programs_were_not_kept_from_and_a_report_too() {
    let trial = Trial::new();
    let run = trial.run("--report -- sh -c").args(["echo x > made; cat made"]).env("CHAMELEON_FACILITIES", "posix");
    let run = run.run().exits(0);
    assert_eq!((run.out().as_str(), trial.read("made").as_slice()), ("x\n", &b"x\n"[..]), "{run}");
    assert_eq!(run.err().matches(SAYS).count(), 2, "once as a remark and once in the report: {run}");
    let outside = trial.beside("outside");
    let refused =
        trial.run("--output").args([&outside]).args(["--", "true"]).env("CHAMELEON_FACILITIES", "posix").run();
    assert!(refused.clone().exits(125).err().contains("nothing but the run directory is held"), "{refused}");
    let unknown = trial.run("-- true").env("CHAMELEON_FACILITIES", "bsd").run().exits(125);
    assert!(unknown.err().contains("`bsd` names no facilities"), "{unknown}");
    trial.nothing_is_left(&run);
}

#[test]
fn where_the_kernel_gives_no_namespaces_programs_run_all_the_same_and_it_is_told() {
    let trial = Trial::new();
    let none = "echo 0 > /proc/sys/user/max_user_namespaces";
    let within = |script: &str| {
        let words = ["--user", "--map-root-user", "sh", "-c", script];
        trial.program("unshare").args(words)
    };
    if within(none).run().end.code() != 0 {
        return skip("user namespaces cannot be made and then forbidden here");
    }
    let chameleon = chameleon_system_tests::binary::chameleon();
    let script =
        format!("{none}; {} --home {} run --strategy tmr -- echo x", chameleon.display(), trial.home().display());
    let run = within(&script).run().exits(0);
    assert_eq!(run.out(), "x\n");
    assert!(run.err().contains(SAYS) && run.err().contains("make namespaces of its own"), "{run}");
    trial.nothing_runs();
}

#[test]
fn a_host_shows_what_it_lacks_and_a_job_can_insist() {
    let trial = Trial::new();
    let _ = trial.chameleon(["dev", "--detach"]).env("CHAMELEON_FACILITIES", "posix").run().exits(0);
    eventually("the host was looked over", Duration::from_secs(60), || {
        let shown = trial.chameleon(["host", "show", "h1"]).run().exits(0).out();
        (shown.contains("LACKS      facilities: POSIX alone")).then_some(())
    });
    let job = "[job]\nname = \"j\"\nstrategy = \"tmr\"\n[placement]\nonly = { facilities = \"linux\" }\n[[stage]]\nname = \"s\"\n\
               command = [\"true\"]\n";
    let refused = trial.chameleon(["submit"]).args([trial.job_file(job)]).run().exits(125);
    assert!(refused.err().contains("facilities"), "{refused}");
    let _ = trial.chameleon(["down"]).run().exits(0);
    trial.nothing_runs();
}
