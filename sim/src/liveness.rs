//! Two phases: break and look at safety; then stop breaking and demand that everything ends.
//!
//! A campaign draws a system, its users and its faults from a seed. While faults strike, the
//! invariants are looked at. Then no further fault strikes, and within a bounded time every accepted
//! job must have ended and nothing of it be left.

use std::fmt;

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::faults::{self, Fault};
use crate::invariants::{Violation, nothing_is_left};
use crate::plan;
use crate::polls::Polls;
use crate::script::{Expected, Story};
use crate::trace::Detail;
use crate::world::{Next, Raise, World};

/// Faults strike for so long, and then all must end within so long, in microseconds.
const BREAK_US: u64 = 4_000_000;
const HEAL_US: u64 = 180_000_000;
/// The dust settles: what has ended is retired within so long, in microseconds.
const SETTLE_US: u64 = 30_000_000;

/// Whether a campaign also lets the power fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Lasts,
    MayFail,
}

/// How a run went.
#[derive(Debug)]
pub struct Run {
    pub seed: u64,
    /// The digest of all that happened.
    pub digest: String,
    pub violation: Option<Violation>,
    /// The last lines of the trace, if they were wanted.
    pub lines: Vec<String>,
    /// The word of each outcome that a user saw.
    pub outcomes: Vec<&'static str>,
    /// Faults that struck a process.
    pub faults: u64,
    /// Inputs that were handled, and simulated time in ms.
    pub handled: u64,
    pub lasted_ms: u64,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} after {} inputs and {} ms", self.seed, self.digest, self.handled, self.lasted_ms)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        match &self.violation {
            Some(violation) => {
                writeln!(f, "{violation}")?;
                write!(f, "seed {}; run it again with: cargo xtask sim {}", self.seed, self.seed)
            }
            None => write!(f, "jobs ended: {}", self.outcomes.join(", ")),
        }
    }
}

/// Runs the campaign of one seed.
#[must_use]
pub fn campaign(seed: u64, power: Power, raise: Raise, detail: Detail) -> Run {
    let hosts = plan::hosts(seed, power);
    let mut world = World::new(seed, hosts, raise, detail);
    world.polls = plan::polls(seed, hosts);
    world.standing.power_may_fail = power == Power::MayFail;
    let severity = plan::invite(&mut world);
    strike_at_random(&mut world, severity);
    world.run(BREAK_US, |_| false);
    world.standing.slow_saves = 1;
    world.strike(&Fault::LoseDatagrams(0, 0));
    if let Some(polls) = &mut world.polls {
        polls.lost_per_mille = 0;
    }
    finish(&mut world, seed)
}

/// Plans random faults for the first phase.
fn strike_at_random(world: &mut World, severity: u64) {
    let mut chance = Chance::of(world.chance.number());
    let count = chance.within(0, severity + 1);
    for _ in 0..count {
        let at_us = if chance.per_mille(700) { chance.within(0, 300_000) } else { chance.within(0, BREAK_US) };
        world.after(at_us, Next::RandomFault);
    }
}

/// No further fault strikes: everything ends, and nothing is left.
fn finish(world: &mut World, seed: u64) -> Run {
    world.after(0, Next::Unit);
    let end_us = world.agenda.now_us() + HEAL_US;
    let ended = world.run(end_us, |world| waiting(world).is_empty());
    let waiting = waiting(world);
    if (!ended || !waiting.is_empty()) && world.broken.is_none() {
        let text = format!("{} still waits {} s after the last fault", waiting.join(", "), HEAL_US / 1_000_000);
        world.violate("when the faults stop, every accepted job ends", text);
    }
    let settled_us = world.agenda.now_us() + SETTLE_US;
    world.run(settled_us, |world| world.handled.is_multiple_of(64) && nothing_is_left(world).is_none());
    if world.broken.is_none() {
        world.broken = nothing_is_left(world);
    }
    report(world, seed)
}

/// Those whose jobs have not ended, and those who asked and were not answered.
fn waiting(world: &World) -> Vec<String> {
    let users = world.users.iter().filter(|(_, user)| !user.is_done()).map(|(number, _)| format!("user-{number}"));
    users.chain(world.unanswered().map(|name| name.to_string())).collect()
}

fn report(world: &World, seed: u64) -> Run {
    let endings = world.users.values().filter_map(|user| user.fate.ending.as_ref());
    Run {
        seed,
        digest: world.trace.digest(),
        violation: world.broken.clone(),
        lines: world.trace.lines().map(str::to_owned).collect(),
        outcomes: endings.map(|ending| ending.outcome.word()).collect(),
        faults: world.standing.struck,
        handled: world.handled,
        lasted_ms: world.agenda.now_us() / 1_000,
    }
}

/// Lets a story happen, and looks whether it ends as it says.
#[must_use]
pub fn tell(story: Story, raise: Raise, detail: Detail) -> Run {
    let mut world = World::new(story.seed, story.hosts, raise, detail);
    world.chance.calm();
    world.cluster = story.cluster.then(Cluster::default);
    world.polls = (story.ftms > 0).then(|| Polls::new(story.ftms));
    world.files.contents.extend(story.files);
    world.standing.mischief.extend(story.mischief);
    world.policies.extend(story.policies);
    world.posix.extend(story.posix);
    world.triggers = story.triggers;
    for (index, (after_ms, user)) in story.users.into_iter().enumerate() {
        world.expect_user(index as u64 + 1, user, 20_000 + after_ms * 1_000);
    }
    for (ms, fault) in story.timed {
        world.after(20_000 + ms * 1_000, Next::Fault(fault));
    }
    let mut run = finish(&mut world, story.seed);
    let wrong = story.expected.iter().find_map(|expected| disappointment(&world, expected));
    let left = world.triggers.iter().find(|trigger| trigger.is_left());
    let wrong = wrong.or_else(|| left.map(|trigger| format!("the moment never came of {trigger:?}")));
    if let (None, Some(text)) = (&run.violation, wrong) {
        run.violation = Some(Violation { invariant: "the story ends as it says", at_us: world.agenda.now_us(), text });
    }
    run
}

/// What is otherwise than a story says it ends.
fn disappointment(world: &World, expected: &Expected) -> Option<String> {
    let fate = world.users.get(&expected.user).map(|user| user.fate.clone()).unwrap_or_default();
    let ending = fate.ending.map(|ending| (ending.outcome.word().to_owned(), ending.outcome.exit_code()));
    let printed = String::from_utf8_lossy(&fate.printed).into_owned();
    let as_told = ending == Some((expected.word.clone(), expected.code));
    let as_printed = expected.printed.as_ref().is_none_or(|text| *text == printed);
    (!as_told || !as_printed).then(|| format!("expected {expected:?}, found {ending:?} with {printed:?}"))
}

/// Whether a random fault is still to strike, and which.
pub(crate) fn random_fault(world: &mut World) {
    if let Some(fault) = faults::draw(world) {
        world.strike(&fault);
    }
}
