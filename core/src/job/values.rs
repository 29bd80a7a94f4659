//! Small values that a person writes in a job file and in flags alike: durations, sizes, ranges of
//! tasks, injections.

use std::fmt;
use std::str::FromStr;

use crate::job::{Determinism, Files, Injection, InjectionKind, InjectionWhen, Promise};
use crate::names::{LaneId, Millis};
use crate::word::{BadValue, Word, nearest};

/// A unit and how many of the smallest it is.
type Unit = (&'static str, u64);

const TIMES: &[Unit] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: &[Unit] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// What else people call these units.
const ALIASES: &[(&str, &str)] = &[
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hour", "h"),
    ("hours", "h"),
    ("msec", "ms"),
    ("millis", "ms"),
    ("b", "B"),
    ("bytes", "B"),
    ("k", "KiB"),
    ("kb", "KiB"),
    ("kib", "KiB"),
    ("m", "MiB"),
    ("mb", "MiB"),
    ("mib", "MiB"),
    ("g", "GiB"),
    ("gb", "GiB"),
    ("gib", "GiB"),
    ("t", "TiB"),
    ("tb", "TiB"),
    ("tib", "TiB"),
];

const DURATION: &str = "a duration such as 500ms, 10s, 2m or 1h";
const LONGEST_DURATION: u64 = 366 * 24 * 3_600_000;
const SIZE: &str = "a size such as 512B, 64KiB, 100MiB or 1GiB";
const TASKS: &str = "a range of tasks such as 0..10000, the last one excluded";
const MOST_TASKS: u64 = 1_000_000_000;
const INJECTION: &str = "KIND:LANE[:once|always|p=X] such as flip:1, kill:0:always or lie:2:p=0.01";
const PARTS: u32 = 1_000_000;

/// A duration: a whole number and `ms`, `s`, `m` or `h`; at most 366 days.
///
/// # Errors
/// The text is no such duration.
pub fn duration(text: &str) -> Result<Millis, BadValue> {
    let millis = quantity(text, TIMES, DURATION)?;
    if millis > LONGEST_DURATION { Err(bad(text, "at most 366 days", None)) } else { Ok(Millis(millis)) }
}

/// A number of bytes: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
///
/// # Errors
/// The text is no such size.
pub fn size(text: &str) -> Result<u64, BadValue> {
    quantity(text, SIZES, SIZE)
}

/// The first task and the one after the last, written `FIRST..END`; at least one task.
///
/// # Errors
/// The text is no range, the range is empty or reversed, or there are more than 10^9 tasks.
pub fn tasks(text: &str) -> Result<(u64, u64), BadValue> {
    let numbers = text.split_once("..").and_then(|(first, end)| Some((number(first)?, number(end)?)));
    match numbers {
        None => Err(bad(text, TASKS, None)),
        Some((first, end)) if first > end => {
            Err(bad(text, "the first task before the end", Some(format!("{end}..{first}"))))
        }
        Some((first, end)) if first == end => Err(bad(text, "at least one task: the last one is excluded", None)),
        Some((first, end)) if end - first > MOST_TASKS => Err(bad(text, "at most 1000000000 tasks", None)),
        Some(range) => Ok(range),
    }
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn quantity(text: &str, units: &'static [Unit], expected: &str) -> Result<u64, BadValue> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    match (number(digits), factor) {
        (Some(count), Some(factor)) => {
            count.checked_mul(factor).ok_or_else(|| bad(text, &format!("{expected}, and not so much"), None))
        }
        (Some(_), None) => Err(bad(text, expected, meant_unit(unit, units).map(|unit| format!("{digits}{unit}")))),
        (None, _) => Err(bad(text, expected, None)),
    }
}

/// The unit that was most likely meant.
fn meant_unit(unit: &str, units: &[Unit]) -> Option<&'static str> {
    let (unit, known) = (unit.trim().to_lowercase(), |name: &str| units.iter().find(|(known, _)| *known == name));
    let aliases = ALIASES.iter().filter(|(alias, name)| *alias == unit && known(name).is_some());
    let names = units.iter().map(|(name, _)| *name).filter(|_| !unit.is_empty());
    aliases.map(|(_, name)| *name).next().or_else(|| nearest(&unit, names))
}

fn bad(found: &str, expected: &str, nearest: Option<String>) -> BadValue {
    BadValue { found: found.to_owned(), expected: expected.to_owned(), nearest }
}

/// Reads `KIND:LANE[:once|always|p=X]`; once if nothing else is said. The lane counts from 0 and may
/// be written as it is printed: `l0`.
impl FromStr for Injection {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let mut parts = text.splitn(3, ':');
        let kind = InjectionKind::read(parts.next().unwrap_or_default())?;
        let lane = parts.next().ok_or_else(|| bad(text, INJECTION, Some(format!("{text}:0"))))?;
        let number = number(lane.strip_prefix('l').unwrap_or(lane)).and_then(|number| number.try_into().ok());
        let lane = number.map(LaneId).ok_or_else(|| bad(lane, "the number of a lane, from 0", None))?;
        let when = parts.next().map_or(Ok(InjectionWhen::Once), when)?;
        Ok(Injection { kind, lane, when })
    }
}

fn when(text: &str) -> Result<InjectionWhen, BadValue> {
    match text {
        "once" => return Ok(InjectionWhen::Once),
        "always" => return Ok(InjectionWhen::Always),
        _ => {}
    }
    let expected = "once, always, or p=X with a probability from 0.000001 to 1";
    let Some(probability) = text.strip_prefix("p=") else {
        return Err(bad(text, expected, nearest(text, ["once", "always"]).map(str::to_owned)));
    };
    parts_per_million(probability).map(InjectionWhen::Chance).ok_or_else(|| bad(text, expected, None))
}

/// A decimal fraction from 0.000001 to 1, of at most six places.
fn parts_per_million(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let places = fraction.len();
    if places > 6 || whole.is_empty() {
        return None;
    }
    let fraction = format!("{fraction:0<6}");
    let parts = number(whole)?.checked_mul(u64::from(PARTS))?.checked_add(number(&fraction)?)?;
    u32::try_from(parts).ok().filter(|parts| (1..=PARTS).contains(parts))
}

/// Prints as it is written.
impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.lane.0)?;
        match self.when {
            InjectionWhen::Once => Ok(()),
            InjectionWhen::Always => f.write_str(":always"),
            InjectionWhen::Chance(PARTS) => f.write_str(":p=1"),
            InjectionWhen::Chance(parts) => write!(f, ":p=0.{}", format!("{parts:06}").trim_end_matches('0')),
        }
    }
}

impl Word for InjectionKind {
    const WHAT: &'static str = "a fault";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("kill", InjectionKind::Kill),
        ("stop", InjectionKind::Stop),
        ("slow", InjectionKind::Slow),
        ("flip", InjectionKind::Flip),
        ("lie", InjectionKind::Lie),
    ];
}

impl Word for Files {
    const WHAT: &'static str = "what becomes of written files";
    const WORDS: &'static [(&'static str, Self)] =
        &[("overlay", Files::Overlay), ("scratch", Files::Scratch), ("none", Files::None)];
}

impl Word for Promise {
    const WHAT: &'static str = "how often a program may be started";
    const WORDS: &'static [(&'static str, Self)] =
        &[("as-often-as-needed", Promise::AsOftenAsNeeded), ("at-most-once", Promise::AtMostOnce)];
}

impl Word for Determinism {
    const WHAT: &'static str = "how far equal surroundings go";
    const WORDS: &'static [(&'static str, Self)] = &[("plain", Determinism::Plain), ("assist", Determinism::Assist)];
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said about a text that is refused; the value's `Debug` otherwise.
    fn read<T: fmt::Debug>(result: Result<T, BadValue>) -> String {
        result.map_or_else(|bad| bad.to_string(), |value| format!("{value:?}"))
    }

    #[test]
    fn durations_and_sizes_have_a_unit_or_are_refused_with_the_one_that_was_meant() {
        let duration_table = [
            ("0ms", "Millis(0)"),
            ("500ms", "Millis(500)"),
            ("10s", "Millis(10000)"),
            ("2m", "Millis(120000)"),
            ("1h", "Millis(3600000)"),
            ("8784h", "Millis(31622400000)"),
            ("8785h", "expected at most 366 days, found \"8785h\""),
            ("10", "expected a duration such as 500ms, 10s, 2m or 1h, found \"10\""),
            ("10 min", "expected a duration such as 500ms, 10s, 2m or 1h, found \"10 min\"; did you mean \"10m\"?"),
            ("1.5s", "expected a duration such as 500ms, 10s, 2m or 1h, found \"1.5s\""),
            ("-1s", "expected a duration such as 500ms, 10s, 2m or 1h, found \"-1s\""),
            ("s", "expected a duration such as 500ms, 10s, 2m or 1h, found \"s\""),
        ];
        for (text, expected) in duration_table {
            assert_eq!(read(duration(text)), expected);
        }
        let size_table = [
            ("512B", "512"),
            ("64KiB", "65536"),
            ("3MiB", "3145728"),
            ("1GiB", "1073741824"),
            ("16777215TiB", "18446742974197923840"),
            (
                "16777216TiB",
                "expected a size such as 512B, 64KiB, 100MiB or 1GiB, and not so much, found \"16777216TiB\"",
            ),
            ("64k", "expected a size such as 512B, 64KiB, 100MiB or 1GiB, found \"64k\"; did you mean \"64KiB\"?"),
            ("+1B", "expected a size such as 512B, 64KiB, 100MiB or 1GiB, found \"+1B\""),
        ];
        for (text, expected) in size_table {
            assert_eq!(read(size(text)), expected);
        }
    }

    #[test]
    fn a_range_of_tasks_holds_at_least_one() {
        let table = [
            ("0..10000", "(0, 10000)"),
            ("7..8", "(7, 8)"),
            ("10..0", "expected the first task before the end, found \"10..0\"; did you mean \"0..10\"?"),
            ("3..3", "expected at least one task: the last one is excluded, found \"3..3\""),
            ("0..=9", "expected a range of tasks such as 0..10000, the last one excluded, found \"0..=9\""),
            ("..9", "expected a range of tasks such as 0..10000, the last one excluded, found \"..9\""),
            ("0..1000000001", "expected at most 1000000000 tasks, found \"0..1000000001\""),
        ];
        for (text, expected) in table {
            assert_eq!(read(tasks(text)), expected);
        }
    }

    #[test]
    fn injections_read_back_as_they_print_and_a_slip_is_recognised() {
        let table = [
            ("flip:1", "flip:1"),
            ("kill:l0:once", "kill:0"),
            ("stop:2:always", "stop:2:always"),
            ("slow:0:p=1", "slow:0:p=1"),
            ("lie:98:p=0.25", "lie:98:p=0.25"),
            ("flip:0:p=0.000001", "flip:0:p=0.000001"),
            ("flop:1", "expected a fault: kill, stop, slow, flip or lie, found \"flop\"; did you mean \"flip\"?"),
            (
                "flip",
                "expected KIND:LANE[:once|always|p=X] such as flip:1, kill:0:always or lie:2:p=0.01, found \"flip\"; did you mean \"flip:0\"?",
            ),
            ("flip:one", "expected the number of a lane, from 0, found \"one\""),
            ("flip:65536", "expected the number of a lane, from 0, found \"65536\""),
            (
                "flip:1:alway",
                "expected once, always, or p=X with a probability from 0.000001 to 1, found \"alway\"; did you mean \"always\"?",
            ),
            ("flip:1:p=0", "expected once, always, or p=X with a probability from 0.000001 to 1, found \"p=0\""),
            ("flip:1:p=1.1", "expected once, always, or p=X with a probability from 0.000001 to 1, found \"p=1.1\""),
            ("flip:1:p=.5", "expected once, always, or p=X with a probability from 0.000001 to 1, found \"p=.5\""),
            (
                "flip:1:p=0.0000001",
                "expected once, always, or p=X with a probability from 0.000001 to 1, found \"p=0.0000001\"",
            ),
        ];
        for (text, expected) in table {
            let found = text.parse::<Injection>().map_or_else(|bad| bad.to_string(), |injection| injection.to_string());
            assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn every_injection_reads_back_as_itself(
            kind in prop::sample::select(InjectionKind::WORDS),
            lane: u16,
            parts in 0..=PARTS + 1,
        ) {
            let when = match parts {
                0 => InjectionWhen::Once,
                1..=PARTS => InjectionWhen::Chance(parts),
                _ => InjectionWhen::Always,
            };
            let injection = Injection { kind: kind.1, lane: LaneId(lane), when };
            prop_assert_eq!(injection.to_string().parse(), Ok(injection));
        }

        #[test]
        fn no_text_breaks_the_reading_of_small_values(text: String, digits in "[0-9]{0,25}", rest in "[.:a-zA-Z=0-9]{0,12}") {
            for text in [text, format!("{digits}{rest}"), format!("{digits}..{rest}"), format!("lie:{digits}:{rest}")] {
                let _ = (duration(&text), size(&text), tasks(&text), text.parse::<Injection>());
            }
        }
    }
}
