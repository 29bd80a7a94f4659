//! `cargo xtask figures`: the review's figures 2, 3 and 4 under the same faults. A pipeline of three stages
//! runs unprotected, voted on at its end, and voted on after each stage; how often each comes to the right
//! result, to a wrong one, or to none stands beside what the formulas say.

mod real;
mod table;

use chameleon_core::armors::raise;
use chameleon_core::job::{Injection, InjectionKind, InjectionWhen, Job, Stage};
use chameleon_core::names::{LaneId, StageId};
use chameleon_core::reliability::{self, Faults, Odds};
use chameleon_core::strategy::{Order, Redundancy, Strategy};
use chameleon_sim::{jobs, trial};

use crate::failure::Failure;
use crate::measurements;

/// The probability that an execution of one stage is faulty, in parts of a million.
const PER_MILLION: u32 = 100_000;
const STAGES: u32 = 3;
const TRIALS: u64 = 2_000;
const EXPECTED: &str = "--trials N, and --simulated to leave real processes out";

/// How the pipeline is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Unprotected,
    VotedAtTheEnd,
    VotedPerStage,
}

/// How often it ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    right: u64,
    wrong: u64,
    none: u64,
}

/// One row: where and how it ran, under which faults, what came of it, and what was predicted.
struct Row {
    world: &'static str,
    figure: Figure,
    faults: Faults,
    counts: Counts,
    odds: Odds,
}

impl Figure {
    const ALL: [Figure; 3] = [Figure::Unprotected, Figure::VotedAtTheEnd, Figure::VotedPerStage];

    /// What the formulas say.
    fn odds(self, faults: Faults) -> Odds {
        let p = f64::from(PER_MILLION) / 1e6;
        match self {
            Figure::Unprotected => reliability::unprotected(STAGES, p),
            Figure::VotedAtTheEnd => reliability::voted_at_the_end(STAGES, 3, 2, p, faults),
            Figure::VotedPerStage => reliability::voted_per_stage(STAGES, 3, 2, p, faults),
        }
    }

    /// The probability of a fault of one execution, in parts of a million: a lane that runs all stages is
    /// faulty if any of them is.
    fn per_million(self) -> u32 {
        match self {
            Figure::Unprotected | Figure::VotedPerStage => PER_MILLION,
            Figure::VotedAtTheEnd => {
                let rest = u128::from(1_000_000 - PER_MILLION).pow(STAGES) / 1_000_000_000_000;
                1_000_000 - u32::try_from(rest).unwrap_or(1_000_000)
            }
        }
    }
}

/// Runs all of it and writes the table to `docs/measurements.md`.
///
/// # Errors
/// A trial broke an invariant, the order of the figures did not come out, or the page cannot be written.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (mut trials, mut simulated) = (TRIALS, false);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match (word, words.clone().next().and_then(|number| number.parse().ok())) {
            ("--trials", Some(number)) => {
                trials = number;
                words.next();
            }
            ("--simulated", _) => simulated = true,
            _ => return Err(Failure::Usage { what: word.to_owned(), expected: EXPECTED }),
        }
    }
    let mut rows = Vec::new();
    for faults in [Faults::Alike, Faults::Different] {
        for figure in Figure::ALL {
            let counts = simulate(figure, faults, trials)?;
            rows.push(Row { world: "simulated", figure, faults, counts, odds: figure.odds(faults) });
            println!("{}", table::line(&rows[rows.len() - 1]));
        }
    }
    for figure in Figure::ALL.into_iter().filter(|_| !simulated) {
        let (faults, counts) = (Faults::Alike, real::run(figure)?);
        rows.push(Row { world: "real processes", figure, faults, counts, odds: figure.odds(faults) });
        println!("{}", table::line(&rows[rows.len() - 1]));
    }
    measurements::put("figures", &table::page(&rows))?;
    table::in_order(&rows)
}

fn simulate(figure: Figure, faults: Faults, trials: u64) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    for trial in 0..trials {
        let fate = trial::run(job(figure, faults, trial), trial, raise);
        let fate = fate.map_err(|violation| Failure::NotAsItMustBe(format!("trial {trial}: {violation}")))?;
        let ended = fate.ending.is_some_and(|ending| ending.outcome.exit_code() == 0);
        match (ended, fate.printed == right(figure, trial).as_bytes()) {
            (false, _) => counts.none += 1,
            (true, true) => counts.right += 1,
            (true, false) => counts.wrong += 1,
        }
    }
    Ok(counts)
}

/// The pipeline: each stage puts its own letter before what it read, so that no fault takes back another.
fn job(figure: Figure, faults: Faults, trial: u64) -> Job {
    // Faults that are each another come from the program; those that are alike are injected.
    let fault = if faults == Faults::Different { format!(" faulty:{PER_MILLION}") } else { String::new() };
    let lines: Vec<String> = match figure {
        Figure::VotedAtTheEnd => vec![format!("prog out:cba{{task}}{fault}{fault}{fault}")],
        Figure::Unprotected | Figure::VotedPerStage => {
            vec![
                format!("prog out:a{{task}}{fault}"),
                format!("prog out:b cat{fault}"),
                format!("prog out:c cat{fault}"),
            ]
        }
    };
    let stage = |(number, line): (u16, &String)| Stage {
        tasks: Some((trial, trial + 1)),
        stdin: number.checked_sub(1).map(StageId),
        ..jobs::stage(usize::from(number), line)
    };
    let strategy = if figure == Figure::Unprotected { single() } else { plain_tmr() };
    let lanes = strategy.redundancy.replicas;
    let mut job = jobs::job(strategy, (0..).zip(&lines).map(stage).collect());
    if faults == Faults::Alike {
        let when = InjectionWhen::Chance(figure.per_million());
        job.injections =
            (0..lanes).map(|lane| Injection { kind: InjectionKind::Flip, lane: LaneId(lane), when }).collect();
    }
    job
}

/// All that the pipeline prints when nothing is wrong.
fn right(figure: Figure, trial: u64) -> String {
    match figure {
        Figure::VotedAtTheEnd => format!("cba{trial}"),
        Figure::Unprotected | Figure::VotedPerStage => format!("a{trial}ba{trial}cba{trial}"),
    }
}

/// Three lanes and a vote, and nothing else that would help.
fn plain_tmr() -> Strategy {
    let redundancy = Redundancy { replicas: 3, quorum: 2, order: Order::Space };
    Strategy { name: "plain tmr".to_owned(), redundancy, extend_to: 3, repeats: 0, ..single() }
}

/// One lane, never restarted.
fn single() -> Strategy {
    jobs::strategy("single").expect("the library has it")
}
