//! The units for systemd that are shipped.

use std::path::PathBuf;
use std::process::Command;

use chameleon_system_tests::{Trial, binary, skip};

#[test]
fn systemd_accepts_the_units() {
    let trial = Trial::new();
    for unit in ["chameleon-ftm.service", "chameleon-daemon.service"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dist/systemd").join(unit);
        let text = std::fs::read_to_string(path).expect("the unit is part of the source");
        // Where it is not installed, the program is elsewhere.
        let here = text.replace("/usr/bin/chameleon", &binary::chameleon().display().to_string());
        let written = trial.write(unit, here);
        let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(written).output() else {
            return skip("systemd-analyze is not installed");
        };
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success(), "{unit}: {said}");
    }
}
