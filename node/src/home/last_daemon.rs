//! Who holds, or held last, the lock of a host: written into the locked file by whoever starts a daemon and by the
//! daemon itself, so that one that never says a word can be found.

use std::fmt;

use chameleon_core::names::Incarnation;
use chameleon_core::world::ProcessMark;

/// The life of a daemon and its process, as the line `INCARNATION PID START BOOT`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastDaemon {
    pub incarnation: Incarnation,
    pub process: ProcessMark,
}

impl LastDaemon {
    /// What a line says. Of one without a process the life counts all the same.
    pub(super) fn of_text(text: &str) -> Option<LastDaemon> {
        let mut words = text.lines().next()?.split_ascii_whitespace();
        let incarnation = Incarnation(words.next()?.parse().ok()?);
        let mut process = || {
            let (pid, start_time) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some(ProcessMark { pid, start_time, boot_id: words.next()?.to_owned() })
        };
        Some(LastDaemon { incarnation, process: process().unwrap_or_default() })
    }

    /// The life of the daemon after it.
    #[must_use]
    pub fn next(&self) -> Incarnation {
        Incarnation(self.incarnation.0 + 1)
    }
}

impl fmt::Display for LastDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessMark { pid, start_time, boot_id } = &self.process;
        writeln!(f, "{} {pid} {start_time} {boot_id}", self.incarnation.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_was_torn_costs_no_life() {
        let process = ProcessMark { pid: 7, start_time: 42, boot_id: "b".to_owned() };
        let daemon = LastDaemon { incarnation: Incarnation(3), process };
        assert_eq!(LastDaemon::of_text(&daemon.to_string()), Some(daemon.clone()));
        assert_eq!(LastDaemon::of_text(&format!("{daemon}longer 12")), Some(daemon));
        let unnamed = LastDaemon { incarnation: Incarnation(3), process: ProcessMark::default() };
        for text in ["3\n", "3 7\n", "3 7 42"] {
            assert_eq!(LastDaemon::of_text(text).as_ref(), Some(&unnamed), "{text:?}");
        }
        assert_eq!(LastDaemon::of_text(""), None);
    }
}
