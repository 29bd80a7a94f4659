//! The same tests on hosts that keep programs from little: all about slots, voting, crashes and kills, but for those about
//! what docs/files.md says is not promised there.

use super::runner;
use super::tally::Tally;
use crate::failure::Failure;

/// Whose tests are run again.
const BINARIES: [&str; 4] = ["slot", "shell", "stages", "nondeterministic"];

/// Each ARMOR killed, stopped, and so on, while a job runs.
const HEALING: [&str; 6] = [
    "a_daemon_that_is_hurt",
    "a_slot_that_is_hurt",
    "a_surrogate_that_is_hurt",
    "a_voter_that_is_hurt",
    "an_execution_that_is_hurt",
    "an_ftm_that_is_hurt",
];

/// Those about namespaces, private directories, read-only paths, the network, a path that all lanes share, or standard error
/// without a remark.
const CONFINED: [&str; 17] = [
    "a_lane_that_keeps_its_things_in_a_given_place",
    "where_no_overlay_can_be_made_a_copy_serves",
    "every_execution_starts_from_the_same_state",
    "inputs_and_the_program_stay_visible",
    "nothing_outlives_an_execution_or_its_slot",
    "only_the_run_directory_and_the_outputs",
    "surroundings_are_the_same_for_every_lane",
    "the_network_is_off",
    "what_a_program_was_not_allowed_to_change",
    "without_an_overlay_the_run_directory_is_read_only",
    "a_blocked_write_is_named",
    "a_reader_that_has_enough",
    "files_may_be_thrown_away_or_forbidden",
    "private_places_are_empty",
    "the_directory_and_the_environment",
    "what_a_pipeline_sees_is_output_only",
    "what_cannot_be_kept_or_reached",
];

/// Runs them.
///
/// # Errors
/// cargo cannot be started.
pub fn tests(tally: &mut Tally) -> Result<(), Failure> {
    let any =
        |form: fn(&str) -> String, names: &[&str]| names.iter().map(|name| form(name)).collect::<Vec<_>>().join(" + ");
    let named = |name: &str| format!("test({name})");
    let binaries = any(|name| format!("binary({name})"), &BINARIES);
    let filter = format!(
        "(({binaries}) - ({confined})) + (binary(healing) & ({healing}))",
        confined = any(named, &CONFINED),
        healing = any(named, &HEALING)
    );
    runner::again(tally, &filter, ("CHAMELEON_FACILITIES", "posix"))
}
