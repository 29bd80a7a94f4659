//! The tests of a program that is its own daemon and its own ARMORs, and so cannot have the ordinary harness.

use std::process::ExitCode;
use std::time::Instant;

/// Options whose value is the word behind them, and so no name of a test.
const VALUED: [&str; 2] = ["--format", "--test-threads"];

/// Runs the tests that the arguments ask for, one after another, and understands `--list`.
pub fn run_tests(tests: &[(&str, fn())]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters = filters(&arguments);
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

/// The names, or parts of names, among the arguments.
fn filters(arguments: &[String]) -> Vec<&String> {
    let is_value = |index: usize| index > 0 && VALUED.contains(&arguments[index - 1].as_str());
    let is_filter = |index: usize, argument: &str| !argument.starts_with('-') && !is_value(index);
    arguments.iter().enumerate().filter(|(index, argument)| is_filter(*index, argument)).map(|(_, it)| it).collect()
}
