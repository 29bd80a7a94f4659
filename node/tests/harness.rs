//! The tests of a program that is its own daemon and its own ARMORs, and so cannot have the ordinary harness.

use std::process::ExitCode;
use std::time::Instant;

/// Runs the tests that the arguments ask for, one after another, and understands `--list`.
pub fn run_tests(tests: &[(&str, fn())]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let asked = |name: &str| match arguments.iter().any(|argument| argument == "--exact") {
        true => filters.iter().any(|filter| name == *filter),
        false => filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)),
    };
    if arguments.iter().any(|argument| argument == "--ignored") {
        return ExitCode::SUCCESS;
    }
    for (name, test) in tests.iter().filter(|(name, _)| asked(name)) {
        if arguments.iter().any(|argument| argument == "--list") {
            println!("{name}: test");
            continue;
        }
        let since = Instant::now();
        test();
        println!("test {name} ... ok ({} ms)", since.elapsed().as_millis());
    }
    ExitCode::SUCCESS
}
