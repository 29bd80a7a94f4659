//! Which process is meant, beyond doubt: a pid may be somebody else's by now.

use std::fs;
use std::io;
use std::sync::OnceLock;

use chameleon_core::world::ProcessMark;

/// The mark of a living process.
///
/// # Errors
/// If there is no such process.
pub fn of(pid: u32) -> io::Result<ProcessMark> {
    // Of its first thread, which is as old: an emulator answers for its own process itself, with another time.
    let start_time = Stat::read(&format!("/proc/{pid}/task/{pid}/stat"))?.start_time;
    Ok(ProcessMark { pid, start_time, boot_id: boot_id().to_owned() })
}

/// The mark of this process.
#[must_use]
pub fn own() -> ProcessMark {
    of(std::process::id()).expect("this process lives, and /proc is mounted")
}

/// Differs from boot to boot.
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

/// What `/proc/PID/stat` says, as far as it is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub state: u8,
    /// User and system time, in ticks.
    pub cpu_ticks: u64,
    /// In ticks since boot.
    pub start_time: u64,
}

impl Stat {
    pub fn of_process(pid: u32) -> io::Result<Stat> {
        Stat::read(&format!("/proc/{pid}/stat"))
    }

    fn read(path: &str) -> io::Result<Stat> {
        Stat::parse(&fs::read(path)?).ok_or_else(|| io::Error::other(format!("{path} cannot be understood")))
    }

    /// The program's name, in parentheses, may contain anything; what follows the last one is plain.
    fn parse(text: &[u8]) -> Option<Stat> {
        let after_name = text.iter().rposition(|&byte| byte == b')')? + 1;
        let fields: Vec<&str> = std::str::from_utf8(&text[after_name..]).ok()?.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let state = *fields.first()?.as_bytes().first()?;
        Some(Stat { state, cpu_ticks: number(11)? + number(12)?, start_time: number(19)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_confuses_nobody() {
        let text = b"42 (a) R (b) T 1 42 42 0 -1 0 1 2 3 4 700 50 7 8 20 0 1 0 98765 4 5";
        assert_eq!(Stat::parse(text), Some(Stat { state: b'T', cpu_ticks: 750, start_time: 98765 }));
        assert_eq!(Stat::parse(b"42 (a) R"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn this_process_has_a_mark_and_a_missing_one_has_none() {
        assert_eq!(own(), of(std::process::id()).unwrap());
        assert!(own().start_time > 0 && !own().boot_id.is_empty());
        assert!(of(u32::MAX).is_err());
    }
}
