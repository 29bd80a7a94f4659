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
    /// How many the job has.
    stages: usize,
}

impl Lines {
    /// On standard error, if that is a terminal.
    pub fn new(stages: usize) -> Self {
        let visible = io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let screen = MultiProgress::with_draw_target(target);
        Lines { screen, lanes: BTreeMap::new(), began: Instant::now(), visible, stages }
    }

    /// Draws the lanes as they are now.
    pub fn show(&mut self, stage: StageId, decided: u64, tasks: u64, lanes: &[LaneRow]) {
        if !self.visible || self.began.elapsed() < LONG {
            return;
        }
        for row in lanes {
            if !self.lanes.contains_key(&row.lane) {
                let place = self.lanes.range(..row.lane).count();
                let line = ProgressBar::new_spinner().with_style(style()).with_elapsed(self.began.elapsed());
                let line = self.screen.insert(place, line);
                self.lanes.insert(row.lane, line.with_prefix(row.lane.to_string()));
            }
            if let Some(line) = self.lanes.get(&row.lane) {
                let stage = (self.stages > 1).then_some(stage);
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

    /// Something that writes without tearing the lines, if it writes to a terminal as they do.
    pub fn beside<W: Write>(&self, inner: W, terminal: bool) -> Beside<W> {
        Beside { inner, screen: (self.visible && terminal).then(|| self.screen.clone()) }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {spinner} {elapsed} {wide_msg}").expect("the template is right")
}

/// What a lane does, in a few words.
fn message(stage: Option<StageId>, decided: u64, tasks: u64, row: &LaneRow) -> String {
    let mut parts: Vec<String> = stage.map(|stage| format!("stage {stage}")).into_iter().collect();
    if tasks > 1 {
        parts.push(format!("{} of {tasks} tasks done, {decided} decided", row.finished));
    }
    match row.running {
        Some((task, bytes)) if tasks > 1 => parts.push(format!("{task} has printed {}", HumanBytes(bytes))),
        Some((_, bytes)) => parts.push(format!("{} printed", HumanBytes(bytes))),
        None => {}
    }
    if row.cpu_us > 0 {
        parts.push(format!("{} of CPU time", seconds(row.cpu_us)));
    }
    if row.paused {
        parts.push("waits for the others".to_owned());
    }
    parts.join(" · ")
}

/// A writer beside progress lines. They vanish while it writes, and come back when it has ended a line: drawn
/// behind half a line, they would take that with them when they vanish.
pub struct Beside<W> {
    inner: W,
    screen: Option<MultiProgress>,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(screen) = &self.screen else { return self.inner.write(bytes) };
        screen.clear()?;
        let written = self.inner.write(bytes)?;
        let ended = bytes[..written].ends_with(b"\n");
        screen.set_draw_target(if ended { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        Ok(written)
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
            (message(None, 0, 1, &row), "1.50 s of CPU time"),
            (message(None, 0, 1, &busy), "2.00 KiB printed · 1.50 s of CPU time · waits for the others"),
            (
                message(Some(StageId(1)), 2, 10, &busy),
                "stage s1 · 3 of 10 tasks done, 2 decided · t7 has printed 2.00 KiB · 1.50 s of CPU time · waits for the others",
            ),
        ];
        for (message, expected) in table {
            assert_eq!(message, expected);
        }
    }
}
