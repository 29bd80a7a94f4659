//! `cargo xtask scale [HOSTS…]`: what a task and a host cost as a system grows, counted in the invented world. Every
//! ARMOR is the real one; what it sends and saves is counted around it, and the FTM's time is that of this machine.

mod page;
mod tally;

use chameleon_core::job::Job;
use chameleon_sim::jobs;
use chameleon_sim::trace::Detail;
use chameleon_sim::user::User;
use chameleon_sim::world::World;

use crate::failure::Failure;
use crate::measurements;
use crate::tree::root;
use tally::Tally;

/// Hosts of the systems that are measured unless others are asked for.
const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];
/// A job has this many tasks, and so many hosts have one job among them.
const TASKS_OF_A_JOB: u64 = 1_000;
const HOSTS_OF_A_JOB: u32 = 10;
/// The system starts, is idle, and then all jobs come: when the next begins, in microseconds.
const STARTED_US: u64 = 5_000_000;
const IDLE_US: u64 = 10_000_000;
/// Jobs come within so long, and must have ended within so long.
const ARRIVALS_US: u64 = 1_000_000;
const BOUND_US: u64 = 3_600_000_000;

/// What a system of one size cost.
pub struct Growth {
    pub hosts: u32,
    pub tasks: u64,
    /// The first [`STARTED_US`]: every host joins, is looked over, and watches its neighbours.
    pub start: Tally,
    /// While nothing was to be done, for [`IDLE_US`].
    pub idle: Tally,
    /// From the first job to the end of the last.
    pub work: Tally,
    /// How long that took in the invented world, in microseconds.
    pub work_us: u64,
}

/// Measures every size, and writes the page.
///
/// # Errors
/// An invariant was broken, a job did not end, or the page cannot be written.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let size = |word: &String| {
        let expected = "numbers of hosts";
        word.parse().map_err(|_| Failure::Usage { what: word.clone(), expected })
    };
    let asked: Vec<u32> = words.iter().map(size).collect::<Result<_, _>>()?;
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let mut grown = Vec::new();
    for hosts in sizes {
        grown.push(measure(hosts)?);
        println!("{}", page::line(&grown[grown.len() - 1]));
    }
    let path = root().join("docs/scale.svg");
    let picture = page::picture(&grown).map_err(|why| Failure::NotAsItMustBe(format!("no picture: {why}")))?;
    std::fs::write(&path, picture).map_err(|why| Failure::Unwritable { path, why })?;
    measurements::put("scale", &page::page(&grown))
}

fn measure(hosts: u32) -> Result<Growth, Failure> {
    let mut world = World::new(u64::from(hosts), hosts, tally::raise, Detail::Digest);
    let phase = |world: &mut World, until_us: u64, done: fn(&World) -> bool| {
        tally::restart();
        world.run(until_us, done);
        match &world.broken {
            Some(violation) => Err(Failure::NotAsItMustBe(format!("{hosts} hosts: {violation}"))),
            None => Ok(tally::taken()),
        }
    };
    let start = phase(&mut world, STARTED_US, |_| false)?;
    let idle = phase(&mut world, STARTED_US + IDLE_US, |_| false)?;
    let users = u64::from(hosts.div_ceil(HOSTS_OF_A_JOB));
    for number in 1..=users {
        world.expect_user(number, User::new(job()), number * ARRIVALS_US / users);
    }
    let since = world.agenda.now_us();
    let work = phase(&mut world, since + BOUND_US, |world| world.users.values().all(User::is_done))?;
    let right =
        world.users.values().filter(|user| user.fate.ending.as_ref().is_some_and(|end| end.outcome.exit_code() == 0));
    match right.count() as u64 {
        all if all == users => {}
        some => return Err(Failure::NotAsItMustBe(format!("{hosts} hosts: {some} of {users} jobs ended well"))),
    }
    let work_us = world.agenda.now_us() - since;
    Ok(Growth { hosts, tasks: users * TASKS_OF_A_JOB, start, idle, work, work_us })
}

/// Three lanes and many tasks that print a word.
fn job() -> Job {
    let mut stage = jobs::stage(0, "prog out:{task}");
    stage.tasks = Some((0, TASKS_OF_A_JOB));
    jobs::job(jobs::strategy("tmr").expect("the library has it"), vec![stage])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_system_is_measured_written_down_and_drawn() {
        let grown = [2, 10].map(|hosts| measure(hosts).expect("all jobs end well"));
        let spoken = |grown: &Growth| (grown.work.messages, grown.work.saves, grown.idle.datagrams);
        assert!(grown.iter().map(spoken).all(|(messages, saves, datagrams)| messages.min(saves).min(datagrams) > 0));
        // The FTM hears of jobs, not of tasks.
        assert!(grown.iter().all(|grown| grown.work.commits < grown.tasks && grown.work.with_ftm < grown.tasks));
        assert!(page::page(&grown).contains("| | 2 hosts | 10 hosts |\n|---|---|---|\n| tasks in all | 1000 | 1000 |"));
        assert!(page::picture(&grown).expect("it can be drawn").contains("messages a task"));
    }
}
