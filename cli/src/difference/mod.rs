//! Where the lanes disagree: the first byte that differs, as a person wants to see it.
//!
//! Events name what each lane voted by length and digest; the bytes are found again in the lane's
//! packs by that digest, so that what is shown is beyond doubt what was voted on.

mod bytes;
mod files;

use std::fs::File;
use std::io::{self, Read};

use chameleon_core::job::Mask;
use chameleon_core::message::{Diagnosis, EventRow, Story, Value};
use chameleon_core::names::{Digest, LaneId};
use chameleon_core::report::sentence::{lanes, value};

use self::bytes::Difference;
use crate::packs::{Packs, Part};

/// How many bytes may be digested in search of one output.
const SEARCHED: u64 = 256 << 20;

/// The last disagreement of a job in a few lines; none if there was none.
pub fn first(packs: &mut Packs, masks: &[Mask], rows: &[EventRow]) -> Vec<String> {
    let Some(sides) = rows.iter().rev().find_map(|row| sides(&row.occurrence.story)) else { return vec![] };
    let again = sides.iter().all(|(voters, _)| *voters == sides[0].0);
    let mut lines: Vec<String> = sides
        .iter()
        .zip(0..)
        .map(|((voters, voted), number)| {
            let verb = if again && number > 0 { "then came to" } else { "came to" };
            format!("{} {verb} {}", lanes(voters), value(voted))
        })
        .collect();
    if let [(left, one), (right, other), ..] = sides.as_slice() {
        lines.extend(compare(packs, masks, (left, one), (right, other)));
    }
    lines
}

/// What was voted, and by whom; each value once, in order of lanes.
fn sides(story: &Story) -> Option<Vec<(Vec<LaneId>, Value)>> {
    let ballots: Vec<(LaneId, Value)> = match story {
        Story::NoQuorum { ballots, .. } => ballots.clone(),
        Story::Dissent { loser, lost, winners, won, .. } => {
            winners.iter().map(|lane| (*lane, *won)).chain([(*loser, *lost)]).collect()
        }
        Story::Diagnosed { diagnosis: Diagnosis::Nondeterministic { lane, first, again }, .. } => {
            vec![(*lane, *first), (*lane, *again)]
        }
        _ => return None,
    };
    let mut sides: Vec<(Vec<LaneId>, Value)> = Vec::new();
    for (lane, voted) in ballots {
        match sides.iter_mut().find(|(_, known)| *known == voted) {
            Some((voters, _)) => voters.push(lane),
            None => sides.push((vec![lane], voted)),
        }
    }
    Some(sides)
}

fn compare(packs: &mut Packs, masks: &[Mask], one: (&[LaneId], &Value), other: (&[LaneId], &Value)) -> Vec<String> {
    let ((left, one), (right, other)) = (one, other);
    if one.stdout == other.stdout && one.end != other.end {
        return vec!["they printed the same and differ in how they ended".to_owned()];
    }
    if one.stdout == other.stdout {
        let found = files::first(packs, masks, (left[0], one.changes), (right[0], other.changes));
        return found
            .unwrap_or_else(|| vec!["they printed the same and differ in the files that they changed".to_owned()]);
    }
    let found = find(packs, left, one).zip(find(packs, right, other));
    let Some((mut left_bytes, mut right_bytes)) = found else {
        return vec!["a lane printed nothing that bears out its vote".to_owned()];
    };
    let difference = Difference::between(&mut left_bytes.part(one.length), &mut right_bytes.part(other.length));
    match difference {
        Ok(Some(difference)) => difference.lines("", left[0], right[0]),
        Ok(None) | Err(_) => vec![],
    }
}

/// An execution's output, found again.
struct Found {
    pack: File,
    offset: u64,
}

impl Found {
    fn part(&mut self, length: u64) -> Part<'_> {
        Part::new(&self.pack, self.offset, length)
    }
}

fn find(packs: &mut Packs, voters: &[LaneId], voted: &Value) -> Option<Found> {
    let mut files = voters.iter().flat_map(|lane| packs.outputs_of(*lane));
    files.find_map(|pack| find_in(pack, voted.length, voted.stdout))
}

/// Where in a pack the bytes of this length and digest begin. An execution's output begins where
/// another one ends, so that the likely places come first.
fn find_in(pack: File, length: u64, digest: Digest) -> Option<Found> {
    let last = pack.metadata().ok()?.len().checked_sub(length)?;
    let multiples = (0..64u64).map(|number| number * length);
    let tries = usize::try_from(SEARCHED / length.max(1)).unwrap_or(usize::MAX);
    let candidates = multiples.chain([last]).chain(0..=last).filter(|offset| *offset <= last).take(tries.max(2));
    for offset in candidates {
        if digest_of(&mut Part::new(&pack, offset, length)).ok()? == digest {
            return Some(Found { pack, offset });
        }
    }
    None
}

fn digest_of(bytes: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    io::copy(bytes, &mut hasher)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::message::Occurrence;
    use chameleon_core::names::{ArmorName, JobId, Millis, StageId, TaskId};
    use chameleon_core::world::End;

    fn voted(bytes: &[u8]) -> Value {
        let stdout = Digest(*blake3::hash(bytes).as_bytes());
        Value { end: End::Exit(0), stdout, length: bytes.len() as u64, changes: Digest::default() }
    }

    fn row(story: Story) -> EventRow {
        let occurrence = Occurrence { unix_ms: 0, boot: Millis(0), noticed_by: ArmorName::Voter(JobId(1)), story };
        EventRow { number: 0, job: Some(JobId(1)), occurrence }
    }

    fn no_quorum(ballots: Vec<(LaneId, Value)>) -> EventRow {
        row(Story::NoQuorum { stage: StageId(0), task: TaskId(0), ballots, quorum: 2 })
    }

    #[test]
    fn disagreeing_lanes_are_shown_with_what_they_printed() {
        let home = tempfile::tempdir().unwrap();
        chameleon_node::home::Home::create(home.path()).unwrap();
        let pack = |lane: u16, bytes: &[u8]| {
            let directory = home.path().join(format!("hosts/h1/jobs/j1/lane-{lane}/slot-0"));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("out.pack"), bytes).unwrap();
        };
        pack(0, b"sum 41\n");
        pack(1, b"an attempt that died sum 42\n");
        let packs = &mut Packs::new(home.path(), JobId(1)).unwrap();
        let ballots = vec![(LaneId(0), voted(b"sum 41\n")), (LaneId(1), voted(b"sum 42\n"))];
        insta::assert_snapshot!(first(packs, &[], &[no_quorum(ballots)]).join("\n"), @r#"
        lane l0 came to [exit 0, 7 bytes 9cfc1657]
        lane l1 came to [exit 0, 7 bytes d0e0fec2]
        first difference at byte 5 (line 1):
          l0: 31 0a                    "1\n"
          l1: 32 0a                    "2\n"
        "#);
        let lying = vec![(LaneId(0), voted(b"sum 41\n")), (LaneId(1), voted(b"sum 99\n"))];
        let lines = first(packs, &[], &[no_quorum(lying)]);
        assert_eq!(lines.last().unwrap(), "a lane printed nothing that bears out its vote");
        let died = Value { end: End::Exit(1), ..voted(b"sum 41\n") };
        let ended = vec![(LaneId(0), voted(b"sum 41\n")), (LaneId(1), died)];
        assert_eq!(
            first(packs, &[], &[no_quorum(ended)]).last().unwrap(),
            "they printed the same and differ in how they ended"
        );
        assert!(first(packs, &[], &[]).is_empty());
    }
}
