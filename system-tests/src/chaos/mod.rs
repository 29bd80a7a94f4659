//! One round: a job runs, one process is hurt at a random moment, and the job must end as promised.
//!
//! Promised is: the right result or a safe abort, no half-written file, nothing left running, and no
//! finished execution repeated because a manager or a voter died. A round is decided by its seed, so
//! that a failed one can be played again; the moment is as exact as the machine's load allows.

mod counter;
mod job;
mod tally;
mod victim;

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::launch::{End, Finished, Started};
use crate::processes::Process;
use crate::random::Random;
use crate::trial::Trial;

pub use counter::Counter;
pub use job::Work;
pub use tally::Tally;
pub use victim::Victim;

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// kill -9.
    Kill,
    /// SIGSTOP, and never continued.
    Stop,
    /// Its main thread jumps to itself for ever.
    Spin,
}

impl Action {
    pub const ALL: [Action; 3] = [Action::Kill, Action::Stop, Action::Spin];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Action::Kill => "kill -9",
            Action::Stop => "SIGSTOP",
            Action::Spin => "spin",
        }
    }

    fn take(self, on: &Process) -> std::io::Result<()> {
        match self {
            Action::Kill => on.signal(Signal::KILL),
            Action::Stop => on.signal(Signal::STOP),
            Action::Spin => on.spin(),
        }
    }
}

/// Who is hurt, how, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    pub victim: Victim,
    pub action: Action,
    pub seed: u64,
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}, seed {}", self.action.word(), self.victim.word(), self.seed)
    }
}

/// How a round ended, when all that was promised held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub ending: Ending,
    /// From the start of the command to the fault.
    pub hurt_after: Duration,
    /// From the fault to the end of the command.
    pub took: Duration,
    /// Executions that were started, and how many there are without any fault.
    pub executions: usize,
    pub least: usize,
    /// Standard error of the command.
    pub said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The right result.
    Result,
    /// A safe abort with this exit code, and the files as they were.
    SafeAbort(i32),
    /// The command itself was the victim; its job went with it, and its files are as they were or as
    /// they must become.
    Gone,
    /// The job was over before there was anybody to hurt.
    Missed,
}

/// How long the job runs at most before it is hurt.
const MOMENTS: Duration = Duration::from_millis(1_500);
/// How long a round may take. Slow detections must fit in it.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a hung command is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// Plays a round.
///
/// # Errors
/// What did not hold.
///
/// # Panics
/// If the machine refuses what the round needs.
pub fn play(round: Round) -> Result<Told, String> {
    let trial = Trial::new();
    let told = play_in(&trial, round).map_err(|why| format!("{round}: {why}"));
    let left = crate::processes::left_after(trial.mark(), Duration::from_secs(5));
    let left: Vec<String> = left.iter().map(ToString::to_string).collect();
    crate::processes::kill_all(trial.mark());
    if left.is_empty() { told } else { Err(format!("{round}: {told:?}, but these still run:\n{}", left.join("\n"))) }
}

fn play_in(trial: &Trial, round: Round) -> Result<Told, String> {
    let mut random = Random::new(round.seed);
    let mut work = Work::prepare(trial);
    let moment = Duration::from_micros(random.below(MOMENTS.as_micros() as u64));
    let begin = Instant::now();
    let mut started = work.start(trial, WITHIN);
    std::thread::sleep(moment);
    let hurt = hurt(trial, round, &mut random, &mut started)?;
    let hurt_after = begin.elapsed();
    if hurt && round.victim == Victim::Command {
        revive(&started, round.action);
    }
    let finished = started.wait();
    let took = begin.elapsed().saturating_sub(hurt_after);
    let ending = judge(trial, &mut work, round, hurt, &finished)?;
    let executions = work.counter.total();
    Ok(Told { ending, hurt_after, took, executions, least: work.executions(), said: finished.err() })
}

/// Hurts the victim as soon as there is one. `false`: the job was over before.
fn hurt(trial: &Trial, round: Round, random: &mut Random, started: &mut Started) -> Result<bool, String> {
    while started.is_running() {
        let found = round.victim.find(trial, started, random);
        if let Some(process) = found {
            match round.action.take(&process) {
                Ok(()) => return Ok(true),
                Err(_) if !process.runs() => {}
                Err(why) => return Err(format!("{process} could not be hurt: {why}")),
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

/// A command that hangs is continued, or ended, as its user would.
fn revive(started: &Started, action: Action) {
    let Some(process) = started.process() else { return };
    let signal = match action {
        Action::Kill => return,
        Action::Stop => Signal::CONT,
        Action::Spin => Signal::KILL,
    };
    std::thread::sleep(PAUSE);
    // It may have ended by itself meanwhile.
    let _ = process.signal(signal);
}

fn judge(trial: &Trial, work: &mut Work, round: Round, hurt: bool, finished: &Finished) -> Result<Ending, String> {
    let fail = |why: String| Err(format!("{why}\n{finished}"));
    let ending = match finished.end {
        End::Exit(0) if !hurt => Ending::Missed,
        End::Exit(0) => Ending::Result,
        End::Exit(code @ (123 | 125)) => Ending::SafeAbort(code),
        End::Signal(9) if round.victim == Victim::Command => Ending::Gone,
        _ => return fail("neither the right result nor a safe abort".into()),
    };
    if ending == Ending::Gone {
        work.let_the_next_start_roll_forward(trial);
    }
    if let Err(why) = work.check_output(&finished.stdout, ending) {
        return fail(why);
    }
    if let Err(why) = work.check_files(trial, ending) {
        return fail(why);
    }
    if let Err(why) = work.check_executions(round.victim) {
        return fail(why);
    }
    Ok(ending)
}
