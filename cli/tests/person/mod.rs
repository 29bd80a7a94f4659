//! A person at a shell: a directory of their own, a home of their own, and the real binary.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const CHAMELEON: &str = env!("CARGO_BIN_EXE_chameleon");
/// Longer than any command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Person {
    root: tempfile::TempDir,
}

impl Person {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("person-").tempdir_in("/tmp").expect("/tmp can be written");
        std::fs::create_dir(root.path().join("work")).expect("the directory is new");
        std::fs::create_dir(root.path().join("memory")).expect("the directory is new");
        Person { root }
    }

    /// The directory they are in.
    pub fn directory(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Where ephemeral homes of this person lie.
    pub fn ephemeral(&self) -> PathBuf {
        self.root.path().join("memory")
    }

    /// A command of theirs, with nothing on standard input.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("CHAMELEON_HOME", self.home()).env("TMPDIR", self.ephemeral());
        command.env("XDG_RUNTIME_DIR", self.ephemeral());
        command
    }

    /// `chameleon` with these arguments.
    pub fn types<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Output {
        finish(self.command(CHAMELEON).args(arguments).spawn().expect("the binary is there"))
    }

    /// The same in a shell, with `$C` for `chameleon`.
    pub fn shell(&self, script: &str) -> Output {
        finish(self.command("bash").args(["-c", script]).env("C", CHAMELEON).spawn().expect("bash is there"))
    }

    /// A standing system that ends with the value.
    pub fn stands(&self) -> Standing<'_> {
        let output = self.types(&["dev", "--detach"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        Standing { person: self }
    }

    /// Nothing of an ephemeral system is left, neither files nor processes.
    pub fn assert_nothing_is_left(&self) {
        let left = |directory: &Path| {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            entries.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten().flatten()).count()
        };
        let root = self.root.path().to_string_lossy().into_owned();
        await_that("nothing is left", || left(&self.ephemeral()) == 0 && processes_naming(&root).is_empty());
    }
}

pub struct Standing<'a> {
    person: &'a Person,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let output = self.person.types(&["down"]);
        if !std::thread::panicking() {
            assert!(output.status.success(), "{}", text(&output.stderr));
            let home = self.person.home().to_string_lossy().into_owned();
            await_that("the standing system is gone", || processes_naming(&home).is_empty());
        }
    }
}

/// Waits for a command's end and all it printed.
fn finish(child: Child) -> Output {
    let pid = child.id();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("it can be waited for"),
        Err(_) => {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("it has a pid");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("a command did not end within {PATIENCE:?}");
        }
    }
}

/// Waits until something holds, within a bound.
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(5));
    }
}

/// Processes with this text among their arguments.
fn processes_naming(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    arguments.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).filter(|line| line.contains(text)).collect()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", text(&output.stderr)))
}
