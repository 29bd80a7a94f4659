//! The first processes of slots, noted on disk: they die with their Execution ARMOR, but a moment later, and
//! until then what runs in them may still write. Where they have no namespace, the group that they run is noted too.

use std::fs;
use std::path::{Path, PathBuf};

use chameleon_core::names::{HostId, JobId};
use chameleon_core::world::ProcessMark;
use rustix::event::Timespec;

use super::{Process, mark};
use crate::home::Home;
use crate::os::posix::group;

const NOTE: &str = "shim";
const GROUP: &str = "group";
/// How long one that was killed may take: programs that are stuck in a system call hold it up.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Notes which process a slot's directory belongs to.
pub(crate) fn note(work: &Path, pid: u32) {
    note_as(work, NOTE, pid);
}

/// Notes the leader of the group that runs in a slot.
pub(crate) fn note_group(work: &Path, leader: u32) {
    note_as(work, GROUP, leader);
}

/// The group is gone.
pub(crate) fn forget_group(work: &Path) {
    let _ = fs::remove_file(work.join(GROUP));
}

fn note_as(work: &Path, name: &str, pid: u32) {
    let noted = mark::of(pid).and_then(|mark| {
        let bytes = minicbor::to_vec(mark).map_err(std::io::Error::other)?;
        fs::write(work.join(name), bytes)
    });
    if let Err(error) = noted {
        crate::log!("cannot note the process of the slot {}: {error}", work.display());
    }
}

fn read(work: &Path, name: &str) -> Option<ProcessMark> {
    minicbor::decode(&fs::read(work.join(name)).ok()?).ok()
}

/// The process that a slot's directory belongs to, if it still lives.
fn noted(work: &Path) -> Option<Process> {
    Process::open(&read(work, NOTE)?).ok()
}

/// Ends the group that was left in a slot, and waits until it is gone. Its leader's id is nobody else's as long as
/// there is any of the group; once there is another process of that id, there is none.
pub(crate) fn end_group(work: &Path) {
    let Some(leader) = read(work, GROUP) else { return };
    let is_another = mark::of(leader.pid).is_ok_and(|now| now != leader);
    if !is_another && leader.boot_id == mark::boot_id() {
        group::end(leader.pid.cast_signed());
    }
    forget_group(work);
}

/// Ends the slot that an earlier life left in this directory, and waits until it is gone.
pub(crate) async fn end_earlier(work: &Path) {
    if let Some(process) = noted(work) {
        process.kill();
        let _ = process.exited().await;
    }
    end_group(work);
}

/// Waits until the slots of all lanes of a home, whose ARMORs are dead, are gone too.
pub(super) fn end_all(home: &Home) {
    for work in &works(home) {
        if let Some(process) = noted(work) {
            process.kill();
            process.wait(Some(&GONE_WITHIN));
        }
        end_group(work);
    }
}

/// The slots of lanes that live, with the hosts and jobs that they are of.
pub(super) fn living(home: &Home) -> Vec<(HostId, JobId, Process)> {
    let hosts = home.path().join("hosts");
    let of_job = |work: &PathBuf| {
        let mut words = work.strip_prefix(&hosts).ok()?.iter().filter_map(|word| word.to_str());
        let (host, jobs, job) = (words.next()?, words.next()?, words.next()?);
        let process = noted(work).filter(|process| jobs == "jobs" && !process.has_exited())?;
        Some((host.parse().ok()?, job.parse().ok()?, process))
    };
    works(home).iter().filter_map(of_job).collect()
}

/// The directories of all slots.
fn works(home: &Home) -> Vec<PathBuf> {
    // hosts/HOST/jobs/JOB/lane-N/slot-K and hosts/HOST/builds/DIGEST.work/slot
    let lanes = [None, Some("jobs"), None, Some("lane-"), Some("slot-")];
    let builds = [None, Some("builds"), None, Some("slot")];
    let mut works = Vec::new();
    for levels in [lanes.as_slice(), &builds] {
        let mut directories = vec![home.path().join("hosts")];
        for below in levels {
            directories = directories.iter().flat_map(|directory| entries(directory, *below)).collect();
        }
        works.extend(directories);
    }
    works
}

fn entries(directory: &Path, beginning: Option<&str>) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let named = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(beginning.unwrap_or("")));
    entries.filter(|entry| named(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use chameleon_core::names::LaneId;

    use super::*;

    #[tokio::test]
    async fn slots_that_outlive_their_armor_are_ended() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(directory.path()).unwrap();
        let work = home.lane(HostId(1), JobId(2), LaneId(0)).join("slot-3");
        fs::create_dir_all(&work).unwrap();
        end_earlier(&work).await;
        for all in [true, false] {
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            note(&work, child.id());
            match all {
                true => end_all(&home),
                false => end_earlier(&work).await,
            }
            assert!(noted(&work).is_none_or(|process| process.has_exited()));
            let _ = child.wait();
        }
    }

    #[test]
    fn a_group_that_outlives_its_shim_is_ended_and_another_of_its_number_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        note_group(directory.path(), child.id());
        let mut later = read(directory.path(), GROUP).unwrap();
        later.start_time += 1;
        fs::write(directory.path().join(GROUP), minicbor::to_vec(&later).unwrap()).unwrap();
        end_group(directory.path());
        assert!(child.try_wait().unwrap().is_none(), "its number is another process's now");
        note_group(directory.path(), child.id());
        let reaper = std::thread::spawn(move || child.wait().unwrap());
        end_group(directory.path());
        assert!(!reaper.join().unwrap().success());
        assert!(read(directory.path(), GROUP).is_none());
    }
}
