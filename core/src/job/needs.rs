//! What a job asks of the system beyond its strategy: on which hosts its lanes may run, how much they
//! need there, and how urgent it is.

use minicbor::{Decode, Encode};

use super::check::{self, Unfit};
use super::syntax::Reading;
use super::values;
use crate::document::{Table, Value};
use crate::word::BadValue;

/// The highest priority; the lowest is as far below zero.
pub const HIGHEST_PRIORITY: i64 = 100;

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Needs {
    /// Who submitted it.
    #[n(0)]
    pub user: String,
    /// The higher one starts first; 0 unless said otherwise.
    #[n(1)]
    pub priority: i32,
    /// Bytes that each lane needs.
    #[n(2)]
    pub memory: Option<u64>,
    #[n(3)]
    pub wishes: Wishes,
    /// No two jobs that name the same one run at the same time.
    #[n(4)]
    pub mutex: Option<String>,
}

/// On which hosts lanes may run. A *trait* is something by which hosts differ: `host`, `arch`, `os`,
/// `numeric-class`, or a label that a host's own file gives it, such as `site`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Wishes {
    /// No two lanes run on hosts that have one of these traits in common.
    #[n(0)]
    pub distinct: Vec<String>,
    /// All lanes run on hosts that have all of these traits in common.
    #[n(1)]
    pub same: Vec<String>,
    /// Only on these hosts; on any, if there are none.
    #[n(2)]
    pub hosts: Vec<String>,
    /// Only on hosts with these traits.
    #[n(3)]
    pub only: Vec<(String, String)>,
}

impl Wishes {
    /// Whether any host will do, also one that runs another lane.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Wishes::default()
    }
}

/// The rule for a trait, which is also the rule for a label.
///
/// # Errors
/// It is no word of small letters, digits and `-`.
pub fn trait_name(text: &str) -> Result<String, BadValue> {
    word(text, "a trait of hosts: host, arch, os, numeric-class, or a label such as site")
}

fn mutex_name(text: &str) -> Result<String, BadValue> {
    word(text, "the name of a mutex, of small letters, digits and -, such as ledger")
}

fn word(text: &str, expected: &str) -> Result<String, BadValue> {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    match (1..=check::LONGEST_NAME).contains(&text.len()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(BadValue { found: text.to_owned(), expected: expected.to_owned(), nearest: None }),
    }
}

/// What `[job]` and `[placement]` of a job file say of it.
pub(super) fn read<'a>(reading: &Reading<'a>, header: &mut Table<'a>, root: Option<Table<'a>>) -> Needs {
    let memory = header.optional("memory").and_then(|value| {
        let memory = value.parsed("the memory that a lane needs, such as \"2GiB\"", values::size)?;
        reading.fits(value.span(), needed_memory(memory))
    });
    let what = "how urgent the job is; the higher one starts first";
    let bounds = -HIGHEST_PRIORITY..=HIGHEST_PRIORITY;
    let priority = header.optional("priority").and_then(|value| value.number(what, bounds)).unwrap_or(0);
    let mutex = header.optional("mutex").and_then(|value| value.parsed("the name of a mutex", mutex_name));
    Needs { user: String::new(), priority, memory, wishes: root.map_or_else(Wishes::default, wishes), mutex }
}

/// The rule for the memory that a lane needs.
///
/// # Errors
/// It is none.
pub fn needed_memory(memory: u64) -> Result<u64, Unfit> {
    if memory == 0 { Err(Unfit::NoMemory) } else { Ok(memory) }
}

fn wishes(mut table: Table<'_>) -> Wishes {
    let mut traits = |key| {
        let list = "a list of traits of hosts, such as [\"host\"] or [\"numeric-class\"]";
        let items = table.optional(key).map_or_else(Vec::new, |value| value.items(list));
        items.iter().filter_map(|item| item.parsed("a trait of hosts", trait_name)).collect()
    };
    let (distinct, same) = (traits("distinct"), traits("same"));
    let list = "a list of hosts, such as [\"h1\", \"h2\"]";
    let hosts = table.optional("hosts").map_or_else(Vec::new, |value| value.strings(list, "the name of a host"));
    let hosts = hosts.into_iter().map(|name| name.into_inner().to_owned()).collect();
    let only = table.optional("only").map_or_else(Vec::new, |value| only(&value));
    table.finish();
    Wishes { distinct, same, hosts, only }
}

fn only(value: &Value<'_>) -> Vec<(String, String)> {
    let pairs = value.pairs("a table of traits that a host must have, such as { arch = \"x86_64\" }");
    let pair = |(key, value): &(crate::document::At<&str>, Value<'_>)| {
        let wanted = value.string("what the trait must be")?;
        Some((key.get_ref().to_string(), wanted.to_owned()))
    };
    pairs.iter().filter_map(pair).collect()
}
