//! Figures: medians and other quantiles of several runs, and a table of them.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// Durations of the same thing, measured several times.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Measures something so many times.
    pub fn of(times: usize, mut something: impl FnMut()) -> Sample {
        let one = |_| {
            let begin = Instant::now();
            something();
            begin.elapsed()
        };
        Sample((0..times).map(one).collect())
    }

    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this part of all lies; 0.5 is the median.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// So many things a second, by the median.
    pub fn rate(&self, things: u64) -> f64 {
        things as f64 / self.median().as_secs_f64()
    }
}

impl FromIterator<Duration> for Sample {
    fn from_iter<T: IntoIterator<Item = Duration>>(durations: T) -> Self {
        Sample(durations.into_iter().collect())
    }
}

/// Milliseconds for people.
pub fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1_000.0;
    if ms >= 100.0 { format!("{ms:.0} ms") } else { format!("{ms:.2} ms") }
}

/// A ratio for people.
pub fn percent(ours: f64, floor: f64) -> String {
    format!("{:.1} %", ours / floor * 100.0)
}

/// How many times the floor.
pub fn times(ours: Duration, floor: Duration) -> String {
    format!("{:.2} ×", ours.as_secs_f64() / floor.as_secs_f64())
}

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    remark: &'static str,
}

impl Table {
    pub fn new(headings: &[&'static str], remark: &'static str) -> Table {
        Table { headings: headings.to_vec(), rows: Vec::new(), remark }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let row: Vec<String> = cells.into_iter().map(Into::into).collect();
        eprintln!("  {}", row.join(" | "));
        self.rows.push(row);
    }

    /// The table in Markdown, with its remark.
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", self.headings.join(" | "), "---|".repeat(self.headings.len()));
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        format!("{text}\n{}\n", self.remark)
    }
}
