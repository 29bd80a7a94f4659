//! What a user submits: a job, its stages, and the conditions it runs under.
//!
//! Paths, arguments and environment are bytes: a Unix name need not be text.

mod again;
mod build;
pub mod check;
mod command;
pub mod determinism;
mod graph;
mod injection;
pub mod mask;
mod needs;
mod stages;
mod syntax;
pub mod values;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

pub use self::build::Build;
pub use self::needs::{Needs, Wishes, trait_name};
pub use self::syntax::{Accepted, Surroundings, parse};
use crate::names::{Digest, HostId, LaneId, Millis, StageId};
use crate::strategy::Strategy;

/// A path, an argument or an environment entry, as the system has it.
pub type OsBytes = ByteVec;

/// A whole job, checked and ready to run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Job {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub strategy: Strategy,
    /// In the order in which they run. At least one.
    #[n(2)]
    pub stages: Vec<Stage>,
    /// From acceptance to result; then the job ends with 124.
    #[n(3)]
    pub deadline: Option<Millis>,
    /// Exit codes that mean abnormal termination and not a result.
    #[n(4)]
    pub abnormal_exit: Vec<u8>,
    /// A command that is told of faults, degradation, safe aborts and unknown outcomes.
    #[n(5)]
    pub notify: Vec<OsBytes>,
    /// Release no output before the verdict, even where a decided prefix could be.
    #[n(6)]
    pub hold: bool,
    /// Whether programs may use the network; its effects are not held.
    #[n(7)]
    pub net: bool,
    #[n(8)]
    pub determinism: Determinism,
    /// Differences that voting overlooks, each named in the report.
    #[n(9)]
    pub masks: Vec<Mask>,
    /// Faults to inject, for demonstration and tests; every report is marked.
    #[n(10)]
    pub injections: Vec<Injection>,
    /// The run directory, absolute.
    #[n(11)]
    pub directory: OsBytes,
    /// `NAME=value`, the same for every lane.
    #[n(12)]
    pub environment: Vec<OsBytes>,
    #[n(13)]
    pub stdin: Stdin,
    /// The most bytes of undecided output a lane may hold before it is paused.
    #[n(14)]
    pub spool_quota: u64,
    /// Of whoever submits it: permissions that new files do not get.
    #[n(15)]
    pub umask: u32,
    /// What it asks of the system, and of the hosts that it runs on.
    #[n(20)]
    pub needs: Needs,
    /// Where it was submitted.
    #[n(16)]
    pub origin: Origin,
    /// What its lanes run is made on their hosts.
    #[n(17)]
    pub build: Option<Build>,
}

/// The place where a job was submitted: there are its run directory, its inputs and its standard input, and there
/// its results are committed. Lanes on other hosts have their own copies of what they need of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Origin {
    #[n(0)]
    pub host: HostId,
    /// Drawn by whoever submits it: who knows it serves the job or owns it, and may read its bytes on any host.
    #[n(1)]
    pub pass: Digest,
}

impl Job {
    /// A job file as tests write it: run in `/run`, with no environment and no standard input.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Job {
        let surroundings = Surroundings {
            directory: OsBytes::from(b"/run".to_vec()),
            environment: vec![],
            stdin: Stdin::Null,
            read: &|_| Err(String::new()),
        };
        parse("job.toml", text.as_bytes(), &surroundings).expect("tests write what is right").job
    }

    /// As it may be shown to whoever asks: who knows the pass may read the job's bytes.
    #[must_use]
    pub fn without_pass(&self) -> Job {
        Job { origin: Origin { pass: Digest::default(), ..self.origin }, ..self.clone() }
    }

    /// Whether a lane on this host sees copies of what it was given, and not the origin's own files: it is elsewhere, or
    /// what it sees is in part made for it.
    #[must_use]
    pub fn is_mirrored_on(&self, host: HostId) -> bool {
        self.build.is_some() || host != self.origin.host
    }

    /// Until it is known whose the job is.
    pub const USUAL_UMASK: u32 = 0o022;

    /// Whether a prefix of this stage's output may be decided while it runs: it is one task, and
    /// nothing is held back.
    #[must_use]
    pub fn streams(&self, stage: StageId) -> bool {
        !self.hold && self.stages.get(usize::from(stage.0)).is_some_and(|stage| stage.tasks.is_none())
    }

    /// How a stage is made dependable.
    #[must_use]
    pub fn strategy_of(&self, stage: StageId) -> &Strategy {
        let own = self.stages.get(usize::from(stage.0)).and_then(|stage| stage.strategy.as_ref());
        own.unwrap_or(&self.strategy)
    }

    /// The most lanes that any of its stages can come to have.
    #[must_use]
    pub fn most_lanes(&self) -> u16 {
        let own = self.stages.iter().filter_map(|stage| stage.strategy.as_ref());
        own.map(Strategy::most_lanes).fold(self.strategy.most_lanes(), u16::max)
    }

    /// Whether no program of this stage may be started twice.
    #[must_use]
    pub fn is_at_most_once(&self, stage: StageId) -> bool {
        self.stages.get(usize::from(stage.0)).is_some_and(|stage| stage.promise == Promise::AtMostOnce)
    }
}

/// One step of a job: a command, run once or once a task.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stage {
    #[n(0)]
    pub name: String,
    /// Program and arguments; `{task}` stands for the task's number if the stage has tasks.
    #[n(1)]
    pub command: Vec<OsBytes>,
    /// First task and the one after the last; `None`: one task, numbered 0, nothing substituted.
    #[n(2)]
    pub tasks: Option<(u64, u64)>,
    #[n(3)]
    pub files: Files,
    /// Paths that the program reads; fanned out, and visible even where they would be hidden.
    #[n(4)]
    pub inputs: Vec<OsBytes>,
    /// Paths outside the run directory that the program may write; held until the verdict.
    #[n(5)]
    pub outputs: Vec<OsBytes>,
    #[n(6)]
    pub promise: Promise,
    /// How this stage is made dependable; `None`: as the job.
    #[n(7)]
    pub strategy: Option<Strategy>,
    /// The earlier stage whose decided standard output the programs read as their standard input.
    #[n(8)]
    pub stdin: Option<StageId>,
    /// What belongs to the program: paths that travel with it.
    #[n(9)]
    pub bundle: Vec<OsBytes>,
    /// Of its tasks, the ranges that are run; empty: all.
    #[n(10)]
    pub only: Vec<(u64, u64)>,
}

/// How often the program of a task may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Promise {
    /// As often as it takes: what it does is held until the verdict, so that a start more does no harm.
    #[default]
    #[n(0)]
    AsOftenAsNeeded,
    /// Never twice, whatever dies: it does something that cannot be held, such as a payment.
    #[n(1)]
    AtMostOnce,
}

/// What becomes of what a program writes in the run directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Files {
    /// Held in the lane's own overlay, voted on, and committed after the verdict.
    #[n(0)]
    Overlay,
    /// Held in the lane's own overlay and thrown away: neither voted on nor committed.
    #[n(1)]
    Scratch,
    /// Nothing may be written there.
    #[n(2)]
    None,
}

/// What is added to a program's surroundings to make equal executions equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Determinism {
    /// Same arguments, environment, process ids and no address randomisation.
    #[n(0)]
    Plain,
    /// Also fixed hash seeds and the like for common runtimes.
    #[n(1)]
    Assist,
}

/// Where a program's standard input comes from.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Stdin {
    #[n(0)]
    Null,
    /// A regular file, reopened by each lane at the position the user's shell left it at.
    #[n(1)]
    File(#[n(0)] OsBytes, #[n(1)] u64),
    /// Anything else: spooled once, then fanned out.
    #[n(2)]
    Spool,
}

/// A difference that voting overlooks: the bytes of files whose path matches are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Mask {
    /// The name the report uses, such as `stat-cache`.
    #[n(0)]
    pub name: String,
    /// Globs over paths relative to the run directory; `**` crosses directories.
    #[n(1)]
    pub paths: Vec<String>,
}

/// A fault put in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Injection {
    #[n(0)]
    pub kind: InjectionKind,
    #[n(1)]
    pub lane: LaneId,
    #[n(2)]
    pub when: InjectionWhen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum InjectionKind {
    /// Kill the program shortly after its start.
    #[n(0)]
    Kill,
    /// Stop (freeze) the program shortly after its start.
    #[n(1)]
    Stop,
    /// Let the program run only a part of the time.
    #[n(2)]
    Slow,
    /// Flip one bit of its output before anything looks at it.
    #[n(3)]
    Flip,
    /// Let the Execution ARMOR cast a ballot that its output does not bear out.
    #[n(4)]
    Lie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum InjectionWhen {
    /// The first execution of the lane only.
    #[n(0)]
    Once,
    #[n(1)]
    Always,
    /// Each execution with this probability, in parts per million, drawn from its id.
    #[n(2)]
    Chance(#[n(0)] u32),
}
