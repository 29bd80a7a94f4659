//! Faults: what strikes a process, a link, a disk or a lane; once, or for as long as the world lasts.

use std::collections::BTreeMap;

use chameleon_core::daemon::FTM_HOST;
use chameleon_core::elements::seal;
use chameleon_core::message::{Message, SurrogateMessage, VoterMessage};
use chameleon_core::names::{ArmorName, HostId, LaneId, Term};
use chameleon_core::shell::Identity;
use ed25519_dalek::SigningKey;

use crate::cluster::Question;
use crate::history::Fact;
use crate::process::{Body, Condition, Pid, Process};
use crate::world::{Next, World};

/// With more datagrams lost than this nobody can be sure of a host that is silent.
const TELLING_LOSS_PER_MILLE: u64 = 200;
/// How long a host is away that returns, in ms, and how often one of a thousand does not.
const AWAY_MS: (u64, u64) = (1_500, 6_000);
const NEVER_PER_MILLE: u64 = 400;

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
    Host(HostId, HostFault),
    /// What one host says does not reach the other; `true`: nor the other way round.
    CutLink(HostId, HostId, bool),
    MendLinks,
    /// So many datagrams of a thousand are lost, and others are up to so many ms late.
    LoseDatagrams(u64, u64),
}

/// What strikes a whole host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFault {
    /// Its power fails; its disk stays.
    Dies,
    /// Every process is killed at once.
    Killed,
    /// It is here again after one of these.
    Returns,
    /// Every process is stopped; every process goes on.
    Freezes,
    Thaws,
    /// No process gets the CPU for so many ms.
    Starves(u64),
    /// No link of it carries anything.
    CutOff,
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
    /// Nothing can be built where it runs.
    NoCompiler,
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
    /// The host that is away for good.
    pub away: Option<HostId>,
    /// People who came and asked the FTM for something.
    pub asked: u64,
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
            away: None,
            asked: 0,
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
            Message::Voter(VoterMessage::Ballots { lane, first, witness, ballots, seal, .. }) => {
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
            Fault::Host(host, what) => self.strike_host(*host, *what),
            Fault::CutLink(from, to, both) => {
                self.observe(&Fact::HostsStruck { hosts: &[*from, *to] });
                self.cut_link(*from, *to, *both);
            }
            Fault::MendLinks => self.mend_links(),
            Fault::LoseDatagrams(per_mille, delay_ms) => {
                self.tell(|| format!("✗ of a thousand datagrams {per_mille} are lost, others are {delay_ms} ms late"));
                (self.fabric.loss_per_mille, self.fabric.delay_ms) = (*per_mille, *delay_ms);
                if *per_mille > TELLING_LOSS_PER_MILLE {
                    let all: Vec<HostId> = self.hosts.keys().copied().collect();
                    self.observe(&Fact::HostsStruck { hosts: &all });
                }
            }
        }
    }

    fn may_have_ftm(&self, host: HostId) -> bool {
        self.polls.is_some() || host == FTM_HOST
    }

    fn strike_host(&mut self, host: HostId, what: HostFault) {
        if !matches!(what, HostFault::Returns | HostFault::Thaws) {
            self.standing.struck += 1;
            // Of a host that is alone with the FTM nobody else can tell which of the two is cut off.
            let others: Vec<HostId> = self.hosts.keys().copied().filter(|_| what == HostFault::CutOff).collect();
            let is_alone = self.may_have_ftm(host) || others.len() <= 2;
            self.observe(&Fact::HostsStruck { hosts: if is_alone { &others } else { &[] } });
            self.observe(&Fact::HostsStruck { hosts: &[host] });
        }
        match what {
            HostFault::Dies => self.host_dies(host),
            HostFault::Killed => self.host_is_killed(host),
            HostFault::Returns => self.host_returns(host),
            HostFault::Freezes => self.host_freezes(host),
            HostFault::Thaws => self.host_thaws(host),
            HostFault::Starves(ms) => self.host_starves(host, ms),
            HostFault::CutOff => self.isolate(host),
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
        // On a host that is frozen nothing is worse off.
        if self.fabric.is_frozen(self.host_of(pid)) {
            return;
        }
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
            let host = self.network.peer(connection).map(|peer| self.host_of(peer)).unwrap_or_default();
            self.cut(connection, from, to, host);
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
    if world.hosts.len() > 1 && chance.per_mille(300) {
        return draw_host_fault(world);
    }
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

/// A random fault of a whole host, or of what lies between hosts, or a person who drains it or moves something there;
/// what ends it is planned as well. At most
/// one host is away for good, and never the one on which the FTM lives if there are no other candidates.
fn draw_host_fault(world: &mut World) -> Option<Fault> {
    let hosts: Vec<HostId> = world.hosts.keys().copied().collect();
    let serving: Vec<ArmorName> = world.bound.keys().copied().filter(|name| name.job().is_some()).collect();
    let chance = &mut world.chance;
    let (host, other) = (*chance.pick(&hosts)?, *chance.pick(&hosts)?);
    let back_us = chance.within(AWAY_MS.0, AWAY_MS.1) * 1_000;
    let ftm_stays = world.polls.is_none() && host == FTM_HOST;
    let chance = &mut world.chance;
    let may_stay_away = !ftm_stays && hosts.len() > 2 && world.standing.away.is_none_or(|away| away == host);
    let never = may_stay_away && chance.per_mille(NEVER_PER_MILLE);
    let (fault, end) = match chance.within(0, 100) {
        0..=24 => (Fault::Host(host, HostFault::Dies), Fault::Host(host, HostFault::Returns)),
        25..=39 => (Fault::Host(host, HostFault::Killed), Fault::Host(host, HostFault::Returns)),
        40..=59 => (Fault::Host(host, HostFault::Freezes), Fault::Host(host, HostFault::Thaws)),
        60..=69 => return Some(Fault::Host(host, HostFault::Starves(chance.within(50, 2_000)))),
        70..=79 => (Fault::Host(host, HostFault::CutOff), Fault::MendLinks),
        80..=87 => (Fault::CutLink(host, other, chance.per_mille(500)), Fault::MendLinks),
        88..=89 => {
            let drain = |drained| Fault::Ask(Question::Drain { host, drained });
            (drain(true), drain(false))
        }
        90 => return Some(Fault::Ask(Question::Pardon { host })),
        92 => return Some(Fault::Ask(Question::StepDown { term: Term(chance.within(1, 4)) })),
        91 => return Some(Fault::Ask(Question::Move { name: *chance.pick(&serving)?, to: host })),
        _ => return Some(Fault::LoseDatagrams(chance.within(0, 350), chance.within(0, 40))),
    };
    match end {
        Fault::Host(..) if never => world.standing.away = Some(host),
        end => world.after(back_us, Next::Fault(end)),
    }
    Some(fault)
}
