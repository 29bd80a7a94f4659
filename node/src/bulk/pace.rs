//! How fast bytes come from other hosts: measured by whoever fetches, kept in a file for each host, and read by this
//! host's Heartbeat. The last long transfer counts; a short one tells more of round trips than of bandwidth.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chameleon_core::names::HostId;

/// Shorter transfers say nothing.
pub const LONG: u64 = 1 << 20;

/// Notes a transfer from a host, if it says anything. What cannot be noted is not known.
pub fn note(paces: &Path, host: HostId, bytes: u64, took: Duration) {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    if bytes >= LONG && fs::create_dir_all(paces).is_ok() {
        let speed = u128::from(bytes) * 1_000_000 / u128::from(us);
        let _ = fs::write(paces.join(host.to_string()), speed.to_string());
    }
}

/// Bytes a second from each host of which anything is known.
#[must_use]
pub fn read(paces: &Path) -> Vec<(HostId, u64)> {
    let noted = fs::read_dir(paces).into_iter().flatten().flatten();
    let read = noted.filter_map(|entry| {
        let host = entry.file_name().to_str()?.parse().ok()?;
        Some((host, fs::read_to_string(entry.path()).ok()?.parse().ok()?))
    });
    let mut paces: Vec<_> = read.collect();
    paces.sort_unstable();
    paces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_long_transfer_counts() {
        let directory = tempfile::tempdir().unwrap();
        let paces = directory.path().join("paces");
        assert_eq!(read(&paces), [], "nothing was measured");
        note(&paces, HostId(2), LONG, Duration::from_millis(500));
        note(&paces, HostId(3), LONG - 1, Duration::from_millis(1));
        note(&paces, HostId(2), 3 * LONG, Duration::from_secs(1));
        fs::write(paces.join("h4"), "no number").unwrap();
        assert_eq!(read(&paces), [(HostId(2), 3 * LONG)]);
    }
}
