//! A line a lane on the terminal while a long job runs; nothing where nobody looks.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use chameleon_core::message::LaneRow;
use chameleon_core::names::{LaneId, StageId};
use chameleon_core::report::sentence::seconds;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A job that is done sooner shows nothing.
const LONG: Duration = Duration::from_secs(1);

/// The lines of one job.
pub struct Lines {
    screen: MultiProgress,
    lanes: BTreeMap<LaneId, ProgressBar>,
    began: Instant,
    visible: bool,
}

impl Lines {
    /// On standard error, if that is a terminal.
    pub fn new() -> Self {
        let visible = io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Lines {
            screen: MultiProgress::with_draw_target(target),
            lanes: BTreeMap::new(),
            began: Instant::now(),
            visible,
        }
    }

    /// Draws the lanes as they are now.
    pub fn show(&mut self, stage: StageId, decided: u64, tasks: u64, lanes: &[LaneRow]) {
        if !self.visible || self.began.elapsed() < LONG {
            return;
        }
        for row in lanes {
            if !self.lanes.contains_key(&row.lane) {
                let place = self.lanes.range(..row.lane).count();
                let line = self.screen.insert(place, ProgressBar::new_spinner().with_style(style()));
                self.lanes.insert(row.lane, line.with_prefix(row.lane.to_string()));
            }
            if let Some(line) = self.lanes.get(&row.lane) {
                line.set_message(message(stage, decided, tasks, row));
                line.tick();
            }
        }
    }

    /// Takes the lines away.
    pub fn clear(&mut self) {
        self.lanes.values().for_each(ProgressBar::finish_and_clear);
        self.lanes.clear();
    }

    /// Something that writes to the terminal without tearing the lines.
    pub fn beside<W: Write>(&self, inner: W) -> Beside<W> {
        Beside { inner, screen: self.visible.then(|| self.screen.clone()) }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {spinner} {elapsed} {wide_msg}").expect("the template is right")
}

/// What a lane does, in a few words.
fn message(stage: StageId, decided: u64, tasks: u64, row: &LaneRow) -> String {
    let mut parts = vec![format!("stage {stage}")];
    if tasks > 1 {
        parts.push(format!("{} of {tasks} tasks done, {decided} decided", row.finished));
    }
    if let Some((task, bytes)) = row.running {
        parts.push(format!("{task} has printed {}", HumanBytes(bytes)));
    }
    if row.cpu_us > 0 {
        parts.push(format!("{} of CPU time", seconds(row.cpu_us)));
    }
    if row.paused {
        parts.push("waits for the others".to_owned());
    }
    parts.join(" · ")
}

/// A writer beside progress lines.
pub struct Beside<W> {
    inner: W,
    screen: Option<MultiProgress>,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.screen {
            Some(screen) => screen.suspend(|| self.inner.write(bytes)),
            None => self.inner.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::TaskId;

    #[test]
    fn a_lane_says_what_it_does() {
        let row = LaneRow { lane: LaneId(0), finished: 3, running: None, paused: false, cpu_us: 1_500_000 };
        let busy = LaneRow { running: Some((TaskId(7), 2048)), paused: true, ..row };
        let table = [
            (message(StageId(0), 0, 1, &row), "stage s0 · 1.50 s of CPU time"),
            (
                message(StageId(1), 2, 10, &busy),
                "stage s1 · 3 of 10 tasks done, 2 decided · t7 has printed 2.00 KiB · 1.50 s of CPU time · waits for the others",
            ),
        ];
        for (message, expected) in table {
            assert_eq!(message, expected);
        }
    }
}
