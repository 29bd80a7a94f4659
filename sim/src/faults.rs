//! Faults: what strikes a process, a link, a disk or a lane; once, or for as long as the world lasts.

use std::collections::BTreeMap;

use chameleon_core::elements::seal;
use chameleon_core::message::{Message, SurrogateMessage, VoterMessage};
use chameleon_core::names::{ArmorName, LaneId};
use chameleon_core::shell::Identity;
use ed25519_dalek::SigningKey;

use crate::cluster::Question;
use crate::history::Fact;
use crate::process::{Body, Condition, Pid, Process};
use crate::world::{Next, World};

/// A fault that strikes at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// kill -9.
    Kill(ArmorName),
    /// The process fares thus from now on, for so many ms if that is said.
    Fare(ArmorName, Condition, Option<u64>),
    /// A blank process is killed.
    KillBlank,
    /// What runs in a lane's slots is killed, or stopped; the slots' first processes are killed, or go deaf.
    KillProgram(ArmorName),
    StopProgram(ArmorName),
    KillSlot(ArmorName),
    DeafenSlot(ArmorName),
    /// The links between these two break.
    Break(ArmorName, ArmorName),
    BreakAll,
    /// Saves take so many times as long from now on.
    SlowSaves(u64),
    PowerLoss,
    /// From now on something is wrong with this lane.
    Mischief(LaneId, Mischief),
    /// A user presses Ctrl-C.
    Interrupt(u64),
    /// No fault: somebody comes and asks.
    Ask(Question),
}

/// What can be wrong with a lane for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// It flips a bit of what every program prints.
    Flip,
    /// It flips other bits than any other lane does.
    Garble,
    /// Its Execution says other digests than its programs made.
    Lie,
    /// Its programs wait a hundred times as long.
    Slow,
    /// What it reads is not what the others read.
    OtherInput,
}

/// Faults that last.
#[derive(Debug, Clone)]
pub struct Standing {
    pub slow_saves: u64,
    pub mischief: BTreeMap<LaneId, Mischief>,
    /// Whether a loss of power is among the faults that are drawn.
    pub power_may_fail: bool,
    /// The system was told to end.
    pub stopping: bool,
    /// Faults that struck a process.
    pub struck: u64,
    /// Processes that ever were.
    pub processes: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Standing {
            slow_saves: 1,
            mischief: BTreeMap::new(),
            power_may_fail: false,
            stopping: false,
            struck: 0,
            processes: 0,
        }
    }
}

impl Standing {
    /// A lying lane says something else than it should; all liars say the same.
    pub fn corrupt(&self, from: &Identity, message: &mut Message) {
        let ArmorName::Execution(_, lane) = from.name else { return };
        if self.mischief.get(&lane) != Some(&Mischief::Lie) {
            return;
        }
        match message {
            Message::Voter(VoterMessage::Ballots { lane, first, witness, ballots, seal }) => {
                ballots.iter_mut().for_each(|ballot| ballot.ended.stdout.digest.0[0] ^= 1);
                *seal = seal::seal(&SigningKey::from_bytes(&from.seed), *lane, *first, witness, ballots);
            }
            Message::Voter(VoterMessage::Prefix { so_far, .. }) => so_far.digest.0[0] ^= 1,
            Message::Surrogate(SurrogateMessage::Repeated { value: Some(value), .. }) => value.stdout.0[0] ^= 1,
            _ => {}
        }
    }

    /// Whether a lane's word is worth nothing.
    #[must_use]
    pub fn is_wrong(&self, lane: LaneId) -> bool {
        matches!(self.mischief.get(&lane), Some(Mischief::Flip | Mischief::Garble | Mischief::Lie))
    }
}

impl World {
    /// A fault strikes.
    pub fn strike(&mut self, fault: &Fault) {
        match fault {
            Fault::Kill(name) => {
                if let Some(pid) = self.stricken(*name, fault) {
                    self.kill(pid);
                }
            }
            Fault::Fare(name, condition, ms) => self.strike_condition(*name, *condition, *ms, fault),
            Fault::KillBlank => {
                let blank = self.processes.iter().find(|(_, process)| matches!(process.body, Body::Blank));
                if let Some(pid) = blank.map(|(&pid, _)| pid) {
                    self.kill(pid);
                }
            }
            Fault::KillProgram(name) => self.strike_programs(*name, fault, |run| run.killed = true),
            Fault::StopProgram(name) => self.strike_programs(*name, fault, |run| run.stopped = true),
            Fault::KillSlot(name) => {
                let Some(pid) = self.stricken(*name, fault) else { return };
                let slots: Vec<_> = self.lanes.slots_of(pid).map(|(slot, _)| slot).collect();
                slots.into_iter().for_each(|slot| self.kill_slot(pid, slot));
            }
            Fault::DeafenSlot(name) => {
                let Some(pid) = self.stricken(*name, fault) else { return };
                self.lanes.slots_of(pid).for_each(|(_, slot)| slot.deaf = true);
            }
            Fault::Break(one, other) => self.break_links(|a, b| (a, b) == (*one, *other) || (b, a) == (*one, *other)),
            Fault::BreakAll => self.break_links(|_, _| true),
            Fault::SlowSaves(times) => {
                self.tell(|| format!("✗ saves take {times} times as long"));
                self.standing.slow_saves = (*times).max(1);
                self.observe(&Fact::DiskSlow);
            }
            Fault::PowerLoss => self.lose_power(),
            Fault::Mischief(lane, mischief) => {
                self.tell(|| format!("from now on lane {lane} has a fault: {mischief:?}"));
                self.standing.mischief.insert(*lane, *mischief);
            }
            Fault::Interrupt(user) => self.interrupt(*user),
            Fault::Ask(question) => self.ask(question.clone()),
        }
    }

    /// The process that a fault strikes, if it lives.
    fn stricken(&mut self, name: ArmorName, fault: &Fault) -> Option<Pid> {
        let pid = self.alive(name)?;
        let who = self.processes.get(&pid).and_then(Process::identity).cloned()?;
        self.tell(|| match fault {
            Fault::Kill(_) => format!("✗ {name} is killed"),
            Fault::Fare(_, condition, _) => format!("✗ {name} is {}", condition.word()),
            Fault::KillProgram(_) => format!("✗ the programs of {name} are killed"),
            Fault::StopProgram(_) => format!("✗ the programs of {name} are stopped"),
            other => format!("✗ {other:?}"),
        });
        self.standing.struck += 1;
        self.observe(&Fact::Struck { fault, who: &who });
        Some(pid)
    }

    fn strike_condition(&mut self, name: ArmorName, condition: Condition, ms: Option<u64>, fault: &Fault) {
        let Some(pid) = self.stricken(name, fault) else { return };
        self.fare(pid, condition);
        if let Some(ms) = ms {
            self.after(ms * 1_000, Next::Recover { pid });
        }
    }

    fn strike_programs(&mut self, name: ArmorName, fault: &Fault, change: fn(&mut crate::slots::Run)) {
        let Some(pid) = self.stricken(name, fault) else { return };
        let slots: Vec<_> = self.lanes.slots_of(pid).map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.change_run(pid, slot, change));
    }

    fn break_links(&mut self, which: impl Fn(ArmorName, ArmorName) -> bool) {
        let name_of = |pid| self.processes.get(&pid).and_then(Process::name);
        let concerned = |from, to| name_of(from).is_some_and(|name| which(name, to));
        let broken: Vec<_> = self.network.whole().filter(|&(_, from, to)| concerned(from, to)).collect();
        for (connection, from, to) in broken {
            self.cut(connection, from, to);
        }
    }
}

/// A random fault that strikes somewhere in a system that runs jobs.
#[must_use]
pub fn draw(world: &mut World) -> Option<Fault> {
    let power = world.standing.power_may_fail;
    let names: Vec<ArmorName> =
        world.bound.keys().copied().filter(|name| !matches!(name, ArmorName::User(_))).collect();
    let chance = &mut world.chance;
    let name = *chance.pick(&names)?;
    let other = *chance.pick(&names)?;
    let lanes: Vec<ArmorName> = names.into_iter().filter(|name| matches!(name, ArmorName::Execution(..))).collect();
    let lane = chance.pick(&lanes).copied();
    if power && chance.per_mille(250) {
        return Some(Fault::PowerLoss);
    }
    Some(match chance.within(0, 100) {
        0..=39 => Fault::Kill(name),
        40..=46 => Fault::Fare(name, Condition::Stopped, None),
        47..=52 => Fault::Fare(name, Condition::Spinning, None),
        53..=58 => Fault::Fare(name, Condition::Starved, Some(chance.within(50, 3_000))),
        59..=62 => Fault::Fare(name, Condition::Deaf, None),
        63..=65 => Fault::Fare(name, Condition::Stopped, Some(chance.within(10, 1_500))),
        66..=68 => Fault::KillBlank,
        69..=76 => Fault::Break(name, other),
        77..=79 => Fault::BreakAll,
        80..=83 => Fault::SlowSaves(chance.within(1, 200)),
        84..=87 => Fault::KillProgram(lane?),
        88..=90 => Fault::StopProgram(lane?),
        91..=94 => Fault::KillSlot(lane?),
        95..=97 => Fault::DeafenSlot(lane?),
        _ => Fault::BreakAll,
    })
}
