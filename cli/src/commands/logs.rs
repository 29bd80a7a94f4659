//! `chameleon logs JOB`: what the lanes themselves printed, decided or not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chameleon_core::names::{JobId, LaneId};
use serde_json::{Value, json};

use crate::commands::status;
use crate::failure::Failure;
use crate::screen::{self, Raw};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The job, such as j1
    job: JobId,
    /// Only this lane, counted from 0
    #[arg(long, value_name = "N", value_parser = lane)]
    lane: Option<LaneId>,
    /// An array of objects with stable keys, one for each file that holds a lane's output
    #[arg(long)]
    json: bool,
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
        slots.retain(|slot| self.lane.is_none_or(|lane| slot.lane == lane));
        slots.sort();
        let packs: Vec<Pack> = slots.iter().flat_map(packs).collect();
        match self.json {
            true => screen::print_json(&packs.iter().map(json_of).collect())?,
            false => show(&packs, &mut Raw::stdout()?).map_err(|why| Failure::Output { what: "standard output", why })?,
        }
        Ok(0)
    }
}

/// A lane as a number or as listings name it.
fn lane(text: &str) -> Result<LaneId, String> {
    let number = text.parse().map(LaneId);
    number.or_else(|_| text.parse()).map_err(|_| "expected the number of a lane, such as 0 or l0".to_owned())
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

/// What one slot printed to one of its outputs, all executions one behind the other.
pub struct Pack {
    pub lane: LaneId,
    pub slot: u16,
    pub stream: &'static str,
    pub path: PathBuf,
    pub length: u64,
}

/// Both outputs of a slot, as far as there is anything.
fn packs(slot: &Slot) -> Vec<Pack> {
    let pack = |(stream, name): (&'static str, &str)| {
        let path = slot.directory.join(name);
        let length = fs::metadata(&path).map_or(0, |data| data.len());
        Pack { lane: slot.lane, slot: slot.slot, stream, path, length }
    };
    [("stdout", "out.pack"), ("stderr", "err.pack")].map(pack).into_iter().filter(|pack| pack.length > 0).collect()
}

pub fn json_of(pack: &Pack) -> Value {
    json!({
        "lane": pack.lane.to_string(),
        "slot": pack.slot,
        "stream": pack.stream,
        "length": pack.length,
        "path": pack.path.to_string_lossy(),
    })
}

/// One output as it is, several each under a heading.
fn show(packs: &[Pack], out: &mut impl Write) -> io::Result<()> {
    for pack in packs {
        if packs.len() > 1 {
            writeln!(out, "==> lane {} slot {} {} <==", pack.lane, pack.slot, pack.stream)?;
        }
        io::copy(&mut File::open(&pack.path)?, out)?;
        if packs.len() > 1 {
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_named_by_its_number_or_as_listings_do() {
        let table = [("0", Some(0)), ("l2", Some(2)), ("x", None), ("l", None), ("-1", None), ("70000", None)];
        for (text, expected) in table {
            assert_eq!(lane(text).ok(), expected.map(LaneId), "{text}");
        }
        assert_eq!(lane("x"), Err("expected the number of a lane, such as 0 or l0".to_owned()));
    }

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
        let both: Vec<Pack> = slots.iter().flat_map(packs).collect();
        let mut shown = Vec::new();
        show(&both, &mut shown).unwrap();
        let expected = "==> lane l2 slot 0 stdout <==\ntwo\n==> lane l10 slot 0 stdout <==\nten\n";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
        let mut alone = Vec::new();
        show(&both[..1], &mut alone).unwrap();
        assert_eq!(alone, b"two");
        assert_eq!(super::slots(home.path(), JobId(9)), []);
    }
}
