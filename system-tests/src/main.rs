//! The campaign: many rounds of chaos, told as a table. Started by `cargo xtask chaos`.

use std::process::ExitCode;

use chameleon_system_tests::Random;
use chameleon_system_tests::chaos::{Action, Ending, Round, Tally, Victim, play};
use chameleon_system_tests::random::seed;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = match arguments.next().map(|text| text.parse()) {
        Some(Ok(rounds)) => rounds,
        _ => {
            eprintln!("how many rounds? The seed is taken from CHAMELEON_SEED.");
            return ExitCode::from(2);
        }
    };
    let only: Vec<String> = arguments.collect();
    let seed = seed();
    eprintln!("{rounds} rounds, CHAMELEON_SEED={seed}");
    let mut tally = campaign(rounds, seed, &only);
    println!("Seed {seed}, {} rounds.\n\n{}", tally.rounds(), tally.table());
    for failure in &tally.failures {
        eprintln!("FAILED {failure}\n");
    }
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Kinds and actions in turn, each round with a seed of its own, until so many processes were hurt.
fn campaign(rounds: usize, seed: u64, only: &[String]) -> Tally {
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let wanted = |victim: &Victim| only.is_empty() || only.iter().any(|word| word == victim.word());
    let victims: Vec<Victim> = Victim::ALL.into_iter().filter(wanted).collect();
    let pairs: Vec<(Victim, Action)> =
        victims.iter().flat_map(|victim| Action::ALL.map(|action| (*victim, action))).collect();
    // A job may be over before there is somebody to hurt; such a round does not count, but there is an end to it.
    for number in 0..rounds * 2 {
        if tally.rounds() >= rounds || pairs.is_empty() {
            break;
        }
        let (victim, action) = pairs[number % pairs.len()];
        let round = Round { victim, action, seed: random.draw() };
        let outcome = play(round);
        match &outcome {
            Ok(told) => {
                eprintln!("{number}: {round}: {:?} {:.2} s after", told.ending, told.took.as_secs_f64());
                if matches!(told.ending, Ending::SafeAbort(_)) {
                    eprintln!("{}", told.said);
                }
            }
            Err(why) => eprintln!("{number}: {why}"),
        }
        tally.add(round, outcome);
    }
    tally
}
