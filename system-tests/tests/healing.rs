//! Any single process may die, stop or spin, at any moment: the job ends as promised all the same.
//!
//! Few rounds here, each from a seed that is printed; `cargo xtask chaos --rounds 200` plays many.

use chameleon_system_tests::Random;
use chameleon_system_tests::chaos::{Action, Ending, Round, Victim, play};
use chameleon_system_tests::random::seed;

/// Rounds a kind of process and action, unless `CHAMELEON_ROUNDS` says otherwise.
const ROUNDS: u64 = 1;
/// A round is tried so often until somebody was hurt.
const TRIES: usize = 5;

fn rounds() -> u64 {
    std::env::var("CHAMELEON_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

fn heals(victim: Victim) {
    let seed = seed();
    println!("CHAMELEON_SEED={seed}");
    let mut random = Random::new(seed);
    for action in Action::ALL {
        if action == Action::Spin && !cfg!(target_arch = "x86_64") {
            chameleon_system_tests::skip("a spin is known for x86-64 only");
            continue;
        }
        for _ in 0..rounds() {
            let hurt = (0..TRIES).any(|_| {
                let round = Round { victim, action, seed: random.draw() };
                let told = play(round).unwrap_or_else(|why| panic!("{why}"));
                println!("{round}: {told:?}");
                // One process hurt is what `tmr` masks: an abort would be safe, and too little.
                let expected = matches!(told.ending, Ending::Result | Ending::Gone | Ending::Missed);
                assert!(expected, "{round}: {:?}: {}", told.ending, told.said);
                told.ending != Ending::Missed
            });
            assert!(hurt, "no {} could be hurt before its job was over", victim.word());
        }
    }
}

macro_rules! victims {
    ($($test:ident: $victim:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            heals(Victim::$victim);
        }
    )*};
}

victims!(
    a_program_that_is_hurt_is_run_again_or_outvoted: Program,
    a_slot_that_is_hurt_is_replaced: Slot,
    an_execution_that_is_hurt_is_replaced: Execution,
    a_voter_that_is_hurt_is_replaced_and_repeats_no_execution: Voter,
    a_fanout_that_is_hurt_is_replaced_and_repeats_no_execution: Fanout,
    a_surrogate_that_is_hurt_is_replaced_and_repeats_no_execution: Surrogate,
    an_ftm_that_is_hurt_is_replaced_and_repeats_no_execution: Ftm,
    a_daemon_that_is_hurt_is_replaced_and_repeats_no_execution: Daemon,
    a_blank_process_that_is_hurt_is_replaced: Blank,
    a_command_that_is_hurt_takes_its_system_with_it: Command,
);
