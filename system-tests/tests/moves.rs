//! Hosts are drained and ARMORs moved while a job runs: its result is as if nothing had been.

use std::path::PathBuf;
use std::time::Duration;

use chameleon_system_tests::standing::Armor;
use chameleon_system_tests::{Standing, Trial, eventually};

const SOON: Duration = Duration::from_secs(60);
/// The hosts of a system: as many as lanes, so that each has one.
const HOSTS: u16 = 3;
/// The first tasks of the job print at once, the others when the file `go` is there.
const AT_ONCE: usize = 4;
const TASKS: usize = 6;

fn job(go: &str) -> String {
    let script = format!("[ $1 -lt {AT_ONCE} ] || until [ -e {go} ]; do sleep 0.05; done; echo task $1");
    format!(
        "[job]\nname = \"moves\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\ntasks = \"0..{TASKS}\"\n\
         command = [\"sh\", \"-c\", '''{script}''', \"sh\", \"{{task}}\"]\n"
    )
}

/// A job in the middle: all lanes have finished the first tasks and wait in the others.
struct Middle<'a> {
    system: Standing<'a>,
    go: PathBuf,
    job: String,
}

fn middle(trial: &Trial) -> Middle<'_> {
    let system = trial.stand(HOSTS);
    let go = trial.beside("go");
    let job = system.submit(&job(&go.to_string_lossy()));
    let middle = Middle { system, go, job };
    eventually("all lanes have finished the first tasks", SOON, || {
        (middle.printed() == 3 * AT_ONCE && middle.lanes().len() == 3).then_some(())
    });
    middle
}

impl Middle<'_> {
    /// Lines that all lanes together have printed, wherever they were.
    fn printed(&self) -> usize {
        let logs = self.system.command(&["logs", &self.job]).run().exits(0).out();
        logs.lines().filter(|line| line.contains("task ")).count()
    }

    fn lanes(&self) -> Vec<Armor> {
        let runs = |armor: &Armor| armor.kind == "execution" && armor.state == "running";
        self.system.armors().into_iter().filter(runs).collect()
    }

    /// One that is not where the job's files are.
    fn lane_elsewhere(&self) -> Armor {
        self.lanes().into_iter().find(|lane| lane.host != "h1").expect("lanes are spread")
    }

    fn goes_on(&self, lane: &Armor, host: Option<&str>) {
        eventually("the lane goes on elsewhere", SOON, || {
            let there = |armor: &Armor| host.map_or(armor.host != lane.host, |host| armor.host == host);
            self.lanes().iter().any(|armor| armor.id == lane.id && there(armor)).then_some(())
        });
    }

    /// The job ends as if nothing had been, and no lane has done a finished task again.
    fn ends_right(&self) {
        std::fs::write(&self.go, "").unwrap();
        let events = || self.system.command(&["events"]).run().exits(0).out();
        assert_eq!(self.system.await_end(&self.job)["state"], "result", "{}", events());
        let expected: String = (0..TASKS).map(|task| format!("task {task}\n")).collect();
        assert_eq!(self.system.command(&["result", &self.job]).run().exits(0).out(), expected);
        // A lane that is still behind when the others have decided all need not end.
        assert!((2 * TASKS..=3 * TASKS).contains(&self.printed()), "{} {}", self.printed(), events());
        let report = self.system.command(&["report", &self.job]).run().exits(0).out();
        assert!(!report.contains("outvoted") && !report.contains("died"), "nobody is blamed: {report}");
    }
}

#[test]
fn a_host_is_drained_in_the_middle_of_a_job() {
    let trial = Trial::new();
    let middle = middle(&trial);
    let system = &middle.system;
    let lane = middle.lane_elsewhere();
    let told = system.command(&["host", "drain", &lane.host]).run().exits(0).out();
    assert!(told.contains(&format!("{} goes on on ", lane.id)), "{told}");
    middle.goes_on(&lane, None);
    middle.ends_right();
    let state = || {
        let hosts = system.json(&["hosts"]);
        hosts.as_array().unwrap().iter().find(|row| row["host"] == *lane.host).unwrap()["state"].clone()
    };
    assert_eq!(state(), "drained");
    let next = "[job]\nname = \"n\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\ncommand = [\"sleep\", \"1\"]\n";
    let next = system.submit(next);
    eventually("the next job runs", SOON, || (middle.lanes().len() == 3).then_some(()));
    assert!(middle.lanes().iter().all(|other| other.host != lane.host), "{:?}", middle.lanes());
    assert_eq!(system.await_end(&next)["state"], "result");
    let _ = system.command(&["host", "resume", &lane.host]).run().exits(0);
    assert_eq!(state(), "up");
    middle.system.down();
}

#[test]
fn a_lane_is_moved_to_a_host_and_the_fanout_stays_with_the_files() {
    let trial = Trial::new();
    let middle = middle(&trial);
    let system = &middle.system;
    let lane = middle.lane_elsewhere();
    let told = system.command(&["move", &lane.id, "h1"]).run().exits(0).out();
    assert_eq!(told, format!("{} goes on on h1 instead of {}\n", lane.id, lane.host));
    middle.goes_on(&lane, Some("h1"));
    let refused = system.command(&["move", "fanout-j1", "h2"]).run().exits(125);
    assert!(refused.err().contains("the files of its job are there"), "{refused}");
    let unknown = system.command(&["move", &lane.id, "h9"]).run().exits(125);
    assert!(unknown.err().contains("there is no host h9"), "{unknown}");
    middle.ends_right();
    middle.system.down();
}
