//! What came of the figures, as a table that stands beside its predictions.

use chameleon_core::reliability::{Faults, Odds, interval};

use super::{Counts, Figure, PER_MILLION, Row};
use crate::failure::Failure;

const HEAD: &str = "| where | the pipeline | wrong results | trials | right | predicted | wrong accepted | predicted | no result | predicted |\n|---|---|---|---|---|---|---|---|---|---|";

impl Counts {
    pub fn trials(self) -> u64 {
        self.right + self.wrong + self.none
    }
}

/// The section of `docs/measurements.md`.
pub fn page(rows: &[Row]) -> String {
    let lines: Vec<String> = rows.iter().map(line).collect();
    let p = f64::from(PER_MILLION) / 10_000.0;
    format!(
        "## Figures 2, 3 and 4 of the review

The same pipeline of three stages under the same faults: an execution of a stage comes to a wrong result with a
probability of {p} %, independently, drawn from the seed. Three lanes of which two must agree, and nothing else that
would help. Shares in percent, in brackets the 95 % interval of Wilson; predictions by `core/src/reliability.rs`. Made
by `cargo xtask figures`.

{HEAD}
{}

Where the wrong results of two lanes are alike, which is the worst case, a vote is lost to them; where each is another,
a vote is lost to nobody, and there is no result. What the vote gains is the same. A vote at the end alone gains little
once a lane that runs all stages is wrong in more than a quarter of all cases; it would lose where it is wrong in more
than a half.
",
        lines.join("\n")
    )
}

/// One row of the table.
pub fn line(row: &Row) -> String {
    let Row { world, figure, faults, counts, odds } = row;
    let figure = match figure {
        Figure::Unprotected => "figure 2, unprotected",
        Figure::VotedAtTheEnd => "figure 3, voted on at the end",
        Figure::VotedPerStage => "figure 4, voted on after each stage",
    };
    let faults = match faults {
        Faults::Alike => "alike",
        Faults::Different => "each another",
    };
    let trials = counts.trials();
    let shares = [(counts.right, odds.right), (counts.wrong, odds.wrong), (counts.none, odds.none)];
    let cells = shares.map(|(hits, predicted)| format!("{} | {:.1}", share(hits, trials), predicted * 100.0));
    format!("| {world} | {figure} | {faults} | {trials} | {} |", cells.join(" | "))
}

/// `27.4 (25.5 to 29.4)`.
fn share(hits: u64, trials: u64) -> String {
    let (low, high) = interval(hits, trials);
    let middle = if trials == 0 { 0.0 } else { hits as f64 * 100.0 / trials as f64 };
    format!("{middle:.1} ({:.1} to {:.1})", low * 100.0, high * 100.0)
}

/// Whether figure 2 came out worst and figure 4 best wherever all three ran, and every prediction lies
/// within its interval, five times as wide as that of one row: there are many rows.
///
/// # Errors
/// The sentence says where not.
pub fn in_order(rows: &[Row]) -> Result<(), Failure> {
    for three in rows.chunks(3) {
        let rights: Vec<u64> = three.iter().map(|row| row.counts.right).collect();
        if !rights.is_sorted() {
            let why =
                format!("the order of the figures did not come out: {rights:?} right results, {}", three[0].world);
            return Err(Failure::NotAsItMustBe(why));
        }
    }
    match rows.iter().find(|row| !is_near(row.counts, row.odds)) {
        Some(row) => Err(Failure::NotAsItMustBe(format!("far from what was predicted: {}", line(row)))),
        None => Ok(()),
    }
}

fn is_near(counts: Counts, odds: Odds) -> bool {
    let trials = counts.trials();
    let near = |hits, predicted: f64| {
        let (low, high) = interval(hits, trials);
        let slack = 2.0 * (high - low);
        (low - slack..=high + slack).contains(&predicted)
    };
    near(counts.right, odds.right) && near(counts.wrong, odds.wrong) && near(counts.none, odds.none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: Figure, right: u64, wrong: u64) -> Row {
        let counts = Counts { right, wrong, none: 0 };
        Row { world: "simulated", figure, faults: Faults::Alike, counts, odds: figure.odds(Faults::Alike) }
    }

    #[test]
    fn a_wrong_order_and_a_far_result_are_found() {
        let rows = |third: u64| {
            [
                row(Figure::Unprotected, 729, 271),
                row(Figure::VotedAtTheEnd, 820, 180),
                row(Figure::VotedPerStage, third, 1_000 - third),
            ]
        };
        assert!(in_order(&rows(918)).is_ok());
        assert!(in_order(&rows(815)).is_err(), "figure 3 came out better than figure 4");
        assert!(in_order(&rows(1_000)).is_err(), "too good to be true");
    }
}
