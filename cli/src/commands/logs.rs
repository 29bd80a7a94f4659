//! `chameleon logs JOB`: what the lanes themselves printed, decided or not.

use std::io::{self, Write};
use std::path::PathBuf;

use chameleon_core::names::{HostId, JobId, LaneId};
use chameleon_node::bulk::frame::Pack;
use serde_json::{Value, json};

use crate::commands::status;
use crate::failure::Failure;
use crate::packs::{Packs, Stream};
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

impl Logs {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let system = place.standing()?;
        status::row(&mut system.connect()?, self.job)?;
        let mut packs = Packs::new(system.home(), self.job)?;
        let outputs = outputs(&mut packs, self.lane);
        match self.json {
            true => screen::print_json(&outputs.iter().map(json_of).collect())?,
            false => show(&mut packs, &outputs, &mut Raw::stdout()?)?,
        }
        Ok(0)
    }
}

/// A lane as a number or as listings name it.
fn lane(text: &str) -> Result<LaneId, String> {
    let number = text.parse().map(LaneId);
    number.or_else(|_| text.parse()).map_err(|_| "expected the number of a lane, such as 0 or l0".to_owned())
}

/// What one slot printed to one of its outputs, all executions one behind the other.
pub struct Output {
    pub host: HostId,
    pub pack: Pack,
    /// Where it lies on its host.
    pub path: PathBuf,
}

/// Of every lane of the job, or of one, on all hosts that answer.
fn outputs(packs: &mut Packs, lane: Option<LaneId>) -> Vec<Output> {
    let mut outputs = Vec::new();
    for (host, all) in packs.all() {
        for pack in all.into_iter().filter(|pack| lane.is_none_or(|lane| pack.lane == lane)) {
            outputs.push(Output { host, pack, path: packs.pack(host, pack.lane, pack.slot, pack.stream) });
        }
    }
    outputs.sort_by_key(|output| (output.pack, output.host));
    outputs
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    }
}

pub fn json_of(output: &Output) -> Value {
    let Output { host, pack, path } = output;
    json!({
        "lane": pack.lane.to_string(),
        "slot": pack.slot.0,
        "stream": word(pack.stream),
        "length": pack.length,
        "host": host.to_string(),
        "path": path.to_string_lossy(),
    })
}

/// One output as it is, several each under a heading.
fn show(packs: &mut Packs, outputs: &[Output], out: &mut impl Write) -> Result<(), Failure> {
    let unwritten = |why| Failure::Output { what: "standard output", why };
    for Output { host, pack, .. } in outputs {
        let mut file = packs.open(*host, pack)?;
        if outputs.len() > 1 {
            let heading = format!("==> lane {} slot {} {} <==", pack.lane, pack.slot.0, word(pack.stream));
            writeln!(out, "{heading}").map_err(unwritten)?;
        }
        io::copy(&mut file, out).map_err(unwritten)?;
        if outputs.len() > 1 {
            writeln!(out).map_err(unwritten)?;
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
        chameleon_node::home::Home::create(home.path()).unwrap();
        for (lane, text) in [("lane-10", "ten"), ("lane-2", "two")] {
            let directory = home.path().join("hosts/h1/jobs/j1").join(lane).join("slot-0");
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("out.pack"), text).unwrap();
            std::fs::write(directory.join("err.pack"), "").unwrap();
        }
        let packs = |job| Packs::new(home.path(), job).unwrap();
        let mut of_job = packs(JobId(1));
        let both = outputs(&mut of_job, None);
        let mut shown = Vec::new();
        show(&mut of_job, &both, &mut shown).unwrap();
        let expected = "==> lane l2 slot 0 stdout <==\ntwo\n==> lane l10 slot 0 stdout <==\nten\n";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
        let mut alone = Vec::new();
        show(&mut of_job, &both[..1], &mut alone).unwrap();
        assert_eq!(alone, b"two");
        assert!(outputs(&mut packs(JobId(9)), None).is_empty());
    }
}
