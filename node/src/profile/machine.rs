//! The machine as the system describes it.

use std::fs;
use std::path::Path;
use std::thread;

use chameleon_core::profile::Profile;

use crate::os::c_library;

/// What the system says of itself and of the machine.
pub fn describe(kept: &Path) -> Profile {
    let system = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Profile {
        system: text(system.sysname()),
        kernel: text(system.release()),
        architecture: text(system.machine()),
        cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        cores: thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX)),
        memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        disk_free: rustix::fs::statvfs(kept).map_or(0, |system| system.f_bavail.saturating_mul(system.f_frsize)),
        c_library: c_library::version().unwrap_or_else(|| "unknown C library".to_owned()),
        ..Profile::default()
    }
}

/// The model of the first CPU; where it has no name, the numbers of its maker and of the part.
fn cpu(description: &str) -> String {
    let value = |key: &str| {
        let line = description.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let numbers = || Some(format!("implementer {} part {}", value("CPU implementer")?, value("CPU part")?));
    value("model name").or_else(numbers).unwrap_or_else(|| "unknown".to_owned())
}

/// In bytes.
fn memory(description: &str) -> u64 {
    let total = description.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|total| total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_as_it_writes() {
        assert_eq!(cpu("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n"), "AMD EPYC");
        assert_eq!(cpu("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"), "implementer 0x41 part 0xd0c");
        assert_eq!(cpu("no colon"), "unknown");
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:       16 kB\n"), 16_384);
        assert_eq!(memory("MemTotal: many\n"), 0);
    }

    #[test]
    fn this_machine_has_a_description() {
        let profile = describe(Path::new("/"));
        assert!(profile.cores > 0 && profile.memory > 0 && profile.disk_free > 0, "{profile:?}");
        assert!(!profile.architecture.is_empty() && !profile.kernel.is_empty(), "{profile:?}");
    }
}
