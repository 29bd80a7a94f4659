//! The job of a round: many small tasks that print, then one program that changes files in every way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Counter, Ending, Victim};
use crate::launch::Started;
use crate::processes;
use crate::tree::{self, Entry};
use crate::trial::Trial;

const TASKS: usize = 30;
const LANES: usize = 3;
/// Executions that may run in a lane at a time: they die with their ARMOR.
const SLOTS: usize = 2;

/// Changes files: created, changed, deleted, renamed, modes, symlinks, directories.
const CHANGES: &str = "echo files > \"$COUNTER\"; seq 1 20000 > made; sort -r made > deep/er/sorted; \
    chmod 750 deep/er/sorted; echo more >> grown; rm gone; mv old new; ln -s made link; rm pointer; \
    ln -s grown pointer; mkdir fresh; chmod 700 fresh; echo x > fresh/x; rm -r away; echo done";

/// A prepared run directory, and what must come of it.
#[derive(Debug)]
pub struct Work {
    pub counter: Counter,
    before: BTreeMap<PathBuf, Entry>,
    after: BTreeMap<PathBuf, Entry>,
    output: String,
}

impl Work {
    /// Fills the run directory and finds out, by a plain run in a copy, what must come of it.
    ///
    /// # Panics
    /// If the plain run fails.
    #[must_use]
    pub fn prepare(trial: &Trial) -> Work {
        fill(&trial.directory());
        let copy = trial.beside("plain");
        tree::copy(&trial.directory(), &copy);
        let plain = trial.program("sh").args(["-c", CHANGES]).directory(&copy).env("COUNTER", "/dev/null").run();
        assert_eq!(plain.out(), "done\n", "{plain}");
        let mut output: String = (0..TASKS).map(|task| format!("{task} squared is {}\n", task * task)).collect();
        output.push_str("done\n");
        fs::write(trial.beside("job.toml"), job_file()).expect("a job file can be written");
        let counter = Counter::new(&trial.beside("executions"));
        Work { counter, before: trial.tree(), after: tree::snapshot(&copy), output }
    }

    /// Starts the job.
    #[must_use]
    pub fn start(&self, trial: &Trial, within: Duration) -> Started {
        let run = trial.chameleon(["run"]).args([trial.beside("job.toml")]);
        run.env("COUNTER", self.counter.path()).within(within).start()
    }

    /// Executions without any fault.
    #[must_use]
    pub fn executions(&self) -> usize {
        (TASKS + 1) * LANES
    }

    /// A commit that had passed the point of no return is finished by the next start.
    pub(super) fn let_the_next_start_roll_forward(&self, trial: &Trial) {
        let _ = processes::left_after(trial.mark(), Duration::from_secs(5));
        let _ = trial.run("--strategy single --files none -- true").run().exits(0);
    }

    pub(super) fn check_output(&self, printed: &[u8], ending: Ending) -> Result<(), String> {
        let right = match ending {
            Ending::Result | Ending::Missed => printed == self.output.as_bytes(),
            Ending::SafeAbort(_) | Ending::Gone => self.output.as_bytes().starts_with(printed),
        };
        if right { Ok(()) } else { Err(format!("{ending:?}, but the output is not that of a plain run")) }
    }

    pub(super) fn check_files(&self, trial: &Trial, ending: Ending) -> Result<(), String> {
        let found = trial.tree();
        let done = tree::differences(&self.after, &found);
        let untouched = tree::differences(&self.before, &found);
        let right = match ending {
            Ending::Result | Ending::Missed => done.is_empty(),
            Ending::SafeAbort(_) | Ending::Gone => done.is_empty() || untouched.is_empty(),
        };
        if right { Ok(()) } else { Err(format!("{ending:?}, but files differ:\n{}", done.join("\n"))) }
    }

    /// Only what dies with a program may make it run again.
    pub(super) fn check_executions(&mut self, victim: Victim) -> Result<(), String> {
        let lines = self.counter.lines();
        let repeated: Vec<String> = lines
            .iter()
            .filter(|(_, count)| **count > LANES)
            .map(|(line, count)| format!("{line}: {count} times"))
            .collect();
        let extra: usize = lines.values().map(|count| count.saturating_sub(LANES)).sum();
        let allowed = if victim.programs_die_with_it() { SLOTS } else { 0 };
        if extra <= allowed {
            return Ok(());
        }
        Err(format!("{extra} executions more than {allowed} were repeated: {}", repeated.join(", ")))
    }
}

fn fill(directory: &Path) {
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("a file can be written");
    for sub in ["deep/er", "away/with"] {
        fs::create_dir_all(directory.join(sub)).expect("a directory can be made");
    }
    for name in ["grown", "gone", "old", "kept", "away/with/it"] {
        write(name, name);
    }
    fs::set_permissions(directory.join("kept"), fs::Permissions::from_mode(0o640)).expect("a mode can be set");
    symlink("gone", directory.join("pointer")).expect("a symlink can be made");
}

fn job_file() -> String {
    format!(
        r#"
[job]
name = "round"
strategy = "tmr"

[[stage]]
name = "squares"
command = ["sh", "-c", 'echo {{task}} > "$COUNTER"; sleep 0.02; echo {{task}} squared is $(({{task}} * {{task}}))']
tasks = "0..{TASKS}"
files = "none"

[[stage]]
name = "changes"
command = ["sh", "-c", '''{CHANGES}''']
"#
    )
}
