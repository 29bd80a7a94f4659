//! What a campaign is about: users, jobs and lanes drawn from the seed, such that the truth is known
//! and at most the tolerated number of lanes is faulty.

use chameleon_core::job::{Files, Job, OsBytes, Promise, Stage, Stdin};
use chameleon_core::names::{HostId, LaneId, Millis};

use crate::chance::Chance;
use crate::faults::{Fault, Mischief};
use crate::jobs;
use crate::liveness::Power;
use crate::polls::Polls;
use crate::user::User;
use crate::world::{Next, World};

/// Programs that jobs are made of; `#` stands for a number of their own.
const PROGRAMS: [&str; 12] = [
    "prog out:hello#",
    "prog out:a# wait:5 out:b wait:5 out:c",
    "prog work:20 out:result#",
    "prog out:x*3000 wait:2 out:y*3000 wait:2 out:z*3000",
    "prog out:part# exit:3",
    "prog out:fell# signal:11",
    "prog crash:1 out:again#",
    "prog crash:2 wait:3 out:thrice#",
    "prog err:warning out:quiet#",
    "prog write:made#:content out:wrote",
    "missing",
    "prog wait:1500 out:late#",
];

/// Hosts that may have the FTM, where several may.
const CANDIDATES: u32 = 3;

/// Programs of which nobody can say what they result in.
const LOTS: [&str; 4] =
    ["prog unique", "prog wait:3 coin", "prog out:same wait:2 unique", "prog unique out:x*3000 wait:2 unique"];

/// How many hosts the system of this seed has: one, or a few of which each may be lost.
#[must_use]
pub fn hosts(seed: u64, power: Power) -> u32 {
    let mut chance = Chance::of(seed ^ 0x686f_7374);
    match power {
        Power::Lasts if chance.per_mille(500) => u32::try_from(chance.within(2, 6)).unwrap_or(2),
        Power::Lasts | Power::MayFail => 1,
    }
}

/// The store of the candidates of this seed's system: of three hosts, if it has so many; `None`: the first has the FTM.
#[must_use]
pub fn polls(seed: u64, hosts: u32) -> Option<Polls> {
    let mut chance = Chance::of(seed ^ 0x6674_6d73);
    let mut polls = (hosts >= CANDIDATES && chance.per_mille(500)).then(|| Polls::new(CANDIDATES))?;
    polls.lost_per_mille = chance.pick(&[0, 0, 30, 150]).copied().unwrap_or_default();
    Some(polls)
}

/// Lets users come, and returns how many faults at most are to strike.
pub fn invite(world: &mut World) -> u64 {
    let mut chance = Chance::of(world.chance.number());
    world.files.contents.insert(b"/data".to_vec(), b"what all read".to_vec());
    let users = 1 + u64::from(chance.per_mille(200));
    for number in 1..=users {
        let mut user = draw_user(&mut chance, number);
        let hosts: Vec<HostId> = world.hosts.keys().copied().collect();
        if hosts.len() > 1 {
            user.job.origin.host = chance.pick(&hosts).copied().unwrap_or_default();
        }
        if chance.per_mille(60) {
            world.after(chance.within(20_000, 2_000_000), Next::Fault(Fault::Interrupt(number)));
        }
        let lanes = user.job.strategy.redundancy;
        if users == 1 && chance.per_mille(350) {
            spoil(world, &mut chance, lanes.replicas, lanes.quorum);
        }
        world.expect_user(number, user, chance.within(10_000, 60_000));
    }
    match chance.within(0, 10) {
        0 | 1 => 0,
        2..=6 => 3,
        7 | 8 => 8,
        _ => 20,
    }
}

/// Something is wrong with as many lanes as are tolerated: too few to make a quorum, and too few to
/// prevent one.
fn spoil(world: &mut World, chance: &mut Chance, replicas: u16, quorum: u16) {
    let tolerated = (quorum - 1).min(replicas - quorum);
    let kinds = [Mischief::Flip, Mischief::Lie, Mischief::Slow];
    for _ in 0..tolerated {
        let lane = LaneId(u16::try_from(chance.within(0, u64::from(replicas))).unwrap_or_default());
        if let Some(kind) = chance.pick(&kinds) {
            world.standing.mischief.insert(lane, *kind);
        }
    }
}

fn draw_user(chance: &mut Chance, number: u64) -> User {
    let names = ["single", "retry", "dual", "tmr", "tmr", "tmr", "nmr"];
    let name = chance.pick(&names).copied().unwrap_or("tmr");
    let strategy = jobs::strategy(name).expect("the library has it");
    let stages = 1 + usize::from(chance.per_mille(250));
    let stages = (0..stages).map(|index| draw_stage(chance, index)).collect();
    let mut user = User::new(jobs::job(strategy, stages));
    vary(chance, &mut user.job);
    if user.job.stages[0].tasks.is_none() && chance.per_mille(250) {
        user.job.stdin = Stdin::Spool;
        user.job.stages[0] = jobs::stage(0, "prog cat out:done");
        let pieces = chance.within(1, 5);
        user.types =
            (0..pieces).map(|piece| (chance.within(0, 40), format!("line{piece}of{number};").into_bytes())).collect();
    }
    user.quiet = chance.per_mille(100);
    if chance.per_mille(200) {
        user.job.strategy = jobs::strategy("single").expect("the library has it");
        user.job.stages.iter_mut().for_each(|stage| stage.promise = Promise::AtMostOnce);
    }
    user
}

fn vary(chance: &mut Chance, job: &mut Job) {
    job.hold = chance.per_mille(150);
    if chance.per_mille(80) {
        job.deadline = Some(Millis(chance.within(100, 4_000)));
    }
    if chance.per_mille(150) {
        job.spool_quota = 2_000;
    }
    if chance.per_mille(100) {
        job.abnormal_exit.push(3);
    }
    job.needs.priority = i32::from(chance.per_mille(100));
    job.needs.mutex = chance.per_mille(150).then(|| "m".to_owned());
}

fn draw_stage(chance: &mut Chance, index: usize) -> Stage {
    let programs: &[&str] = if chance.per_mille(70) { &LOTS } else { &PROGRAMS };
    let line = chance.pick(programs).copied().unwrap_or("prog");
    let many = chance.per_mille(250);
    let mut stage = jobs::stage(index, &line.replace('#', if many { "{task}" } else { "" }));
    if many {
        stage.tasks = Some((0, chance.within(2, 12)));
    }
    if chance.per_mille(200) {
        stage.inputs.push(OsBytes::from(b"/data".to_vec()));
    }
    if line.contains("write:") {
        stage.files = Files::Overlay;
    }
    stage
}
