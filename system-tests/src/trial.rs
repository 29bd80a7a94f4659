//! One test's own corner of the machine: a run directory, a home, and a mark on every process.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::launch::{Finished, Launch};
use crate::processes::{self, Process};
use crate::standing::Standing;
use crate::{binary, tree};

/// How long what was ended may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A run directory and a home, with nothing running yet. When it is dropped nothing may run any more.
#[derive(Debug)]
pub struct Trial {
    directory: TempDir,
    mark: String,
}

impl Default for Trial {
    fn default() -> Self {
        Trial::new()
    }
}

impl Trial {
    /// # Panics
    /// If no directory can be made.
    #[must_use]
    pub fn new() -> Trial {
        Trial::within(&binary::scratch())
    }

    /// A trial whose directory lies there.
    ///
    /// # Panics
    /// If no directory can be made.
    #[must_use]
    pub fn within(parent: &Path) -> Trial {
        let directory = tempfile::Builder::new().prefix("trial-").tempdir_in(parent).expect("a directory");
        let name = directory.path().file_name().and_then(OsStr::to_str).expect("a plain name");
        let mark = format!("{name}-{}", std::process::id());
        let trial = Trial { directory, mark };
        fs::create_dir(trial.directory()).expect("a directory");
        trial
    }

    /// The run directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// A path beside the run directory.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The home of a standing system; there is none until it is started.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.beside("home")
    }

    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Writes a file in the run directory and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("a directory");
        fs::write(&path, bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        path
    }

    /// Writes a job file beside the run directory and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn job_file(&self, text: &str) -> PathBuf {
        let path = self.beside(&format!("{}.toml", blake3::hash(text.as_bytes()).to_hex().split_at(12).0));
        fs::write(&path, text).expect("a job file can be written");
        path
    }

    /// The bytes of a file in the run directory.
    ///
    /// # Panics
    /// If it cannot be read.
    #[track_caller]
    #[must_use]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.directory().join(name);
        fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }

    /// The run directory as it is compared.
    #[must_use]
    pub fn tree(&self) -> std::collections::BTreeMap<PathBuf, tree::Entry> {
        tree::snapshot(&self.directory())
    }

    /// `chameleon` with these arguments, in the run directory, with this trial's home.
    #[must_use]
    pub fn chameleon<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Launch {
        self.program(binary::chameleon()).args(arguments).env("CHAMELEON_HOME", self.home())
    }

    /// `chameleon run`, then these words separated by blanks.
    #[must_use]
    pub fn run(&self, words: &str) -> Launch {
        self.chameleon(["run"]).args(words.split_whitespace())
    }

    /// Any program, in the run directory.
    #[must_use]
    pub fn program(&self, program: impl AsRef<OsStr>) -> Launch {
        Launch::new(program, &self.mark).directory(&self.directory())
    }

    /// Starts a standing system of so many hosts in this trial's home.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    #[must_use]
    pub fn stand(&self, hosts: u16) -> Standing<'_> {
        Standing::start(self, &["--hosts", &hosts.to_string()])
    }

    /// Starts a standing system with these flags of `dev`.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    #[must_use]
    pub fn stand_with(&self, flags: &[&str]) -> Standing<'_> {
        Standing::start(self, flags)
    }

    /// What runs of this trial now.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::of_mark(&self.mark)
    }

    /// Asserts that nothing of this trial runs any more, and that no ephemeral home is left of that command.
    ///
    /// # Panics
    /// If something is left.
    #[track_caller]
    pub fn nothing_is_left(&self, of: &Finished) {
        self.nothing_runs();
        let left = ephemeral_remains(of.pid);
        assert!(left.is_empty(), "an ephemeral home is left: {left:?}\n{of}");
    }

    /// Asserts that nothing of this trial runs any more.
    ///
    /// # Panics
    /// If something does.
    #[track_caller]
    pub fn nothing_runs(&self) {
        let left = processes::left_after(&self.mark, GONE_WITHIN);
        let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
        assert!(left.is_empty(), "these still run:\n{}", lines.join("\n"));
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let left =
            processes::left_after(&self.mark, if std::thread::panicking() { Duration::ZERO } else { GONE_WITHIN });
        processes::kill_all(&self.mark);
        let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
        if std::thread::panicking() {
            eprintln!("ran when the test failed:\n{}", lines.join("\n"));
        } else {
            assert!(left.is_empty(), "left running by the test:\n{}", lines.join("\n"));
        }
    }
}

/// What is left of the ephemeral home of a command, in memory and on disk.
#[must_use]
pub fn ephemeral_remains(pid: i32) -> Vec<PathBuf> {
    let user = format!("chameleon-{}", rustix::process::geteuid().as_raw());
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let bases = [variable("XDG_RUNTIME_DIR"), variable("TMPDIR"), Some("/dev/shm".into()), Some("/var/tmp".into())];
    let bases = bases.into_iter().flatten().chain([PathBuf::from("/tmp")]);
    let entries = bases.filter_map(|base| fs::read_dir(base.join(&user)).ok()).flatten().flatten();
    let prefix = format!("run-{pid}-");
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).map(|entry| entry.path()).collect()
}

/// Waits until something holds.
///
/// # Panics
/// If it does not within that time.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
