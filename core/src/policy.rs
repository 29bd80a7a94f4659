//! A host's own policy: who may have what run here. The host's owner writes it, the host's daemon keeps to
//! it, and nobody else can change it.
//!
//! A host without a policy accepts everything. One whose policy cannot be read accepts nothing: what its
//! owner meant is not known.

use crate::document::{self, Problems, Table, Value};
use crate::job::values;
use crate::message::Bid;
use crate::names::{ArmorName, Kind};
use crate::profile::Label;
use crate::refusal::Refusal;
use crate::word::{BadValue, Word, listing};

const MOST_LANES: i64 = 1_000_000;
const MINUTES_A_DAY: u64 = 24 * 60;

/// What is accepted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// What the rest of the policy allows.
    Allowed,
    Nothing,
}

impl Word for Accept {
    const WHAT: &'static str = "what this host accepts";
    const WORDS: &'static [(&'static str, Self)] = &[("allowed", Accept::Allowed), ("nothing", Accept::Nothing)];
}

/// A host's policy. `None` allows all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub accept: Accept,
    pub users: Option<Vec<String>>,
    pub armors: Option<Vec<Kind>>,
    /// Lanes that may run here at once.
    pub most_lanes: Option<u32>,
    /// Bytes that a lane may ask for; one that says nothing of its memory is then refused.
    pub most_memory: Option<u64>,
    pub net: bool,
    /// Directories in which lanes may run and to which they may write.
    pub paths: Option<Vec<String>>,
    /// First minute of the day and the one after the last, UTC; past midnight if the last is before the first.
    pub hours: Option<(u64, u64)>,
    /// What the host calls itself, for the wishes of jobs.
    pub labels: Vec<Label>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            accept: Accept::Allowed,
            users: None,
            armors: None,
            most_lanes: None,
            most_memory: None,
            net: true,
            paths: None,
            hours: None,
            labels: Vec::new(),
        }
    }
}

/// Reads a policy. `file` is its name as the person knows it.
///
/// # Errors
/// The text is refused, with all of its problems.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Policy, Refusal> {
    let text = document::text_of(file, bytes)?;
    let (root, problems) = document::parse(text);
    let policy = read(Table::root("the policy", &root, &problems), &problems);
    if problems.is_empty() { Ok(policy) } else { Err(Refusal::new(file, text, problems.into_vec(), vec![])) }
}

fn read(mut root: Table<'_>, problems: &Problems<'_>) -> Policy {
    let accept = root.optional("accept").and_then(|value| value.word()).unwrap_or(Accept::Allowed);
    let users = root.optional("users").map(|value| words(&value, "a list of users, such as [\"ada\"]", "a user"));
    let list = "a list of kinds of ARMORs, such as [\"execution\"]";
    let armors = root.optional("armors").map(|value| {
        let kinds = value.items(list);
        kinds.iter().filter_map(|kind| kind.parsed("a kind of ARMOR", kind_of)).collect()
    });
    let what = "the most lanes that may run here at once";
    let most_lanes = root.optional("most_lanes").and_then(|value| value.number(what, 0..=MOST_LANES));
    let what = "the most memory that a lane may need, such as \"2GiB\"";
    let most_memory = root.optional("most_memory").and_then(|value| value.parsed(what, values::size));
    let net =
        root.optional("net").and_then(|value| value.boolean("whether programs may use the network")).unwrap_or(true);
    let list = "a list of absolute paths, such as [\"/srv/jobs\"]";
    let paths = root.optional("paths").map(|value| {
        let paths = value.items(list);
        paths.iter().filter_map(|path| path.parsed("an absolute path", absolute)).collect()
    });
    let what = "the hours of the day, UTC, such as \"20:00-06:30\"";
    let hours = root.optional("hours").and_then(|value| value.parsed(what, hours));
    let labels = root.optional("labels").map_or_else(Vec::new, |value| labels(&value, problems));
    root.finish();
    Policy { accept, users, armors, most_lanes, most_memory, net, paths, hours, labels }
}

fn words(value: &Value<'_>, list: &str, item: &str) -> Vec<String> {
    value.strings(list, item).into_iter().map(|word| word.into_inner().to_owned()).collect()
}

/// Kinds that are installed on request.
const KINDS: [Kind; 5] = [Kind::Surrogate, Kind::Voter, Kind::Fanout, Kind::Execution, Kind::Mirror];

fn kind_of(text: &str) -> Result<Kind, BadValue> {
    let expected = || format!("a kind of ARMOR: {}", listing(KINDS.iter().map(|kind| kind.word())));
    let found = KINDS.into_iter().find(|kind| kind.word() == text);
    found.ok_or_else(|| BadValue { found: text.to_owned(), expected: expected(), nearest: None })
}

fn absolute(text: &str) -> Result<String, BadValue> {
    let fits = text.starts_with('/') && !text.split('/').any(|part| part == "..");
    let expected = "an absolute path without '..', such as /srv/jobs".to_owned();
    if fits { Ok(text.to_owned()) } else { Err(BadValue { found: text.to_owned(), expected, nearest: None }) }
}

fn hours(text: &str) -> Result<(u64, u64), BadValue> {
    let minute = |part: &str| {
        let (hour, minute) = part.trim().split_once(':')?;
        let (hour, minute): (u64, u64) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= MINUTES_A_DAY).then_some(hour * 60 + minute)
    };
    let read = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    let expected = "hours of the day such as 20:00-06:30".to_owned();
    read.ok_or_else(|| BadValue { found: text.to_owned(), expected, nearest: None })
}

fn labels(value: &Value<'_>, problems: &Problems<'_>) -> Vec<Label> {
    let pairs = value.pairs("a table of labels, such as { site = \"berlin\" }");
    let label = |(name, value): &(document::At<&str>, Value<'_>)| {
        if let Err(bad) = crate::job::trait_name(name.get_ref()) {
            problems.note_value(name.span(), name.get_ref(), &bad);
        }
        let value = value.string("what the label says")?.to_owned();
        Some(Label { name: name.get_ref().to_string(), value })
    };
    pairs.iter().filter_map(label).collect()
}

impl Policy {
    /// Whether this ARMOR may run here for this job, `lanes` others running here, at this time.
    ///
    /// # Errors
    /// What forbids it, in a sentence's part.
    pub fn allows(&self, name: ArmorName, bid: &Bid, lanes: u32, unix_ms: u64) -> Result<(), String> {
        let kind = name.kind();
        if self.accept == Accept::Nothing {
            return Err("accepts nothing".to_owned());
        }
        if self.hours.is_some_and(|hours| !is_within(hours, unix_ms / 60_000 % MINUTES_A_DAY)) {
            return Err("accepts nothing at this hour".to_owned());
        }
        if self.users.as_ref().is_some_and(|users| !users.contains(&bid.user)) {
            return Err(format!("accepts nothing of {:?}", bid.user));
        }
        if self.armors.as_ref().is_some_and(|kinds| !kinds.contains(&kind)) {
            return Err(format!("accepts no {kind}"));
        }
        if kind == Kind::Execution { self.allows_lane(bid, lanes) } else { Ok(()) }
    }

    fn allows_lane(&self, bid: &Bid, lanes: u32) -> Result<(), String> {
        if let Some(most) = self.most_lanes.filter(|most| lanes >= *most) {
            return Err(format!("accepts {most} lanes at once"));
        }
        match (self.most_memory, bid.memory) {
            (Some(_), None) => return Err("accepts lanes only that say how much memory they need".to_owned()),
            (Some(most), Some(memory)) if memory > most => {
                return Err(format!("accepts lanes of {} MiB at most, not of {} MiB", most >> 20, memory >> 20));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        if bid.net && !self.net {
            return Err("accepts no program that uses the network".to_owned());
        }
        let Some(paths) = &self.paths else { return Ok(()) };
        let outside = bid
            .paths
            .iter()
            .find(|path| !paths.iter().any(|allowed| crate::job::check::is_within(path, allowed.as_bytes())));
        match outside {
            Some(path) => Err(format!("accepts no program that writes in {}", String::from_utf8_lossy(path))),
            None => Ok(()),
        }
    }
}

fn is_within((from, to): (u64, u64), minute: u64) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{JobId, LaneId};

    const LANE: ArmorName = ArmorName::Execution(JobId(1), LaneId(0));
    const VOTER: ArmorName = ArmorName::Voter(JobId(1));
    const NOON: u64 = 12 * 3_600_000;

    fn bid() -> Bid {
        let paths = vec![b"/srv/jobs/a".to_vec().into()];
        Bid { user: "ada".to_owned(), memory: Some(1 << 30), net: true, paths }
    }

    #[test]
    fn a_policy_says_what_may_run_and_what_forbids_the_rest() {
        let table = [
            ("", LANE, 9, NOON, Ok(())),
            ("accept = \"nothing\"", VOTER, 0, NOON, Err("accepts nothing")),
            ("users = [\"bob\"]", VOTER, 0, NOON, Err("accepts nothing of \"ada\"")),
            ("users = [\"bob\", \"ada\"]", LANE, 0, NOON, Ok(())),
            ("armors = [\"execution\"]", VOTER, 0, NOON, Err("accepts no voter")),
            ("armors = [\"execution\"]", LANE, 0, NOON, Ok(())),
            ("most_lanes = 2", LANE, 2, NOON, Err("accepts 2 lanes at once")),
            ("most_lanes = 2", LANE, 1, NOON, Ok(())),
            ("most_lanes = 0", VOTER, 0, NOON, Ok(())),
            ("most_memory = \"512MiB\"", LANE, 0, NOON, Err("accepts lanes of 512 MiB at most, not of 1024 MiB")),
            ("net = false", LANE, 0, NOON, Err("accepts no program that uses the network")),
            ("paths = [\"/srv/jobs\"]", LANE, 0, NOON, Ok(())),
            ("paths = [\"/srv/job\"]", LANE, 0, NOON, Err("accepts no program that writes in /srv/jobs/a")),
            ("hours = \"08:00-12:00\"", LANE, 0, NOON, Err("accepts nothing at this hour")),
            ("hours = \"08:00-12:01\"", LANE, 0, NOON, Ok(())),
            ("hours = \"20:00-06:00\"", LANE, 0, NOON, Err("accepts nothing at this hour")),
            ("hours = \"20:00-06:00\"", LANE, 0, 2 * NOON + 60_000, Ok(())),
        ];
        for (text, name, lanes, unix_ms, expected) in table {
            let policy = parse("policy.toml", text.as_bytes()).unwrap();
            assert_eq!(policy.allows(name, &bid(), lanes, unix_ms), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_slip_in_a_policy_is_pointed_at() {
        let text =
            "accept = \"nothin\"\nhours = \"8-25\"\narmors = [\"ftm\"]\nuser = [\"a\"]\n[labels]\nSite = \"b\"\n";
        let refusal = parse("policy.toml", text.as_bytes()).unwrap_err();
        let lines: Vec<usize> = refusal.problems().iter().map(|problem| refusal.line(problem)).collect();
        assert_eq!(lines, [1, 2, 3, 4, 6], "{refusal}");
    }

    #[test]
    fn labels_are_read() {
        let policy = parse("policy.toml", b"labels = { site = \"berlin\" }").unwrap();
        assert_eq!(policy.labels, [Label { name: "site".to_owned(), value: "berlin".to_owned() }]);
    }
}
