//! What the figures were taken on, without naming anybody's machine.

use std::fs;
use std::process::Command;

/// Date, processor, memory, kernel, and how busy it was.
pub fn description() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!(
        "{}: {cores} cores ({}), shared and noisy, load {load} when it began; {} GiB of memory, Linux {}.",
        today(),
        model.trim(),
        kib >> 20,
        kernel.trim()
    )
}

fn today() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    date.map_or_else(|_| "?".to_owned(), |date| String::from_utf8_lossy(&date.stdout).trim().to_owned())
}
