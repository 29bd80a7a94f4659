//! ARMORs installed and restored, seen from outside: an ARMOR can be reached from the moment at which its
//! socket appears under its name in the home.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chameleon_system_tests::{Standing, Trial, eventually};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::Signal;

use crate::figures::{Sample, Table, ms};

const ROUNDS: usize = 30;
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two deaths of the same ARMOR, so that no restart limit is in the way.
const REST: Duration = Duration::from_millis(300);

/// A surrogate manager, a Voter, a Fanout and three Executions.
const ARMORS: usize = 6;

const JOB: &str =
    "[job]\nname = \"long\"\nstrategy = \"tmr\"\n[[stage]]\nname = \"s\"\ncommand = [\"sleep\", \"600\"]\n";

pub fn measure() -> Table {
    let mut table = Table::new(
        &["ARMOR", "p50", "p99", "longest", "times"],
        "Installed: from the acceptance of a job, to the millisecond, until its ARMORs can be reached, so that it \
         holds the durable acceptance, the grants and the start. Restored: from kill -9 to the \
         appearance of the next incarnation. Promised: installed p50 at most 5 ms, restored p99 at most 100 ms.",
    );
    let line = |what: &str, sample: &Sample| {
        let (p50, p99, most) = (sample.median(), sample.quantile(0.99), sample.quantile(1.0));
        [what.to_owned(), ms(p50), ms(p99), ms(most), sample.len().to_string()]
    };
    let trial = Trial::new();
    let system = trial.stand(1);
    let (first, last) = installed(&trial, &system);
    table.row(line("installed: the first of a job's six", &first));
    table.row(line("installed: all six of a job", &last));
    for kind in ["execution", "voter", "fanout", "surrogate"] {
        table.row(line(&format!("restored: {kind}"), &restored_of_job(&trial, &system, kind)));
    }
    for kind in ["ftm", "daemon"] {
        table.row(line(&format!("restored: {kind}"), &restored_of_system(&trial, &system, kind)));
    }
    system.down();
    table
}

/// The clock that events are dated with.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sees names appear in a directory.
struct Watch(OwnedFd);

impl Watch {
    fn of(directory: &Path) -> Watch {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
        let flags = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE;
        inotify::add_watch(&watch, directory, flags).expect("the directory is there");
        Watch(watch)
    }

    /// Names that appear from now on, with the time, until `enough`.
    fn until(&self, mut enough: impl FnMut(&[(String, Duration)]) -> bool) -> Vec<(String, Duration)> {
        let begin = Instant::now();
        let mut seen = Vec::new();
        while !enough(&seen) {
            assert!(begin.elapsed() < PATIENCE, "only these appeared: {seen:?}");
            let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience));
            let now = since_1970();
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(&self.0, &mut buffer);
            while let Ok(event) = reader.next() {
                if let Some(name) = event.file_name() {
                    seen.push((name.to_string_lossy().into_owned(), now));
                }
            }
        }
        seen
    }
}

/// Of each job, how long from its acceptance until the first and until the last of its ARMORs.
fn installed(trial: &Trial, system: &Standing<'_>) -> (Sample, Sample) {
    let (mut first, mut last) = (Sample::default(), Sample::default());
    for _ in 0..ROUNDS {
        let watch = Watch::of(&trial.home().join("links"));
        let id = system.submit(JOB);
        let belongs = |name: &str| ["", "-l0", "-l1", "-l2"].iter().any(|lane| name.ends_with(&format!("-{id}{lane}")));
        let seen = watch.until(|seen| seen.iter().filter(|(name, _)| belongs(name)).count() >= ARMORS);
        let accepted = accepted(system, &id);
        let took = seen.iter().filter(|(name, _)| belongs(name)).map(|(_, at)| at.saturating_sub(accepted));
        first.push(took.clone().min().unwrap_or_default());
        last.push(took.max().unwrap_or_default());
        end(system, &id);
    }
    (first, last)
}

/// When a job was accepted, as its first event says.
fn accepted(system: &Standing<'_>, id: &str) -> Duration {
    let events = system.command(&["events", id, "--json"]).run().exits(0).out();
    let after = |key: &str| events.split_once(key).map(|(_, rest)| rest.trim_start_matches([':', ' ']));
    let digits: String = after("\"unix_ms\"").unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    Duration::from_millis(digits.parse().expect("the first event has a time"))
}

fn end(system: &Standing<'_>, id: &str) {
    let _ = system.command(&["cancel", id]).run();
    eventually("the job's ARMORs are retired", PATIENCE, || {
        system.armors().iter().all(|armor| armor.job.is_none()).then_some(())
    });
}

/// One death a job, of an ARMOR of this kind.
fn restored_of_job(trial: &Trial, system: &Standing<'_>, kind: &str) -> Sample {
    let one = |_| {
        let id = system.submit(JOB);
        eventually("three programs run", PATIENCE, || {
            let programs = trial.processes().iter().filter(|process| process.command == ["sleep", "600"]).count();
            (programs == 3).then_some(())
        });
        let took = killed(trial, system, kind);
        end(system, &id);
        took
    };
    (0..ROUNDS).map(one).collect()
}

fn restored_of_system(trial: &Trial, system: &Standing<'_>, kind: &str) -> Sample {
    let one = |_| {
        std::thread::sleep(REST);
        killed(trial, system, kind)
    };
    (0..ROUNDS).map(one).collect()
}

/// Kills the first ARMOR of this kind; how long until its next incarnation appears.
fn killed(trial: &Trial, system: &Standing<'_>, kind: &str) -> Duration {
    let find = || system.armors().into_iter().find(|armor| armor.kind == kind && armor.state == "running");
    let armor = eventually(&format!("a {kind} runs"), PATIENCE, find);
    let process =
        armor.process().or_else(|| trial.processes().into_iter().find(|process| process.role() == Some(kind)));
    let process = process.unwrap_or_else(|| panic!("{armor:?} has no process"));
    let watch = Watch::of(&trial.home().join("links"));
    let begin = since_1970();
    process.signal(Signal::KILL).expect("it runs");
    let seen = watch.until(|seen| seen.iter().any(|(name, _)| *name == armor.id));
    let again = seen.iter().find(|(name, _)| *name == armor.id).expect("it appeared");
    again.1.saturating_sub(begin)
}
