//! What we promise, measured: each row beside its floor, taken in the same run on the same machine.
//!
//! `cargo xtask bench [GROUP…]` builds this in release mode and writes what it prints to
//! `docs/measurements.md`. Nothing here fails because something was slow.

mod armors;
mod figures;
mod files;
mod hosts;
mod jobs;
mod machine;
mod managers;
mod memory;
mod restart;
mod run;
mod tasks;
mod voting;

use std::process::ExitCode;

use figures::Table;

/// A group of rows, its heading, and how it is measured.
type Group = (&'static str, &'static str, fn() -> Table);

const GROUPS: [Group; 10] = [
    ("tasks", "Ten thousand trivial tasks in one job", tasks::measure),
    ("restart", "A program that crashes is started again", restart::measure),
    ("armors", "ARMORs are installed and restored", armors::measure),
    ("run", "`chameleon run -- true`", run::measure),
    ("files", "Programs that write files", files::measure),
    ("jobs", "Jobs of one task, one after another and side by side", jobs::measure),
    ("voting", "Voting on outputs of 1 GiB", voting::measure),
    ("hosts", "A host is lost, and its lane goes on elsewhere", hosts::measure),
    ("managers", "The FTM is lost, and commands work again", managers::measure),
    ("memory", "Memory of each process", memory::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.first().is_some_and(|word| word == restart::PROBE) {
        return restart::probe(&wanted[1..]);
    }
    if wanted.first().is_some_and(|word| word == hosts::PROBE) {
        return hosts::probe(&wanted[1..]);
    }
    if let Some(unknown) = wanted.iter().find(|word| GROUPS.iter().all(|(name, ..)| name != word)) {
        let names: Vec<&str> = GROUPS.iter().map(|(name, ..)| *name).collect();
        eprintln!("{unknown} is no group of rows; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    println!("{}\n", machine::description());
    for (name, heading, measure) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            eprintln!("measuring {name}");
            println!("### {heading}\n\n{}", measure().markdown());
        }
    }
    ExitCode::SUCCESS
}
