//! What mutants are tried by, the quickest first: the first judge that notices kills it.
//!
//! Each is a program of the copied source, run with one mutant awake. One that does not come to an end in its time
//! stands still, which is noticed too.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::graft::VARIABLE;
use crate::failure::Failure;

/// The longest that a judge may take; awake, it takes a few seconds.
const BOUND: Duration = Duration::from_secs(120);
/// How much address space it may take, in KiB: a mutant must not eat the machine.
const MEMORY_KIB: &str = "4194304";

/// A judge: a word for it, and what it runs.
struct Judge {
    name: &'static str,
    program: Program,
    words: &'static [&'static str],
}

enum Program {
    /// The unit tests of the core.
    CoreTests,
    /// The copy's own `cargo xtask`.
    Xtask,
}

const JUDGES: &[Judge] = &[
    Judge { name: "unit tests", program: Program::CoreTests, words: &["--test-threads", "2"] },
    Judge { name: "stories", program: Program::Xtask, words: &["stories"] },
    Judge { name: "models", program: Program::Xtask, words: &["models", "--states", "20000"] },
    Judge { name: "simulator, 40 seeds", program: Program::Xtask, words: &["sim", "--seeds", "40"] },
    Judge {
        name: "simulator, 60 seeds with power loss",
        program: Program::Xtask,
        words: &["sim", "--seeds", "60", "--power-loss"],
    },
    Judge {
        name: "simulator, 400 more seeds",
        program: Program::Xtask,
        words: &["sim", "--seeds", "400", "--from", "40"],
    },
    Judge {
        name: "simulator, 100 more seeds with power loss",
        program: Program::Xtask,
        words: &["sim", "--seeds", "100", "--from", "60", "--power-loss"],
    },
];

/// The programs that the judges run.
pub struct Programs {
    pub core_tests: PathBuf,
    pub xtask: PathBuf,
    /// Where what a judge prints is kept until the next one.
    pub log: PathBuf,
}

/// Why a mutant is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    pub judge: &'static str,
    pub evidence: String,
}

/// Tries a mutant, or with number 0 the original, until a judge notices it.
///
/// # Errors
/// A judge cannot be run.
pub fn tried(number: usize, programs: &Programs) -> Result<Option<Death>, Failure> {
    for judge in JUDGES {
        if let Some(evidence) = judge.notices(number, programs)? {
            return Ok(Some(Death { judge: judge.name, evidence }));
        }
    }
    Ok(None)
}

impl Judge {
    fn notices(&self, number: usize, programs: &Programs) -> Result<Option<String>, Failure> {
        let program = match self.program {
            Program::CoreTests => &programs.core_tests,
            Program::Xtask => &programs.xtask,
        };
        let log = File::create(&programs.log).map_err(|why| Failure::Unwritable { path: programs.log.clone(), why })?;
        let errors = log.try_clone().map_err(|why| Failure::Unwritable { path: programs.log.clone(), why })?;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")]).arg(program).args(self.words);
        command.env(VARIABLE, number.to_string()).env("INSTA_UPDATE", "no");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Ok(match ends_well(command, program)? {
            Some(true) => None,
            Some(false) => Some(evidence(&programs.log)),
            None => Some(format!("stands still for {} s", BOUND.as_secs())),
        })
    }
}

/// Whether a program ends well; `None` if it does not end in its time, and had to be ended.
fn ends_well(mut command: Command, program: &Path) -> Result<Option<bool>, Failure> {
    let unstartable = |why| Failure::Unstartable { program: program.display().to_string(), why };
    let mut child = command.spawn().map_err(unstartable)?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(unstartable)? {
            return Ok(Some(status.success()));
        }
        if begun.elapsed() > BOUND {
            child.kill().map_err(unstartable)?;
            child.wait().map_err(unstartable)?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The line in which a judge says what it noticed.
fn evidence(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let telling = |line: &str| {
        let test = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
        let seed = line.split_once("broken at ").and_then(|(_, rest)| rest.split_once("µs: ")).map(|(_, rest)| rest);
        let story = line.split_once(": ").filter(|(name, rest)| !name.contains(' ') && *rest != "as told");
        test.or(seed).or(story.map(|(name, _)| name)).map(str::to_owned)
    };
    let line = text.lines().find_map(telling).or_else(|| text.lines().last().map(str::to_owned));
    line.unwrap_or_default().chars().take(100).collect()
}
