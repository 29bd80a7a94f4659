//! What the figures were taken on, without naming anybody's machine.

use std::fs;
use std::process::Command;

/// Date, cores, memory, kernel, and how busy it was.
pub fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = release.split(['.', '-']).take(2).collect();
    let kernel = kernel.join(".");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!(
        "{}: {cores} cores, shared and noisy, load {load} when it began; {} GiB of memory, Linux {kernel}.",
        today(),
        kib >> 20,
    )
}

fn today() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    date.map_or_else(|_| "?".to_owned(), |date| String::from_utf8_lossy(&date.stdout).trim().to_owned())
}
