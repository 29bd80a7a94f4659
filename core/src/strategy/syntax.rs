//! A strategy file: its text read into a strategy, every problem with its place.
//!
//! A file says what is particular about its strategy; what it leaves out has the values below. A
//! strategy is called after its file, so that a copy of ours under another name is another one.

use super::check::{MOST_REPLICAS, majority};
use super::{Order, Redundancy, Restart, Strategy};
use crate::document::{self, Problems, Table};
use crate::job::values;
use crate::names::Millis;
use crate::refusal::Refusal;

const RESTART: Restart = Restart { limit: 3, backoff: Millis(10), backoff_most: Millis(1_000) };
/// A coin that splits the lanes goes unnoticed once in 8 times when the winner repeats it thrice.
const REPEATS: u16 = 3;
const PATIENCE_PERCENT: u32 = 100;

const MOST_REPEATS: i64 = 99;
const MOST_RESTARTS: i64 = 1_000_000;
const MOST_PATIENCE_PERCENT: i64 = 10_000;

/// Reads a strategy file. `file` is its name as the person wrote it.
///
/// # Errors
/// The text is refused, with all of its problems.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Strategy, Refusal> {
    let text = document::text_of(file, bytes)?;
    let (root, problems) = document::parse(text);
    let strategy = read(Table::root("the strategy file", &root, &problems), file, &problems);
    if problems.is_empty() { Ok(strategy) } else { Err(Refusal::new(file, text, problems.into_vec(), vec![])) }
}

/// The strategy; worth nothing if a problem was noted.
fn read(mut root: Table<'_>, file: &str, problems: &Problems<'_>) -> Strategy {
    let about = root.optional("about").and_then(|value| value.string("one sentence about the strategy"));
    let redundancy = redundancy(&mut root);
    let extend_to = number(&mut root, "extend_to", "the most lanes there may come to be", 1..=MOST_REPLICAS.into());
    let repeats = number(&mut root, "repeats", "how often a dissent is repeated", 0..=MOST_REPEATS);
    let patience = "the share of the winners' time that slower lanes get, in percent";
    let patience_percent = number(&mut root, "patience_percent", patience, 0..=MOST_PATIENCE_PERCENT);
    let mut restart = root.table("restart");
    let mut variation = root.table("variation");
    let strategy = Strategy {
        name: name_of(file),
        about: about.unwrap_or_default().to_owned(),
        redundancy,
        restart: restart.as_mut().map_or(RESTART, self::restart),
        extend_to: extend_to.unwrap_or(redundancy.replicas),
        repeats: repeats.unwrap_or(REPEATS),
        variation: variation.as_mut().map(self::redundancy),
        patience_percent: patience_percent.unwrap_or(PATIENCE_PERCENT),
    };
    check(&strategy, &root, variation.as_ref(), restart.as_ref(), problems);
    [Some(root), restart, variation].into_iter().flatten().for_each(Table::finish);
    strategy
}

/// Notes what does not go together, of what was read.
fn check(
    strategy: &Strategy,
    root: &Table<'_>,
    variation: Option<&Table<'_>>,
    restart: Option<&Table<'_>>,
    problems: &Problems<'_>,
) {
    let place = |key: &'static str| match key.split_once('.') {
        None => (Some(root), key),
        Some(("variation", key)) => (variation, key),
        Some((_, key)) => (restart, key),
    };
    for unsound in strategy.check() {
        let mut places = unsound.keys().iter().map(|key| place(key));
        if places.clone().all(|(table, key)| table.is_none_or(|table| table.holds(key))) {
            let (table, key) = places.next().unwrap_or((Some(root), "replicas"));
            problems.note(table.map_or(0..0, |table| table.span_of(key)), unsound.to_string());
        }
    }
}

/// How many lanes, how many must agree, in what order.
fn redundancy(table: &mut Table<'_>) -> Redundancy {
    let lanes = 1..=i64::from(MOST_REPLICAS);
    let replicas = table.required("replicas", "the number of lanes, such as 3");
    let replicas = replicas.and_then(|value| value.number("the number of lanes", lanes.clone())).unwrap_or(1);
    let quorum = number(table, "quorum", "how many lanes must agree", lanes);
    let order = table.optional("order").and_then(|value| value.word());
    Redundancy { replicas, quorum: quorum.unwrap_or(majority(replicas)), order: order.unwrap_or(Order::Space) }
}

fn restart(table: &mut Table<'_>) -> Restart {
    let limit = number(table, "limit", "restarts of one task in one lane", 0..=MOST_RESTARTS);
    let mut wait = |key, what| table.optional(key).and_then(|value| value.parsed(what, values::duration));
    let backoff = wait("backoff", "the wait before the first restart, such as \"10ms\"").unwrap_or(RESTART.backoff);
    let most = wait("backoff_most", "the longest wait between two restarts, such as \"1s\"");
    Restart {
        limit: limit.unwrap_or(RESTART.limit),
        backoff,
        backoff_most: most.unwrap_or(RESTART.backoff_most.max(backoff)),
    }
}

/// A number that may be left out.
fn number<T: TryFrom<i64>>(
    table: &mut Table<'_>,
    key: &'static str,
    what: &str,
    bounds: std::ops::RangeInclusive<i64>,
) -> Option<T> {
    table.optional(key)?.number(what, bounds)
}

/// A strategy is called after its file: `mine` for `./mine.toml`.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".toml").unwrap_or(name).escape_debug().to_string()
}
