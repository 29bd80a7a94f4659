//! Whether an ARMOR works, judged by what it answers and by what the system says of its process.
//!
//! A death is no matter of judgement: a pidfd tells it. This is for those that live and do not work.
//! Silence alone proves nothing, since a busy host is silent too: an ARMOR is only judged hung when
//! it is stopped, or had the CPU and did not answer. What was missed while the daemon itself was held
//! up counts for nothing either.

use crate::message::{Evidence, Vitals};
use crate::names::Millis;
use crate::world::ProcessSample;

/// How often every ARMOR is asked how it fares.
pub const BEAT: Millis = Millis(100);
/// Beats without an answer after which the process is looked at.
pub const UNANSWERED: u64 = 3;
/// A process that was stopped at two looks this far apart is stopped for good.
pub const STOPPED_FOR: Millis = Millis(100);
/// How long an ARMOR answers that it has work, and does none, before it is replaced.
pub const NO_PROGRESS_FOR: Millis = Millis(3_000);
/// And in at least so many answers: one answer after a long pause shows nothing.
pub const NO_PROGRESS_ANSWERS: u32 = 10;
/// A beat this late means that the daemon itself was held up: what it missed is nobody's fault.
pub const LATE: Millis = Millis(500);
/// How long an ARMOR that was given its name may take before its process is looked at.
pub const START_LOOK: Millis = Millis(1_000);

/// For how long the evidence must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// It had the CPU, hardly used it, and did not answer. Longer than a slow disk holds up a write.
    pub silent: Millis,
    /// It used the CPU and did not answer. Longer than the largest backlog takes to be worked off.
    pub spinning: Millis,
}

/// With an ARMOR that was ready once.
pub const RUNNING: Patience = Patience { silent: Millis(2_000), spinning: Millis(3_000) };
/// With one that still restores its state, which may be much to read.
pub const STARTING: Patience = Patience { silent: Millis(5_000), spinning: Millis(5_000) };

/// What the daemon knows of how one incarnation fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    patience: Patience,
    heard: Millis,
    /// The last beat that was answered.
    answered: u64,
    /// The look that later ones are compared with, during this silence.
    first_look: Option<(Millis, ProcessSample)>,
    /// The first look of all at this silence. On a crowded host a process that spins gets little of the CPU and is
    /// starved most of the time; all that it got since then was enough to answer.
    begin: Option<ProcessSample>,
    still: Option<Still>,
}

/// An ARMOR that has work and stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Still {
    since: Millis,
    done: u64,
    answers: u32,
}

impl Watch {
    /// Begins now; beats up to `beat` were not for this incarnation.
    #[must_use]
    pub fn new(now: Millis, beat: u64, patience: Patience) -> Self {
        Watch { patience, heard: now, answered: beat, first_look: None, begin: None, still: None }
    }

    /// Since when nothing was heard.
    #[must_use]
    pub fn silent(&self, now: Millis) -> Millis {
        now.since(self.heard)
    }

    /// Whether so many beats were not answered that the process must be looked at.
    #[must_use]
    pub fn is_silent(&self, beat: u64) -> bool {
        beat.saturating_sub(self.answered) > UNANSWERED
    }

    /// The daemon was held up: answers may lie unread, so that neither a silence nor a standstill that
    /// spans it shows anything. That the process was stopped still does.
    pub fn excuse(&mut self) {
        self.first_look = self.first_look.filter(|(_, look)| look.stopped);
        self.still = None;
    }

    /// The ARMOR answered; evidence if it has work and does none.
    pub fn answered(&mut self, now: Millis, vitals: &Vitals) -> Option<Evidence> {
        self.heard = now;
        self.answered = self.answered.max(vitals.beat);
        self.first_look = None;
        self.begin = None;
        let done = vitals.progress.done;
        if vitals.progress.pending == 0 {
            self.still = None;
            return None;
        }
        let still = match self.still {
            Some(still) if still.done == done => Still { answers: still.answers + 1, ..still },
            Some(_) | None => Still { since: now, done, answers: 1 },
        };
        self.still = Some(still);
        let stands = now.since(still.since) >= NO_PROGRESS_FOR && still.answers >= NO_PROGRESS_ANSWERS;
        stands.then_some(Evidence::NoProgress)
    }

    /// What the system says of a process that does not answer; evidence if it could have answered.
    pub fn looked(&mut self, now: Millis, sample: &ProcessSample) -> Option<Evidence> {
        let begin = *self.begin.get_or_insert(*sample);
        let Some((since, first)) = self.first_look.filter(|(_, first)| first.stopped == sample.stopped) else {
            self.first_look = Some((now, *sample));
            return None;
        };
        let window = now.since(since);
        if sample.stopped {
            return (window >= STOPPED_FOR).then_some(Evidence::Stopped);
        }
        if sample.used(&begin, self.patience.spinning) {
            return Some(Evidence::Spinning);
        }
        let used_us = sample.cpu_us.saturating_sub(first.cpu_us);
        let (needed, evidence) = if used_us.saturating_mul(4) >= window.0.saturating_mul(1_000) {
            (self.patience.spinning, Evidence::Spinning)
        } else {
            (self.patience.silent, Evidence::Silent)
        };
        if window < needed {
            return None;
        }
        let could = sample.could_have_answered(&first, window);
        if !could {
            self.first_look = Some((now, *sample));
        }
        could.then_some(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::armor::Progress;
    use crate::names::Incarnation;

    /// One look every beat at a silent process whose counters grow by so much a beat; the evidence,
    /// and when it was found.
    fn judged(patience: Patience, stopped: bool, cpu_us: u64, starved_us: u64) -> Option<(Evidence, u64)> {
        let mut watch = Watch::new(Millis(0), 0, patience);
        (1..=600).find_map(|look| {
            let sample = ProcessSample { stopped, cpu_us: cpu_us * look, starved_us: starved_us * look };
            watch.looked(Millis(look * BEAT.0), &sample).map(|evidence| (evidence, look * BEAT.0))
        })
    }

    #[test]
    fn a_silent_process_is_judged_by_whether_it_could_have_answered() {
        let table = [
            ("stopped", RUNNING, true, 0, 0, Some((Evidence::Stopped, 200))),
            ("asleep and deaf", RUNNING, false, 0, 0, Some((Evidence::Silent, 2_100))),
            ("spinning alone", RUNNING, false, 100_000, 0, Some((Evidence::Spinning, 3_100))),
            ("spinning on a shared CPU", RUNNING, false, 50_000, 50_000, Some((Evidence::Spinning, 3_100))),
            ("starved", RUNNING, false, 2_000, 98_000, None),
            (
                "starved at four times the load, for long",
                RUNNING,
                false,
                24_000,
                76_000,
                Some((Evidence::Spinning, 12_600)),
            ),
            ("spinning among twenty", RUNNING, false, 10_000, 90_000, Some((Evidence::Spinning, 30_100))),
            ("starting, stopped", STARTING, true, 0, 0, Some((Evidence::Stopped, 200))),
            ("starting, reads much", STARTING, false, 90_000, 0, Some((Evidence::Spinning, 5_100))),
            ("starting, starved", STARTING, false, 1_000, 90_000, None),
        ];
        for (what, patience, stopped, cpu_us, starved_us, expected) in table {
            assert_eq!(judged(patience, stopped, cpu_us, starved_us), expected, "{what}");
        }
    }

    #[test]
    fn starvation_that_ends_does_not_excuse_the_silence_after_it() {
        let mut watch = Watch::new(Millis(0), 0, RUNNING);
        let found = (1..=200).find_map(|look| {
            let starved_us = 95_000 * look.min(100);
            let sample = ProcessSample { stopped: false, cpu_us: 0, starved_us };
            watch.looked(Millis(look * BEAT.0), &sample).map(|evidence| (evidence, look))
        });
        let (evidence, look) = found.expect("judged");
        assert_eq!(evidence, Evidence::Silent);
        assert!((101..=160).contains(&look), "{look}");
    }

    #[test]
    fn a_process_that_goes_on_after_a_stop_is_watched_anew() {
        let mut watch = Watch::new(Millis(0), 0, RUNNING);
        let sample = |stopped| ProcessSample { stopped, cpu_us: 0, starved_us: 0 };
        for (at, stopped) in [(0, true), (50, true), (200, false), (300, true), (350, true)] {
            assert_eq!(watch.looked(Millis(at), &sample(stopped)), None, "{at}");
        }
    }

    fn pong(watch: &mut Watch, beat: u64, done: u64, pending: u64) -> Option<Evidence> {
        let vitals = Vitals { incarnation: Incarnation(1), beat, progress: Progress { done, pending } };
        watch.answered(Millis(beat * BEAT.0), &vitals)
    }

    #[test]
    fn presence_is_not_progress() {
        type Answer = fn(u64) -> (u64, u64);
        let table: [(&str, Answer, Option<u64>); 4] = [
            ("has work and does none", |_| (7, 2), Some(31)),
            ("has nothing to do", |_| (7, 0), None),
            ("works slowly", |beat| (beat / 20, 1), None),
            ("was idle, then stands still", |beat| (7, u64::from(beat > 40)), Some(71)),
        ];
        for (what, progress, expected) in table {
            let mut watch = Watch::new(Millis(0), 0, RUNNING);
            let found = (1..=100).find(|&beat| {
                let (done, pending) = progress(beat);
                pong(&mut watch, beat, done, pending) == Some(Evidence::NoProgress)
            });
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn an_answer_ends_the_suspicion() {
        let mut watch = Watch::new(Millis(0), 0, RUNNING);
        let asleep = ProcessSample { stopped: false, cpu_us: 0, starved_us: 0 };
        assert!(!watch.is_silent(UNANSWERED));
        assert!(watch.is_silent(UNANSWERED + 1));
        assert_eq!(watch.looked(Millis(400), &asleep), None);
        assert_eq!(pong(&mut watch, 19, 0, 0), None);
        assert!(!watch.is_silent(20));
        assert_eq!(watch.looked(Millis(2_500), &asleep), None, "the window begins anew");
    }

    #[test]
    fn what_the_daemon_missed_itself_counts_for_nothing() {
        let asleep = ProcessSample { stopped: false, cpu_us: 0, starved_us: 0 };
        for (stopped, expected) in [(false, None), (true, Some(Evidence::Stopped))] {
            let sample = ProcessSample { stopped, ..asleep };
            let mut watch = Watch::new(Millis(0), 0, RUNNING);
            assert_eq!(watch.looked(Millis(400), &sample), None);
            watch.excuse();
            assert_eq!(watch.looked(Millis(60_000), &sample), expected, "stopped: {stopped}");
        }
    }
}
