//! The first processes of slots, noted on disk: they die with their Execution ARMOR, but a moment later, and
//! until then what runs in them may still write.

use std::fs;
use std::path::Path;

use chameleon_core::world::ProcessMark;
use rustix::event::Timespec;

use super::{Process, mark};
use crate::home::Home;

const NOTE: &str = "shim";
/// How long one that was killed may take: programs that are stuck in a system call hold it up.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Notes which process a slot's directory belongs to.
pub(crate) fn note(work: &Path, pid: u32) {
    let noted = mark::of(pid).and_then(|mark| {
        let bytes = minicbor::to_vec(mark).map_err(std::io::Error::other)?;
        fs::write(work.join(NOTE), bytes)
    });
    if let Err(error) = noted {
        crate::log!("cannot note the process of the slot {}: {error}", work.display());
    }
}

/// The process that a slot's directory belongs to, if it still lives.
fn noted(work: &Path) -> Option<Process> {
    let mark: ProcessMark = minicbor::decode(&fs::read(work.join(NOTE)).ok()?).ok()?;
    Process::open(&mark).ok()
}

/// Ends the slot that an earlier life left in this directory, and waits until it is gone.
pub(crate) async fn end_earlier(work: &Path) {
    if let Some(process) = noted(work) {
        process.kill();
        let _ = process.exited().await;
    }
}

/// Waits until the slots of all lanes of a home, whose ARMORs are dead, are gone too.
pub(super) fn end_all(home: &Home) {
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
    for process in works.iter().filter_map(|work| noted(work)) {
        process.kill();
        process.wait(Some(&GONE_WITHIN));
    }
}

fn entries(directory: &Path, beginning: Option<&str>) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let named = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(beginning.unwrap_or("")));
    entries.filter(|entry| named(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use chameleon_core::names::{HostId, JobId, LaneId};

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
}
