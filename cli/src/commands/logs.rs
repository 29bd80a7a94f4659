//! `chameleon logs JOB`: what the lanes themselves printed, decided or not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chameleon_core::names::{JobId, LaneId};

use crate::commands::status;
use crate::failure::Failure;
use crate::screen;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The job, such as j1
    job: JobId,
    /// Only this lane, counted from 0
    #[arg(long, value_name = "N")]
    lane: Option<u16>,
}

/// One slot's outputs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    lane: LaneId,
    slot: u16,
    directory: PathBuf,
}

impl Logs {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let system = place.standing()?;
        status::row(&mut system.connect()?, self.job)?;
        let mut slots = slots(system.home(), self.job);
        slots.retain(|slot| self.lane.is_none_or(|lane| slot.lane == LaneId(lane)));
        slots.sort();
        let mut out = screen::raw_stdout()?;
        for slot in &slots {
            show(slot, &mut out).map_err(|why| Failure::Output { what: "standard output", why })?;
        }
        Ok(0)
    }
}

/// Every slot of every lane of the job, on all hosts of this machine.
fn slots(home: &Path, job: JobId) -> Vec<Slot> {
    let mut slots = Vec::new();
    for host in entries(&home.join("hosts")) {
        for lane in entries(&host.join("jobs").join(job.to_string())) {
            for directory in entries(&lane) {
                if let (Some(lane), Some(slot)) = (number(&lane, "lane-"), number(&directory, "slot-")) {
                    slots.push(Slot { lane: LaneId(lane), slot, directory });
                }
            }
        }
    }
    slots
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn number(path: &Path, prefix: &str) -> Option<u16> {
    path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()
}

/// Both outputs, each under a heading, all executions of the slot one behind the other.
fn show(slot: &Slot, out: &mut impl Write) -> io::Result<()> {
    for (name, pack) in [("stdout", "out.pack"), ("stderr", "err.pack")] {
        let Ok(mut file) = File::open(slot.directory.join(pack)) else { continue };
        if file.metadata()?.len() > 0 {
            writeln!(out, "==> lane {} slot {} {name} <==", slot.lane, slot.slot)?;
            io::copy(&mut file, out)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_shown_in_order_with_what_they_printed() {
        let home = tempfile::tempdir().unwrap();
        for (lane, text) in [("lane-10", "ten"), ("lane-2", "two")] {
            let directory = home.path().join("hosts/h1/jobs/j1").join(lane).join("slot-0");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("out.pack"), text).unwrap();
            fs::write(directory.join("err.pack"), "").unwrap();
        }
        let mut slots = slots(home.path(), JobId(1));
        slots.sort();
        let mut shown = Vec::new();
        slots.iter().for_each(|slot| show(slot, &mut shown).unwrap());
        let expected = "==> lane l2 slot 0 stdout <==\ntwo\n==> lane l10 slot 0 stdout <==\nten\n";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
        assert_eq!(super::slots(home.path(), JobId(9)), []);
    }
}
