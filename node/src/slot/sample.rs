//! What the processes in a slot are doing, read from /proc.

use std::fs;

/// What the processes of a slot have used and are doing at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Of the running execution so far, in microseconds; as coarse as the kernel's clock tick.
    pub cpu: u64,
    /// How many processes there are, the shim not counted.
    pub processes: u32,
    /// There are some, and every one of them is stopped.
    pub stopped: bool,
}

/// The fields of /proc/PID/stat that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: u8,
    /// User and system time in clock ticks: its own, and that of the children it has waited for.
    own: u64,
    waited: u64,
}

/// The first child of a process: the program that a shim runs.
pub(super) fn first_child(pid: u32) -> Option<u32> {
    children(pid).first().copied()
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Samples everything beneath the shim. `used_before`: microseconds that earlier executions have used.
pub(super) fn sample(shim: u32, used_before: u64) -> Sample {
    let mut ticks = stat(shim).map_or(0, |stat| stat.waited);
    let (mut processes, mut stopped) = (0, 0);
    let mut next = children(shim);
    while let Some(pid) = next.pop() {
        next.extend(children(pid));
        let Some(stat) = stat(pid) else { continue };
        ticks += stat.own + stat.waited;
        if !matches!(stat.state, b'Z' | b'X') {
            processes += 1;
            stopped += u32::from(matches!(stat.state, b'T' | b't'));
        }
    }
    let all = ticks * (1_000_000 / rustix::param::clock_ticks_per_second());
    Sample { cpu: all.saturating_sub(used_before), processes, stopped: processes > 0 && stopped == processes }
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may contain anything, parentheses and blanks too: the last one closes it.
fn parse(line: &[u8]) -> Option<Stat> {
    let after_name = line.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = line[after_name..].split(|byte| *byte == b' ').skip(1);
    let state = *fields.next()?.first()?;
    let mut number = |skipped: usize| -> Option<u64> { str::from_utf8(fields.nth(skipped)?).ok()?.parse().ok() };
    let own = number(10)? + number(0)?;
    let waited = number(0)? + number(0)?;
    Some(Stat { state, own, waited })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let numbers = "1 1 1 0 -1 4194560 100 200 0 0 7 5 3 2 20 0 1 0 100 0 0\n";
        for name in ["true", "a) b (c", ") T ("] {
            let parsed = parse(format!("42 ({name}) S {numbers}").as_bytes());
            assert_eq!(parsed, Some(Stat { state: b'S', own: 12, waited: 5 }), "{name}");
        }
        assert_eq!(parse(b"42 (cut"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(stat(std::process::id()).is_some());
    }
}
