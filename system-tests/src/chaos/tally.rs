//! What many rounds showed, as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::{Action, Ending, Round, Told, Victim};

/// Counts by kind of process and action.
#[derive(Debug, Default)]
pub struct Tally {
    rows: BTreeMap<(Victim, Action), Row>,
    pub failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    results: usize,
    aborts: usize,
    gone: usize,
    missed: usize,
    failed: usize,
    repeated: usize,
    took: Vec<Duration>,
}

impl Tally {
    pub fn add(&mut self, round: Round, outcome: Result<Told, String>) {
        let row = self.rows.entry((round.victim, round.action)).or_default();
        let told = match outcome {
            Ok(told) => told,
            Err(why) => {
                row.failed += 1;
                self.failures.push(why);
                return;
            }
        };
        match told.ending {
            Ending::Result => row.results += 1,
            Ending::SafeAbort(_) => row.aborts += 1,
            Ending::Gone => row.gone += 1,
            Ending::Missed => {
                row.missed += 1;
                return;
            }
        }
        row.repeated += told.executions.saturating_sub(told.least);
        row.took.push(told.took);
    }

    /// Rounds in which somebody was hurt.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rows.values().map(|row| row.results + row.aborts + row.gone + row.failed).sum()
    }

    /// The table, in Markdown.
    #[must_use]
    pub fn table(&mut self) -> String {
        let mut text = String::from(
            "| hurt | how | rounds | right result | safe abort | ended with its command | failed | executions \
             repeated | fault to end, median | longest |\n|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for ((victim, action), row) in &mut self.rows {
            row.took.sort();
            let median = row.took.get(row.took.len() / 2).copied().unwrap_or_default();
            let longest = row.took.last().copied().unwrap_or_default();
            let rounds = row.results + row.aborts + row.gone + row.failed;
            let _ = writeln!(
                text,
                "| {} | {} | {rounds} | {} | {} | {} | {} | {} | {:.2} s | {:.2} s |",
                victim.word(),
                action.word(),
                row.results,
                row.aborts,
                row.gone,
                row.failed,
                row.repeated,
                median.as_secs_f64(),
                longest.as_secs_f64(),
            );
        }
        text
    }
}
