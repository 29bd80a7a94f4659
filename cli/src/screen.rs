//! What commands print: text and tables for people, JSON for programs, and an honest error when
//! nobody can read it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use chameleon_node::os::closed;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;

use crate::failure::Failure;

/// Prints text and a line end.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = Raw::stdout()?;
    let written = out.write_all(format!("{text}\n").as_bytes());
    written.map_err(|why| Failure::Output { what: "standard output", why })
}

/// Prints JSON, indented.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}"))
}

/// Prints what cannot be held back on standard error; nobody can be told if that fails.
pub fn remark(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Columns under headings, without lines.
#[must_use]
pub fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.map(Cell::new));
    for row in rows {
        table.add_row(row.map(Cell::new));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A date and a time of day, as the clock on the wall in `zone` shows it.
#[must_use]
pub fn date(unix_ms: u64, zone: &TimeZone) -> String {
    format(unix_ms, zone, "%Y-%m-%d %H:%M:%S")
}

/// A time of day with milliseconds.
#[must_use]
pub fn time(unix_ms: u64, zone: &TimeZone) -> String {
    format(unix_ms, zone, "%H:%M:%S%.3f")
}

/// As in JSON: RFC 3339, UTC, with milliseconds.
#[must_use]
pub fn timestamp(unix_ms: u64) -> String {
    format(unix_ms, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn format(unix_ms: u64, zone: &TimeZone, format: &str) -> String {
    let timestamp = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| "?".to_owned(), |at| at.to_zoned_datetime(zone.clone()).strftime(format).to_string())
}

/// The zone of this machine.
#[must_use]
pub fn zone() -> TimeZone {
    TimeZone::system()
}

/// Standard output or error without a buffer of our own: what was printed is out.
pub enum Raw {
    Open(File),
    /// Whoever started us closed it.
    Closed,
}

impl Raw {
    /// Standard output.
    ///
    /// # Errors
    /// The descriptor cannot be copied.
    pub fn stdout() -> Result<Self, Failure> {
        Raw::of(io::stdout().as_fd(), 1, "standard output")
    }

    /// Standard error.
    ///
    /// # Errors
    /// The descriptor cannot be copied.
    pub fn stderr() -> Result<Self, Failure> {
        Raw::of(io::stderr().as_fd(), 2, "standard error")
    }

    fn of(descriptor: BorrowedFd<'_>, number: u8, what: &'static str) -> Result<Self, Failure> {
        if closed::at_start(number) {
            return Ok(Raw::Closed);
        }
        let copied = descriptor.try_clone_to_owned().map_err(|why| Failure::Output { what, why })?;
        Ok(Raw::Open(copied.into()))
    }
}

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Raw::Open(file) => patiently(file, bytes),
            Raw::Closed => Err(rustix::io::Errno::BADF.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to a descriptor that whoever shares it may have made impatient.
fn patiently(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&*file, PollFlags::OUT)], None)?;
            }
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_with_their_text() {
        let rows = [["j1", "a longer name"], ["j10", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["JOB", "NAME"], rows), "JOB  NAME\nj1   a longer name\nj10  x");
    }

    #[test]
    fn times_are_shown_in_a_zone_and_told_in_utc() {
        let at = 1_700_000_000_123;
        assert_eq!(date(at, &TimeZone::UTC), "2023-11-14 22:13:20");
        assert_eq!(time(at, &TimeZone::UTC), "22:13:20.123");
        assert_eq!(timestamp(at), "2023-11-14T22:13:20.123Z");
        assert_eq!(date(u64::MAX, &TimeZone::UTC), "?");
    }
}
